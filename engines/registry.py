"""A registry for plugins on this machine, thrown away afterwards.

Docker takes plugins by plain HTTP from a registry whose name is ``localhost`` only.
"""

import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Self

from engines.debian import default_cache
from engines.errors import EngineError

PACKAGE = "docker-registry"
USUAL_PORT = 5000
START_TIMEOUT_S = 30

_CONFIGURATION = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class Registry:
    """A running registry; a context manager that stops it and removes what it holds.

    Attributes:
        address: how plugins are named in it, as ``localhost:5000``.
    """

    def __init__(self, cache: Path | None = None) -> None:
        """Start it, on port 5000 when that is free, else on any other.

        Args:
            cache: where the program is kept if this machine has none; as for engines.

        Raises:
            EngineError: the program cannot be had, or does not start.
        """
        program = _program(cache or default_cache())
        port = _free_port()
        self.address = f"localhost:{port}"
        self._folder = Path(tempfile.mkdtemp(prefix="registry-", dir="/var/tmp"))
        configuration = self._folder / "config.yml"
        configuration.write_text(_CONFIGURATION.format(folder=self._folder, port=port))
        log = self._folder / "log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [program, "serve", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-1000:]
                self.stop()
                raise EngineError(f"the registry at {self.address} does not start: {said}")
            time.sleep(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it and remove what it holds."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder)


def _free_port() -> int:
    for port in (USUAL_PORT, 0):
        with socket.socket() as trial:
            # As the registry does, so that connections of an earlier one do not keep the port.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(trial.getsockname()[1])
    raise EngineError("no TCP port is free on this machine")


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5):
            return True
    except OSError:
        return False


def _program(cache: Path) -> str:
    """The machine's own program, or one that is unpacked and not installed: the package comes with a service."""
    own = shutil.which(PACKAGE)
    if own is not None:
        return own
    folder = cache / PACKAGE
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as work:
            partial = Path(work, "unpacked")
            try:
                subprocess.run(["apt-get", "-qq", "download", PACKAGE], cwd=work, check=True)
                (package,) = Path(work).glob("*.deb")
                subprocess.run(["dpkg-deb", "--extract", package, partial], check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                raise EngineError(
                    f"the program {PACKAGE} is missing and could not be had: {error}"
                ) from error
            partial.rename(folder)
    return str(folder / "usr/bin" / PACKAGE)
