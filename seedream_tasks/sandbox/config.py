"""The configuration of a sandbox process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """The settings of one sandbox; the defaults are those of the command line."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8787
    """TCP port; 0 lets the system pick one, the ready line says which."""
    seconds: float = 2.0
    """How long a task takes, in seconds of the sandbox's clock."""
    state: str | None = None
    """SQLite file that keeps tasks, bill, uploads and clock over restarts and kills; None: nothing is kept."""
    image_px: int | None = None
    """Longest side of the images in px at their true ratio (for benchmarks); None: the size that was asked for."""
    seed: int = 0
    """Decides fault draws and estimate errors."""
    estimate_error: float | None = 0.2
    """Largest relative error of the estimates, where a gateway gives any; None: none does."""
    faults: Sequence[Mapping[str, object]] = ()
    """The fault list to start with, as `PUT /sandbox/faults` takes it."""
    allow_local_callbacks: bool = False
    """Accept callback URLs that the documents refuse: http, loopback and private addresses."""
    exit_with_stdin: bool = False
    """End when stdin does, so that a parent that was killed does not leave the sandbox behind."""
    users: str | None = None
    """With `exit_with_stdin`: a file whose users hold a shared lock; the sandbox ends once none is left."""
