"""A process that keeps images for another one, so that decoding and writing files do not compete with its event loop.

Python runs one thread at a time: every system call of a store and every part of a decoder takes turns with the loop and the
ledger, and with many images a second the turns themselves cost more than the work. Here they have an interpreter of their own.

The parent runs `main` in a new interpreter and talks over its stdin and stdout in frames: eight bytes of length, then a pickle.
First a `Keeper` and a level for logging, answered with `None`; then `Order`s, answered with `Answer`s in the order of their
ends. The end of stdin, as when the parent dies, lets it finish what it has and go.
"""

import logging
import os
import pickle
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..core.errors import ResourceFault, SeedreamError
from ..core.stored_images import Stored
from .image_store import StoreRequest

_LENGTH = struct.Struct("<Q")
LENGTH_BYTES = _LENGTH.size
# One that waits for the disk idles nobody.
THREADS = (os.cpu_count() or 2) + 2


@dataclass(frozen=True, slots=True)
class StoreOrder:
    """An image to keep."""

    number: int  # comes back with the answer
    wanted: StoreRequest
    content: bytes


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What became of an order, and what was logged since the last answer: logger, level, message."""

    number: int
    result: Stored | Exception
    logged: tuple[tuple[str, int, str], ...]


def frame(value: Any) -> bytes:
    """A value as it is sent."""
    content = pickle.dumps(value)
    return _LENGTH.pack(len(content)) + content


def length_of(head: bytes) -> int:
    """How many bytes of a frame follow its head."""
    (length,) = _LENGTH.unpack(head)
    return int(length)


class _Logged(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self._lines: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append((record.name, record.levelno, record.getMessage()))

    def taken(self) -> tuple[tuple[str, int, str], ...]:
        self.acquire()  # not in the middle of an emit
        try:
            self._lines, lines = [], self._lines
        finally:
            self.release()
        return tuple(lines)


def _read(stream: BinaryIO) -> Any:
    head = stream.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    content = stream.read(length_of(head))
    return pickle.loads(content)  # noqa: S301 - from the parent, over a pipe that nobody else has


def main() -> None:
    """Keep images until stdin ends."""
    incoming, outgoing = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the frames
    logged, turn = _Logged(), threading.Lock()

    def answer(value: Any) -> None:
        outgoing.write(frame(value))
        outgoing.flush()

    keeper, level = _read(incoming)
    logging.basicConfig(level=level, handlers=[logged])

    def work(order: StoreOrder) -> None:
        result: Stored | Exception
        try:
            result = keeper.keep(order.wanted, order.content)
        except SeedreamError as error:
            result = error
        except MemoryError as error:
            result = ResourceFault(f"the process that keeps images lacks memory: {error}")
        except BaseException as error:  # noqa: BLE001 - a fault of ours: the parent raises it, as it would its own
            result = RuntimeError(f"{type(error).__name__}: {error}")
        try:
            with turn:
                answer(StoreAnswer(order.number, result, logged.taken()))
        except BaseException:  # noqa: BLE001 - the parent would wait for ever; it sees the end of a process
            os._exit(1)

    answer(None)
    with ThreadPoolExecutor(THREADS) as threads:
        while (order := _read(incoming)) is not None:
            threads.submit(work, order)
