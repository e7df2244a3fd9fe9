"""The plugin's own root folder, supervisor and all, running without an engine.

It is the same program, the same Python and the same files that an engine would run, so that figures are those of the
plugin; but it starts in a moment, and a thousand containers can be had that are nothing but FIFOs.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from benches.connection import dial
from benches.errors import BenchError
from benches.plugin import PluginPort
from benches.processes import children

START_TIMEOUT_S = 20
# The supervisor gives the worker 8 s.
STOP_TIMEOUT_S = 12

# The mounts are seen by these processes alone, and go with them. Docker's own set of capabilities is smaller than
# root's: with these two, pipes would have no limit.
_SCRIPT = """
set -e
mount -t tmpfs run "$root/run"
mkdir -p "$root/run/docker"
mount --bind "$home/run" "$root/run/docker"
mount --bind "$home/data" "$root/data"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
echo ready
read -r go
exec </dev/null 2>>"$home/log" >&2
exec setpriv --bounding-set=-sys_admin,-sys_resource env -i PATH=/usr/bin:/bin $settings \
    /usr/sbin/chroot "$root" /usr/bin/logboom-init
"""


class Service:
    """A folder in which the plugin can run; a context manager that ends what runs and removes the folder."""

    def __init__(
        self, build: Path, scratch: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        """Copy the plugin; nothing runs yet.

        Args:
            build: the folder with ``config.json`` and ``rootfs``.
            scratch: the folder to make its folder in.
            settings: its variables, as ``LOGBOOM_MAX_SIZE``; no value may hold a space.
        """
        self.home = Path(tempfile.mkdtemp(prefix="bench-", dir=scratch))
        self._root = self.home / "rootfs"
        # A copy shares no memory with others that run the same files, and stays when the plugin is built again.
        command = ["cp", "--archive", "--reflink=auto", str(build / "rootfs"), str(self._root)]
        subprocess.run(command, check=True)
        (self.home / "run/plugins").mkdir(parents=True)
        self.data.mkdir()
        self._settings = {"LOGBOOM_DATA": "/data", **(settings or {})}
        self._process: subprocess.Popen[str] | None = None
        self.port = PluginPort(
            socket_path=self.home / "run/plugins/logboom.sock",
            fifo_folder=self.home / "run/logging",
            store=self.data,
        )

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.home / "data"

    @property
    def pids(self) -> list[int]:
        """The supervisor, then the worker."""
        if self._process is None:
            return []
        return [self._process.pid, *children(self._process.pid)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.home)

    def start(self) -> float:
        """Start the supervisor, and give the seconds from its exec to the first Capabilities answered.

        Raises:
            BenchError: it does not answer; the message has its last words.
        """
        settings = " ".join(f"{name}={value}" for name, value in self._settings.items())
        self.port.socket_path.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", _SCRIPT],
            env={
                **os.environ,
                "root": str(self._root),
                "home": str(self.home),
                "settings": settings,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise BenchError("the mounts of the plugin's root folder cannot be made; are you root?")
        started = time.monotonic()
        self._process.stdin.write("go\n")
        self._process.stdin.close()
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > started + START_TIMEOUT_S:
                raise BenchError(f"the plugin does not listen; its last words:\n{self.log[-2000:]}")
            time.sleep(0.001)
        self.port.call("LogDriver.Capabilities")
        return time.monotonic() - started

    def stop(self) -> None:
        """Ask the supervisor to end, as dockerd does, and wait for it."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            for pid in reversed(self.pids):
                os.kill(pid, 9)
            self._process.wait()
            raise BenchError("the plugin did not end when it was asked to") from None
        finally:
            self._process = None

    @property
    def log(self) -> str:
        """What it has said."""
        path = self.home / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _listens(self) -> bool:
        try:
            dial(self.port.socket_path).close()
        except OSError:
            return False
        return True


@contextlib.contextmanager
def running_service(
    build: Path, scratch: Path, settings: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """A service that has started."""
    with Service(build, scratch, settings) as service:
        service.start()
        yield service
