"""A private engine with all the drivers that are measured, and containers on it that print."""

import contextlib
import shutil
import subprocess
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benches.bench import Bench
from benches.connection import call_checked, open_stream
from benches.errors import BenchError
from benches.plugin import PluginPort
from benches.processes import cpu_s
from engines.image import make_image
from engines.private import Engine

LOGBOOM = "logboom"
NULL = "null"
NONE = "none"
JSON_FILE = "json-file"
LOCAL = "local"

OPTIONS: Mapping[str, Mapping[str, str]] = {
    # With its default of five files it would drop more than half of what is printed here, and read faster.
    LOCAL: {"max-size": "20m", "max-file": "1000"},
}
"""Log options of a driver where its defaults are not compared."""

READABLE = (LOGBOOM, JSON_FILE, LOCAL)

NULL_START_TIMEOUT_S = 10
LISTED_TIMEOUT_S = 300

GROWTH_S = 0.5
"""A log whose files have not grown for so long is looked at."""


class Yard:
    """The engine, its socket and its processes. Made by ``open_yard``."""

    def __init__(self, bench: Bench, engine: Engine, drivers: Sequence[str]) -> None:
        self.engine = engine
        self.drivers = drivers
        self.data = engine.home / "data"
        self.texts = engine.home / "texts"
        self.texts.mkdir()
        self.version = engine.docker_text("version", "--format={{.Server.Version}}")
        make_image(engine, {"printer": bench.programs.printer})
        self._null: subprocess.Popen[bytes] | None = None
        if LOGBOOM in drivers:
            engine.install_plugin(bench.build, data=self.data)
        if NULL in drivers:
            self._null = self._start_null(bench)

    def _start_null(self, bench: Bench) -> subprocess.Popen[bytes]:
        """The engine has its own ``/run``, which can be reached from outside by its process."""
        root = Path(f"/proc/{self.engine.dockerd_pid}/root")
        process = subprocess.Popen([str(bench.programs.bench), "null", "--root", str(root)])
        deadline = time.monotonic() + NULL_START_TIMEOUT_S
        while not (root / "run/docker/plugins/null.sock").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise BenchError("the plugin that reads and drops did not start")
            time.sleep(0.01)
        return process

    def close(self) -> None:
        """End what runs beside the engine."""
        if self._null is not None:
            self._null.terminate()
            self._null.wait()

    def plugin_pids(self, driver: str) -> list[int]:
        """The processes of the plugin that a driver is; none for those in dockerd itself."""
        if driver == LOGBOOM:
            return self.engine.plugin_pids()
        if driver == NULL and self._null is not None:
            return [self._null.pid]
        return []

    def port(self) -> PluginPort:
        """The way to Logboom past dockerd."""
        identifier = self.engine.docker_text("plugin", "inspect", "--format={{.Id}}", LOGBOOM)
        root = Path(f"/proc/{self.engine.dockerd_pid}/root")
        return PluginPort(
            socket_path=root / "run/docker/plugins" / identifier / "logboom.sock",
            fifo_folder=self.engine.data_root / "plugins" / identifier / "propagated-mount/logging",
            store=self.data / "logboom",
        )

    def add_text(self, name: str, text: bytes) -> str:
        """Keep a text, and give its path as containers see it."""
        (self.texts / name).write_bytes(text)
        return f"/texts/{name}"

    def create(
        self, driver: str, command: Sequence[str], options: Mapping[str, str] | None = None
    ) -> "Container":
        """A container that runs the printer, not started yet."""
        document = {
            "Image": "bb",
            "Cmd": ["printer", *command],
            "HostConfig": {
                "LogConfig": {
                    "Type": driver,
                    "Config": dict(OPTIONS.get(driver, {}) if options is None else options),
                },
                "NetworkMode": "none",
                "Binds": [f"{self.texts}:/texts:ro"],
            },
        }
        created = call_checked(self.engine.socket, "POST", "/containers/create", document)
        return Container(self, driver, created["Id"])


class Container:
    """A container with one of the drivers."""

    def __init__(self, yard: Yard, driver: str, identifier: str) -> None:
        self.driver = driver
        self.id = identifier
        self._yard = yard

    def _call(self, method: str, target: str) -> dict[str, Any]:
        return call_checked(self._yard.engine.socket, method, f"/containers/{self.id}{target}")

    def start(self) -> None:
        """Run it."""
        self._call("POST", "/start")

    def wait(self) -> None:
        """Wait until it has ended and its driver has taken all.

        Raises:
            BenchError: the printer failed.
        """
        code = self._call("POST", "/wait")["StatusCode"]
        if code:
            raise BenchError(
                f"the printer ended with {code}; `printer` says why in the log of {self.id}"
            )

    def kill(self) -> None:
        """End it, and wait for that."""
        self._call("POST", "/kill")
        self._call("POST", "/wait")

    def remove(self) -> None:
        """Remove it, running or not."""
        self._call("DELETE", "?force=true")

    def running_s(self) -> float:
        """How long its program ran, by the engine."""
        state = self._call("GET", "/json")["State"]
        elapsed_ns = _instant_ns(state["FinishedAt"]) - _instant_ns(state["StartedAt"])
        # Midnight may lie between.
        return elapsed_ns % (86_400 * 10**9) / 1e9

    def stored_files(self) -> list[Path]:
        """The files in which its driver keeps its log."""
        if self.driver == LOGBOOM:
            return sorted(self._yard.port().stream_folder(self.id).glob("*.zst"))
        folder = self._yard.engine.data_root / "containers" / self.id
        if self.driver == LOCAL:
            return sorted((folder / "local-logs").glob("container.log*"))
        return sorted(folder.glob("*-json.log*"))

    def stored_bytes(self) -> int:
        """How long these are together."""
        total = 0
        for path in self.stored_files():
            # A driver may rotate or cut its files at any moment.
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def logs_head(self, **query: object) -> bytes:
        """The request of ``docker logs`` as it is on the wire; the answer ends with the connection."""
        words = urllib.parse.urlencode({"stdout": 1, "stderr": 1, **query})
        return (
            f"GET /containers/{self.id}/logs?{words} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
        )

    def timed_logs(self, head: bytes) -> tuple[float, bytes]:
        """Seconds from the dialling to the last byte, and the answer."""
        started = time.perf_counter()
        connection, received = open_stream(self._yard.engine.socket, head)
        with connection:
            pieces = [received]
            while piece := connection.recv(1 << 20):
                pieces.append(piece)
        elapsed_s = time.perf_counter() - started
        return elapsed_s, b"".join(pieces)

    def lines(self, **query: object) -> list[bytes]:
        """What ``docker logs`` prints, line by line."""
        _, answer = self.timed_logs(self.logs_head(**query))
        return b"".join(split_output(answer)).splitlines()

    def wait_for_line(self, line: bytes) -> None:
        """Wait until its last line is this one.

        Raises:
            BenchError: it takes too long.
        """
        deadline = time.monotonic() + LISTED_TIMEOUT_S
        before = -1
        # To ask while it prints would take local longer than the printing.
        while (now := self.stored_bytes()) != before or self.lines(tail=1) != [line]:
            if time.monotonic() > deadline:
                raise BenchError(
                    f"{self.driver} has not got the line {line!r} in {LISTED_TIMEOUT_S} s"
                )
            before = now
            time.sleep(GROWTH_S)


def split_output(answer: bytes) -> Iterator[bytes]:
    """The contents of the engine's pieces: each has a header of eight bytes, the last four its length."""
    position = 0
    while position < len(answer):
        end = position + 8 + int.from_bytes(answer[position + 4 : position + 8], "big")
        yield answer[position + 8 : end]
        position = end


def dockerd_and_plugin_cpu_s(yard: Yard, driver: str) -> tuple[float, float]:
    """Seconds on a core so far: dockerd's, and those of the plugin that the driver is."""
    return cpu_s([yard.engine.dockerd_pid]), cpu_s(yard.plugin_pids(driver))


@contextlib.contextmanager
def open_yard(bench: Bench, drivers: Sequence[str]) -> Iterator[Yard]:
    """An engine with these drivers, stopped in the end whatever happens."""
    if not (bench.build / "config.json").exists():
        raise BenchError(f"{bench.build} is missing: run `make plugin`")
    if shutil.which("docker") is None:
        raise BenchError("the docker client is missing: apt-get install docker.io docker-cli")
    with Engine.start(bench.engine) as engine, contextlib.ExitStack() as stack:
        yard = Yard(bench, engine, drivers)
        stack.callback(yard.close)
        yield yard


def _instant_ns(text: str) -> int:
    """Nanoseconds of an instant in UTC, as ``2024-01-02T03:04:05.123456789Z``, since the day's beginning."""
    clock = text.partition("T")[2].removesuffix("Z")
    hours, minutes, seconds = clock.split(":")
    whole, _, fraction = seconds.partition(".")
    return (int(hours) * 3600 + int(minutes) * 60 + int(whole)) * 10**9 + int(
        fraction.ljust(9, "0")
    )
