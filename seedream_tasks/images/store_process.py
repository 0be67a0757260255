"""A child process that stores images, so that decoding and writing files do not compete with the parent's event loop.

Python runs one thread at a time: every system call of a store and every part of a decoder takes turns with the loop and the
ledger, and with many images a second the turns themselves cost more than the work. Here they have an interpreter of their own.

The parent runs `main` in a new interpreter and talks over its stdin and stdout in frames: eight bytes of length, then a pickle.
First a `Keeper` and a level for logging, answered with `None`; then `Order`s, answered with `Answer`s in the order of
completion. At the end of stdin, also when the parent dies, it finishes its orders and exits.
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
# A thread that waits for the disk does not idle the others.
THREADS = (os.cpu_count() or 2) + 2


@dataclass(frozen=True, slots=True)
class StoreOrder:
    """An image to store."""

    number: int  # comes back with the answer
    wanted: StoreRequest
    content: bytes


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """The result of an order, and the log records since the last answer: logger, level, message."""

    number: int
    result: Stored | Exception
    logged: tuple[tuple[str, int, str], ...]


def frame(value: Any) -> bytes:
    """A value as a frame."""
    content = pickle.dumps(value)
    return _LENGTH.pack(len(content)) + content


def length_of(head: bytes) -> int:
    """The length of a frame's body, in bytes."""
    (length,) = _LENGTH.unpack(head)
    return int(length)


class _Logged(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self._lines: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append((record.name, record.levelno, record.getMessage()))

    def taken(self) -> tuple[tuple[str, int, str], ...]:
        self.acquire()  # not during an emit
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
    return pickle.loads(content)  # noqa: S301 - from the parent, over a private pipe


def main() -> None:
    """Store images until stdin ends."""
    incoming, outgoing = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of libraries must not mix with the frames
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
        except BaseException as error:  # noqa: BLE001 - our own bug: the parent raises it
            result = RuntimeError(f"{type(error).__name__}: {error}")
        try:
            with turn:
                answer(StoreAnswer(order.number, result, logged.taken()))
        except BaseException:  # noqa: BLE001 - the parent would wait forever; it notices a process that ends
            os._exit(1)

    answer(None)
    with ThreadPoolExecutor(THREADS) as threads:
        while (order := _read(incoming)) is not None:
            threads.submit(work, order)
