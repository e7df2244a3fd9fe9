"""Workers that have nothing but the core, one after the other."""

import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from tests.support.fake_docker import FakeDocker, PluginError

REPOSITORY = Path(__file__).parents[2]
ANSWER_DEADLINE_S = 500
"""A worker that is killed early answers nobody, so a call may wait for as long as workers are killed."""


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

    async def _try(self, request: bytes) -> bytes:
        try:
            stream = await trio.open_unix_socket(str(self.socket))
            async with stream:
                await stream.send_all(request + b"\n")
                return b"".join([piece async for piece in stream])
        except trio.BrokenResourceError:
            return b""


class CoreWorkers:
    """The process that forks them.

    Attributes:
        pid: the worker that lives now.
    """

    def __init__(self, process: trio.Process, root: Path) -> None:
        self.docker = CoreDocker(socket=root / "s", root=root)
        self.data = root / "data"
        self.pid = 0
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._input = process.stdin
        self._output = process.stdout
        self._buffer = b""

    async def start(self) -> None:
        """Fork a worker; the one before must have been killed."""
        self.pid = int(await self._ask("fork"))

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    async def live_until_change(self, number: int, deadline_s: float) -> bool:
        """Fork a worker that is killed when it begins its ``number``-th change of a file, or after so many seconds.

        Returns:
            Whether it came to that change.
        """
        self.pid = int(await self._ask(f"trace {number}"))
        with trio.move_on_after(deadline_s):
            return await self._line() == "killed"
        self.kill()
        return await self._line() == "killed"

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
                if workers.pid:
                    workers.kill()
                assert process.stdin is not None
                await process.stdin.aclose()
                await process.wait()
                assert process.stdout is not None
                await process.stdout.aclose()
