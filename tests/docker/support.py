"""The engine's API as far as logs go, and containers that print what they are told to.

Entries come over the API one by one with their time and source, which the docker client hides. They are read as raw bytes
here, without any library for Docker.
"""

import errno
import json
import os
import select
import shutil
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import trio

from engines.errors import EngineError
from engines.private import Engine
from tests.conformance.oracle import Query
from tests.support.fake_docker import Entry, HttpConnection

DEADLINE_S = 60
POLL_S = 0.01

_SOURCES = {1: "stdout", 2: "stderr"}


def parse_time(text: str) -> int:
    """``2026-01-31T12:00:00.123456789+01:00`` in nanoseconds since the epoch."""
    seconds, _, rest = text.partition(".")
    fraction, zone = rest[:9], rest[9:]
    moment = datetime.fromisoformat(seconds + ("+00:00" if zone == "Z" else zone))
    return int(moment.timestamp()) * 10**9 + int(fraction)


class ApiConnection(HttpConnection):
    """One request to the engine."""

    def has_more(self) -> bool:
        """Something of the answer's body, or its end, is here and has not been taken."""
        socket = self._stream.socket
        return bool(self._buffer) or bool(select.select([socket], [], [], 0)[0])


class ApiLogs:
    """A reading over the API.

    Args:
        connection: the headers of the answer have come.
        pieces: its body.
    """

    def __init__(self, connection: ApiConnection, pieces: AsyncIterator[bytes]) -> None:
        self._connection = connection
        self._pieces = pieces
        self._buffer = b""

    @property
    def has_begun(self) -> bool:
        """Something has come, or the end: so the plugin has fixed the reading's place, which the headers do not say."""
        return self._connection.has_more()

    async def next(self) -> Entry:
        with trio.fail_after(DEADLINE_S):
            entry = await self._take()
        assert entry is not None, "the reading has ended"
        return entry

    async def rest(self) -> list[Entry]:
        entries = []
        with trio.fail_after(DEADLINE_S):
            while entry := await self._take():
                entries.append(entry)
        return entries

    async def _take(self) -> Entry | None:
        """One entry: a header with source and length, then its time, then the line."""
        if not await self._fill(8):
            assert not self._buffer
            return None
        source, length = self._buffer[0], int.from_bytes(self._buffer[4:8], "big")
        assert await self._fill(8 + length), "the reading ends inside an entry"
        content, self._buffer = self._buffer[8 : 8 + length], self._buffer[8 + length :]
        time, _, line = content.partition(b" ")
        return Entry(_SOURCES[source], parse_time(time.decode()), line)

    async def _fill(self, length: int) -> bool:
        pieces = [self._buffer]
        have = len(self._buffer)
        while have < length:
            piece = await anext(self._pieces, None)
            if piece is None:
                break
            pieces.append(piece)
            have += len(piece)
        self._buffer = b"".join(pieces)
        return have >= length


class Api:
    """The engine's API."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def request(self, path: str, method: str = "GET") -> AsyncIterator[ApiConnection]:
        """An answer whose headers have come."""
        connection = ApiConnection(await trio.open_unix_socket(str(self._engine.socket)))
        try:
            await connection.send_request(path, b"", host="docker", method=method)
            await connection.receive_head()
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def open_logs(self, container: str, query: Query) -> AsyncIterator[ApiLogs]:
        """Read the log of a container without a terminal."""
        words = ["stdout=1", "stderr=1", "timestamps=1", f"follow={int(query.follow)}"]
        words.append(f"tail={'all' if query.tail is None else query.tail}")
        for name, time_ns in (("since", query.since_ns), ("until", query.until_ns)):
            if time_ns is not None:
                words.append(f"{name}={time_ns // 10**9}.{time_ns % 10**9:09}")
        async with self.request(f"/containers/{container}/logs?{'&'.join(words)}") as connection:
            if connection.status != 200:
                said = b"".join([piece async for piece in connection.body()])
                raise EngineError(f"reading the log of {container}: {said.decode()}")
            body = cast("AsyncGenerator[bytes, None]", connection.body())
            async with aclosing(body) as pieces:
                yield ApiLogs(connection, pieces)

    @staticmethod
    def demultiplexed(answer: bytes) -> bytes:
        """Both streams of an answer without times, in the order in which they came."""
        parts = []
        while answer:
            length = int.from_bytes(answer[4:8], "big")
            parts.append(answer[8 : 8 + length])
            answer = answer[8 + length :]
        return b"".join(parts)


def plugin_folder(engine: Engine) -> Path:
    """Where the engine keeps the plugin: ``rootfs``, and ``propagated-mount``, which is ``/run/docker`` in the plugin."""
    identifier = engine.docker_text("plugin", "inspect", "--format={{.Id}}", "logboom")
    return engine.data_root / "plugins" / identifier


def worker_pid(engine: Engine) -> int | None:
    """The plugin's worker, when one runs: the child of another of its processes."""
    pids = engine.plugin_pids()
    return next((pid for pid in pids if parent_of(pid) in pids), None)


def parent_of(pid: int) -> int | None:
    try:
        # The program's name before it, in parentheses, may hold anything.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def container_id(engine: Engine, name: str) -> str:
    return engine.docker_text("inspect", "--format={{.Id}}", name)


def remove_containers(engine: Engine) -> None:
    """Remove all that there are, running or not."""
    containers = engine.docker_text("ps", "--all", "--quiet").split()
    if containers:
        engine.docker("rm", "--force", *containers)


def stream_folder(data: Path, engine: Engine, name: str) -> Path:
    """The container's folder in the store whose mount source is ``data``."""
    return data / "logboom/containers" / container_id(engine, name)


def stored_text(folder: Path) -> bytes:
    """What ``zstdcat`` prints of all segments."""
    segments = sorted(folder.glob("*.zst"))
    if not segments:
        return b""
    return subprocess.run(["zstdcat", *segments], check=True, capture_output=True).stdout


async def wait_stored(folder: Path, length: int, deadline_s: float) -> bytes:
    """What the segments hold as soon as it is so long, or when the time is over."""
    deadline = trio.current_time() + deadline_s
    while len(stored := stored_text(folder)) < length and trio.current_time() < deadline:
        await trio.sleep(POLL_S)
    return stored


def inspect(engine: Engine, name: str) -> Any:
    return json.loads(engine.docker("inspect", name).stdout)[0]


async def docker(engine: Engine, *words: str | Path) -> str:
    """The docker client, while other tasks go on."""
    result = await trio.run_process(
        engine.docker_command(*words),
        env=engine.environment,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    if result.returncode:
        raise EngineError(f"docker {' '.join(map(str, words))}: {result.stderr.decode().strip()}")
    return result.stdout.decode().strip()


class Printer:
    """A container that prints on each of its streams what a test writes into a FIFO.

    Args:
        engine: where it runs.
        name: its name.
        options: more options of ``docker create``.
    """

    SCRIPT = "cat /pipes/stderr >&2 & cat /pipes/stdout; wait"

    def __init__(self, engine: Engine, name: str, options: Sequence[str] = ()) -> None:
        self._engine = engine
        self.name = name
        self._pipes = engine.home / "pipes" / name
        self._pipes.mkdir(parents=True)
        for source in _SOURCES.values():
            os.mkfifo(self._pipes / source)
        self._writers: dict[str, trio.lowlevel.FdStream] = {}
        engine.docker(
            "create",
            f"--name={name}",
            "--network=none",
            f"--volume={self._pipes}:/pipes",
            *options,
            "bb",
            "sh",
            "-c",
            self.SCRIPT,
        )

    async def start(self) -> None:
        """Start it, again too, and wait until it is ready to print."""
        await docker(self._engine, "start", self.name)
        for source in _SOURCES.values():
            self._writers[source] = trio.lowlevel.FdStream(await open_writer(self._pipes / source))

    async def print(self, source: str, output: bytes) -> None:
        await self._writers[source].send_all(output)

    async def stop(self) -> None:
        """Let it end by itself, and wait until the engine says so."""
        await self.let_end()
        await docker(self._engine, "wait", self.name)

    async def let_end(self) -> None:
        for writer in self._writers.values():
            await writer.aclose()
        self._writers.clear()

    async def remove(self) -> None:
        await self.let_end()
        await docker(self._engine, "rm", "--force", self.name)
        shutil.rmtree(self._pipes)


async def open_writer(path: Path) -> int:
    """A FIFO, as soon as somebody reads it."""
    with trio.fail_after(DEADLINE_S):
        while True:
            try:
                return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
            await trio.sleep(POLL_S)
