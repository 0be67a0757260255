"""What a command sets up before Prefect is imported: only what is not set already."""

import os
from pathlib import Path

import pytest

from seedream_tasks.config.process import FLOWS, SERVER, direct_to_this_machine, prepare_command


def test_what_is_set_already_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command sets what flows and a server of its own need, and whoever has said otherwise is obeyed."""
    home = tmp_path / "a" / "b"
    with monkeypatch.context() as scope:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        scope.setattr(os, "environ", kept | {"DO_NOT_TRACK": "0", "PREFECT_HOME": str(home)})
        prepare_command()
        found = {name: os.environ[name] for name in FLOWS | SERVER}
    assert found == FLOWS | SERVER | {"DO_NOT_TRACK": "0"}
    assert home.is_dir()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "localhost,127.0.0.1,::1"),
        ("shop.lan, localhost", "shop.lan,localhost,127.0.0.1,::1"),
        ("*", "*"),
    ],
)
def test_this_machine_is_reached_without_a_proxy(before: str, after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is named already is kept."""
    monkeypatch.setenv("no_proxy", before)
    monkeypatch.setenv("NO_PROXY", before)
    direct_to_this_machine()
    assert (os.environ["no_proxy"], os.environ["NO_PROXY"]) == (after, after)
