"""``logboom serve`` as a process, behind a socket that outlives it, as under the supervisor."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.fake_docker import FakeDocker

DEADLINE_S = 60


class Worker:
    """A context manager that starts it and, in the end, ends it in order.

    Args:
        folder: for all files; its path must be short enough for a socket.
        settings: ``LOGBOOM_*`` variables.

    Attributes:
        pid: the process that runs now.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._settings = dict(settings or {})
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(folder / "s"))
        self._socket.listen(64)
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "log").touch()
        self._log_start = 0

    @property
    def docker(self) -> FakeDocker:
        return FakeDocker(socket=self.folder / "s", root=self.folder)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What all workers have said."""
        return (self.folder / "log").read_text()

    def start(self) -> None:
        assert self._process is None
        self._log_start = len(self.log)
        descriptor = self._socket.fileno()
        kept = {name: text for name, text in os.environ.items() if not name.startswith("LOGBOOM_")}
        options = {
            "data": str(self.data),
            "fifo-root": str(self.folder),
            "socket": f"fd://{descriptor}",
        }
        words = [word for name, text in options.items() for word in (f"--{name}", text)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "logboom", "serve", *words],
                env=kept | self._settings,
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """SIGKILL, and the next one is started."""
        self._end(signal.SIGKILL)
        self.start()

    def restart(self) -> None:
        """End it in order, and start the next one."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """End it in order."""
        # Before it listens it does not mind a signal yet.
        deadline = time.monotonic() + DEADLINE_S
        while "listening on" not in self.log[self._log_start :]:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.005)
        assert self._end(signal.SIGTERM) == 0, self.log

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            return process.wait(DEADLINE_S)
        finally:
            # One that does not end in time must not outlive the test.
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.stop()
        finally:
            if self._process is not None:
                self._end(signal.SIGKILL)
            self._socket.close()


def new_container_id() -> str:
    return secrets.token_hex(32)
