"""Workers that have nothing but the core, one after the other."""

import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from tests.support.fake_docker import FakeDocker, PluginError

REPOSITORY = Path(__file__).parents[2]
ANSWER_DEADLINE_S = 500
"""A worker that is killed early answers nobody, so a call may wait for as long as workers are killed."""

END_DEADLINE_S = 30
"""The process that forks workers ends when its input does."""


@dataclass(frozen=True, slots=True)
class CoreDocker(FakeDocker):
    """Calls whichever worker lives, and tries again when it dies before it answers."""

    async def call_checked(  # type: ignore[explicit-override]  # typing has the mark from 3.12 on
        self, path: str, document: object = None
    ) -> Any:
        assert isinstance(document, dict)
        request = {"file": document["File"]}
        match path:
            case "/LogDriver.StartLogging":
                request |= {"action": "start", "container_id": document["Info"]["ContainerID"]}
            case "/LogDriver.StopLogging":
                request |= {"action": "stop"}
        with trio.fail_after(ANSWER_DEADLINE_S):
            while not (line := await self._try(json.dumps(request).encode())):
                pass
        answer = json.loads(line)
        # The worker that began the session died before it could say so.
        if "error" in answer and not answer["error"].startswith("SessionExistsError"):
            raise PluginError(answer["error"])
        return answer.get("result")

    async def wait_answer(self) -> None:
        """Wait until a worker has opened the store."""
        await self.call_checked("/LogDriver.StopLogging", {"File": "/none"})

    async def _try(self, request: bytes) -> bytes:
        try:
            stream = await trio.open_unix_socket(str(self.socket))
            async with stream:
                await stream.send_all(request + b"\n")
                return b"".join([piece async for piece in stream])
        except trio.BrokenResourceError:
            return b""


class CoreWorkers:
    """The process that forks them."""

    def __init__(self, process: trio.Process, root: Path) -> None:
        self.docker = CoreDocker(socket=root / "s", root=root)
        self.data = root / "data"
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._input = process.stdin
        self._output = process.stdout
        self._buffer = b""
        self._worker: int | None = None
        """A pidfd, so that a signal never reaches another process that has got the number."""

    async def start(self) -> None:
        """Fork a worker; the one before must have been killed."""
        await self._fork("fork")

    def kill(self) -> None:
        """Kill the worker that lives now."""
        self._signal(signal.SIGKILL)

    async def live_until_change(
        self, number: int, work: Callable[[], Awaitable[None]]
    ) -> list[str]:
        """Fork a worker that is killed when it begins its ``number``-th change of a file.

        Args:
            number: counted from 1.
            work: what it is to do before it closes the store and ends; cancelled when it is killed.

        Returns:
            The changes that it began: fewer than ``number`` when it could end.
        """
        await self._fork(f"trace {number}")

        async def end_in_order() -> None:
            await work()
            # It can be killed just now, for a change that it makes by itself.
            with suppress(ProcessLookupError):
                self._signal(signal.SIGTERM)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(end_in_order)
            changes: list[str] = json.loads(await self._ask("go"))
            nursery.cancel_scope.cancel()
        self._forget()
        return changes

    async def _fork(self, command: str) -> None:
        pid = int(await self._ask(command))
        self._forget()
        # It is not reaped before the next command, so the number is still its own.
        self._worker = os.pidfd_open(pid)

    def _signal(self, number: signal.Signals) -> None:
        assert self._worker is not None
        signal.pidfd_send_signal(self._worker, number)

    def _forget(self) -> None:
        if self._worker is not None:
            os.close(self._worker)
            self._worker = None

    async def end(self) -> None:
        """Kill what lives, and wait for it."""
        if self._worker is not None:
            # It may have ended already, with the test or before it.
            with suppress(ProcessLookupError):
                self.kill()
            self._forget()
        await self._input.aclose()
        with trio.move_on_after(END_DEADLINE_S):
            await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await self._output.aclose()

    async def _ask(self, command: str) -> str:
        await self._input.send_all(command.encode() + b"\n")
        return await self._line()

    async def _line(self) -> str:
        while b"\n" not in self._buffer:
            received = await self._output.receive_some()
            assert received, "the process that forks workers has ended"
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()


@asynccontextmanager
async def core_workers(root: Path) -> AsyncIterator[CoreWorkers]:
    """No worker lives at first; the last one is killed in the end."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "s"))
        listening.listen(64)
        descriptor = listening.fileno()
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "tests.crash.nest", str(root), str(descriptor)],
            cwd=REPOSITORY,
            stdin=-1,
            stdout=-1,
            pass_fds=[descriptor],
        )
        workers = CoreWorkers(process, root)
        try:
            yield workers
        finally:
            with trio.CancelScope(shield=True):
                await workers.end()
