"""Output that cannot be written: a closed stdout, a full disk, a pipe whose reader has exited.

What a command did, it did, and its exit status says so; that its words were lost is one line on stderr. So a write that fails
is remembered, not raised: raised in the middle of a run it would end what has been paid for.
"""

import contextlib
import errno
import io
import os
import select
import sys
from typing import NoReturn, TextIO


class _Tolerant(io.RawIOBase):
    """A file descriptor whose failed writes are counted as written, and remembered."""

    def __init__(self, number: int, why: OSError | None) -> None:
        self.why = why
        self._number = number

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type] # what BufferedWriter hands over
        if self.why is None:
            try:
                return os.write(self._number, view)
            except BlockingIOError:
                select.select((), (self._number,), ())  # the reader is slow and made the pipe non-blocking
                return self.write(view)
            except OSError as error:
                self.why = error
        return view.nbytes


class GuardedOutput:
    """stdout and stderr of a command, which writing cannot bring down. Made once, before anything is opened or printed."""

    def __init__(self) -> None:
        closed = {number for number in (0, 1, 2) if not _is_open(number)}
        for _ in closed:
            # Otherwise the next file opened (a ledger, say) would get this number and all printed output.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        missing = {number: OSError(errno.EBADF, os.strerror(errno.EBADF)) for number in closed}
        self._stdout, self._stderr = _Tolerant(1, missing.get(1)), _Tolerant(2, missing.get(2))
        sys.stdin = sys.stdin or open(os.devnull)  # noqa: PTH123, SIM115 - for the life of the process
        sys.stdout, sys.stderr = _text(self._stdout, sys.stdout), _text(self._stderr, sys.stderr)

    def finish(self) -> None:
        """Write what is left; report in one line if stdout did not take all of it."""
        sys.stdout.flush()
        if self._stdout.why is not None:
            reason = self._stdout.why.strerror or self._stdout.why
            sys.stderr.write(f"the output could not be written: {reason}; what was done is not changed by that\n")
        sys.stderr.flush()


def leave_at_once(status: int) -> NoReturn:
    """End this process without waiting for anything, what was printed excepted."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _text(raw: _Tolerant, before: TextIO | None) -> TextIO:
    encoding, errors = (before.encoding, before.errors) if before is not None else ("utf-8", "backslashreplace")
    line_buffering = raw.fileno() == 2 or raw.isatty()
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=line_buffering)
