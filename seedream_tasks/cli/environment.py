"""What a command makes sure of before anything reads the environment."""

import os

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def direct_to_this_machine() -> None:
    """A proxy (HTTP_PROXY and its like) never stands between this machine and itself: Prefect's temporary server and the
    embedded sandbox are processes of ours, here. For this process and those it starts.
    """
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    named = [each for each in (part.strip() for part in given.split(",")) if each]
    if "*" not in named:
        value = ",".join([*named, *(each for each in _LOOPBACK if each not in named)])
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = value
