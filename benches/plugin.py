"""The plugin's own socket and FIFOs, used as dockerd uses them, for what an engine is not needed for.

The plugin cannot tell: it gets the same calls, and FIFOs that are held open for reading and writing.
"""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benches.connection import call_checked, open_stream, receive_chunks
from benches.errors import BenchError
from benches.programs import Programs

FIFO_FOLDER = "/run/docker/logging"
"""Where dockerd says that FIFOs are, as the plugin sees it."""

UNLIMITED = {"max-size": "-1"}
"""The log options of a stream that must keep all."""

STORED_TIMEOUT_S = 60

GO_ZERO_TIME = "0001-01-01T00:00:00Z"


@dataclass(slots=True)
class Session:
    """One that runs. ``PluginPort.stop_session`` ends it."""

    container_id: str
    file: str
    fifo: Path
    descriptor: int

    def write(self, data: bytes) -> None:
        """All at once; it must fit into the FIFO."""
        if os.write(self.descriptor, data) != len(data):
            raise BenchError(f"{self.fifo} is full: nobody reads it")


class PluginPort:
    """Talks to a plugin in dockerd's place."""

    def __init__(self, *, socket_path: Path, fifo_folder: Path, store: Path) -> None:
        """Nothing happens yet.

        Args:
            socket_path: where it listens.
            fifo_folder: ``FIFO_FOLDER`` on this side.
            store: its data folder on this side.
        """
        self.socket_path = socket_path
        self.store = store
        self._fifo_folder = fifo_folder

    def call(self, name: str, document: object = None) -> dict[str, Any]:
        """One call of the protocol.

        Raises:
            BenchError: the plugin refused it.
        """
        answer = call_checked(self.socket_path, "POST", f"/{name}", document)
        if answer.get("Err"):
            raise BenchError(f"{name}: {answer['Err']}")
        return answer

    def start_session(self, container_id: str, options: Mapping[str, str] | None = None) -> Session:
        """Begin a session of a container that prints nothing by itself."""
        name = secrets.token_hex(32)
        self._fifo_folder.mkdir(parents=True, exist_ok=True)
        fifo = self._fifo_folder / name
        os.mkfifo(fifo, 0o700)
        session = Session(
            container_id,
            f"{FIFO_FOLDER}/{name}",
            fifo,
            os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC),
        )
        info = _info(container_id, options or {})
        self.call("LogDriver.StartLogging", {"File": session.file, "Info": info})
        return session

    def stop_session(self, session: Session) -> None:
        """End it as dockerd does, and wait until all of it lies in segments."""
        self.call("LogDriver.StopLogging", {"File": session.file})
        os.close(session.descriptor)
        session.fifo.unlink(missing_ok=True)
        wait_until_stored(self.stream_folder(session.container_id))

    def stream_folder(self, container_id: str) -> Path:
        """Where the plugin keeps a container's log."""
        return self.store / "containers" / container_id

    def read_logs(
        self, container_id: str, take: Callable[[memoryview], object], *, tail: int = -1
    ) -> None:
        """Give the frames of a container to ``take``, in pieces that end anywhere.

        Raises:
            BenchError: the answer ends before its end.
        """
        config = {"Since": GO_ZERO_TIME, "Until": GO_ZERO_TIME, "Tail": tail, "Follow": False}
        body = json.dumps({"Info": _info(container_id, {}), "Config": config}).encode()
        head = (
            "POST /LogDriver.ReadLogs HTTP/1.1\r\nHost: plugin.moby.localhost\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        connection, received = open_stream(self.socket_path, head.encode() + body)
        with connection:
            receive_chunks(connection, received, take)


def write_frames(
    programs: Programs, lines: Path, sessions: Sequence[Session], **options: int
) -> dict[str, Any]:
    """Write frames into FIFOs as ``logboom-bench write`` does, and give what it says."""
    process = start_writing(programs, lines, sessions, **options)
    output, _ = process.communicate()
    if process.returncode:
        raise BenchError("the writer of frames failed")
    result: dict[str, Any] = json.loads(output)
    return result


def start_writing(
    programs: Programs, lines: Path, sessions: Sequence[Session], **options: int
) -> subprocess.Popen[bytes]:
    """The same, going on meanwhile."""
    words = [
        f"{word}"
        for name, value in options.items()
        for word in (f"--{name.replace('_', '-')}", value)
    ]
    fifos = [str(session.fifo) for session in sessions]
    command = [str(programs.bench), "write", "--lines", str(lines), *words, *fifos]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def wait_until_stored(folder: Path) -> list[Path]:
    """The segments of a stream whose session has ended, once all of it lies in them.

    Raises:
        BenchError: it takes too long.
    """
    deadline = time.monotonic() + STORED_TIMEOUT_S
    while list(folder.glob("*.journal")):
        if time.monotonic() > deadline:
            raise BenchError(f"after {STORED_TIMEOUT_S} s there are still journals in {folder}")
        time.sleep(0.01)
    return sorted(folder.glob("*.zst"))


def _info(container_id: str, options: Mapping[str, str]) -> dict[str, Any]:
    return {
        "Config": dict(options),
        "ContainerID": container_id,
        "ContainerName": f"/{container_id[:12]}",
        "ContainerEntrypoint": "/bin/printer",
        "ContainerArgs": [],
        "ContainerImageID": "sha256:" + "0" * 64,
        "ContainerImageName": "bb",
        "ContainerCreated": "2024-01-01T00:00:00Z",
        "ContainerEnv": ["PATH=/bin"],
        "ContainerLabels": {},
        "LogPath": "",
        "DaemonName": "docker",
    }
