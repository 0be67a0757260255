"""Where images are decoded and stored: in threads of this process, or in a child process once there are many."""

import asyncio
import logging
import os
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from ..core.errors import ResourceFault
from ..core.stored_images import Stored
from .image_store import ImageStore, StoreRequest
from .store_process import (
    LENGTH_BYTES,
    THREADS,
    StoreAnswer,
    StoreOrder,
    frame,
    length_of,
)

logger = logging.getLogger("seedream_tasks.images")

_READY_WITHIN_S = 60.0
_LET_GO_S = 120.0  # a process asked to end stores what it has, and may wait for its archive


class _Lost(Exception):
    pass


class Keeping:
    """Runs an image store's work off the event loop. Create inside a running loop; always `close` it."""

    def __init__(self, keeper: ImageStore) -> None:
        self._keeper = keeper
        self._threads = ThreadPoolExecutor(THREADS, "seedream-archive")
        self._beside: _Beside | None = None
        self._starting: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Finish the images in progress."""
        try:
            if self._starting is not None:
                await self._starting
            if self._beside is not None:
                await self._beside.close()
        finally:
            await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    def expect_many(self) -> None:
        """Images arrive faster than they are stored: from now on a child process stores them, if it can start."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())

    async def keep(self, wanted: StoreRequest, content: bytes) -> Stored:
        """Check an image and store it. Raises UndecodableImage, ArchiveFault."""
        if self._beside is not None and not self._beside.is_gone:
            with suppress(_Lost):  # images it already stored are found unchanged
                return await self._beside.keep(wanted, content)
        return await self._in_thread(self._keeper.keep, wanted, content)

    async def keep_undecodable(self, stem: str, content: bytes) -> Stored:
        """Quarantine a paid file that is not an image. Raises ArchiveFault."""
        return await self._in_thread(self._keeper.keep_undecodable, stem, content)

    async def _in_thread(self, work: Callable[..., Stored], *arguments: Any) -> Stored:
        def guarded() -> Stored:
            try:
                return work(*arguments)
            except StopIteration as error:  # a future cannot hold it: the caller would wait forever
                raise RuntimeError(f"StopIteration: {error}") from error
            except MemoryError as error:
                raise ResourceFault(f"this machine lacks the memory to keep an image: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)

    async def _start(self) -> None:
        if not self._keeper.archive.is_shared or not sys.executable:
            return
        try:
            self._beside = await _Beside.start(self._keeper)
        except Exception as error:  # noqa: BLE001 - an archive's file system that cannot be sent refuses in its own way
            logger.info("threads keep all images, since no other process can: %s: %s", type(error).__name__, error)
        else:
            logger.info("process %s keeps the images from now on", self._beside.pid)


class _Beside:
    """The child process."""

    def __init__(self, process: Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise OSError("it has no pipes")
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Stored]] = {}
        self._writing = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._is_told = False  # to end

    @classmethod
    async def start(cls, keeper: ImageStore) -> "_Beside":
        """Start a process and wait until it is ready. Raises the error that prevented it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-c",
            "from seedream_tasks.images.store_process import main; main()",
            env=_environment(),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # Ctrl-C is handled by the parent
        )
        try:
            beside = cls(process)
            async with asyncio.timeout(_READY_WITHIN_S):
                await beside._send((keeper, logging.getLogger("seedream_tasks").getEffectiveLevel()))
                await beside._received()
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        beside._reading = asyncio.create_task(beside._read())
        return beside

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_gone(self) -> bool:
        """Whether it stores no more images."""
        return self._reading is None or self._reading.done()

    async def close(self) -> None:
        """Let it finish its orders."""
        self._is_told = True
        self._stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _LET_GO_S)
        except TimeoutError:
            logger.warning("the process that kept images does not end, and is killed")
            self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def keep(self, wanted: StoreRequest, content: bytes) -> Stored:
        """As `Keeper.keep`. Raises _Lost when the process is gone."""
        if self.is_gone:
            raise _Lost("it has ended")
        number = next(self._numbers)
        answer: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._send(StoreOrder(number, wanted, content))
            return await answer
        finally:
            self._waiting.pop(number, None)

    async def _send(self, value: Any) -> None:
        try:
            async with self._writing:  # one copied image in memory at a time
                self._stdin.write(frame(value))
                await self._stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise _Lost("it takes nothing") from None

    async def _received(self) -> Any:
        try:
            content = await self._stdout.readexactly(length_of(await self._stdout.readexactly(LENGTH_BYTES)))
        except (asyncio.IncompleteReadError, ConnectionResetError):
            raise _Lost("it has ended") from None
        return pickle.loads(content)  # noqa: S301 - from our own process, over a private pipe

    async def _read(self) -> None:
        try:
            while True:
                answer: StoreAnswer = await self._received()
                for name, level, message in answer.logged:
                    logging.getLogger(name).log(level, "%s", message)
                waiter = self._waiting.get(answer.number)
                if waiter is None or waiter.done():
                    continue  # its caller was cancelled
                if isinstance(answer.result, Exception):
                    waiter.set_exception(answer.result)
                else:
                    waiter.set_result(answer.result)
        except _Lost:
            if not self._is_told:
                logger.warning("the process that kept images is gone; threads go on")
        finally:
            for waiter in self._waiting.values():
                if not waiter.done():
                    waiter.set_exception(_Lost("it has ended"))


def _environment() -> dict[str, str]:
    """Environment with this process's import path and without gateway keys: the child reads untrusted files."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return kept | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
