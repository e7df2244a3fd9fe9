"""Shows Logboom at work on a private engine, which is thrown away afterwards."""

import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NoReturn, TypeVar

from engines.errors import EngineError
from engines.image import make_image
from engines.private import Engine

T = TypeVar("T")

BUILD = Path("build/plugin")

PRINTER = (
    'for i in 1 2 3 4 5 6 7 8; do echo "log $i floats by"; sleep 0.1; done; echo "the last one" >&2'
)
FOLLOWED = 'for i in 1 2 3 4; do echo "log $i arrives"; sleep 0.5; done'

# Enough lines that the start of a container does not show in the times.
LINES = 200_000
ROUNDS = 3
DRIVERS = ("logboom", "json-file", "local")

STORED_TIMEOUT_S = 30


def main() -> int:
    """Run the demo."""
    # So that the engine is stopped then, too.
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.monotonic()
    try:
        with Engine.start() as engine:
            run(engine)
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped, and the engine with it", file=sys.stderr)
        return 130
    say(
        f"The engine and all that was in it are gone. That took {time.monotonic() - started:.0f} s."
    )
    return 0


def run(engine: Engine) -> None:
    """Show everything."""
    data = engine.home / "data"
    version = engine.docker_text("version", "--format={{.Server.Version}}")
    say(f"A private engine, Docker {version}, in {engine.home}; the machine's own is left alone.")
    make_image(engine)
    step = time.monotonic()
    engine.install_plugin(BUILD, data=data)
    print(engine.docker_text("plugin", "ls"))
    print(f"installed and enabled in {time.monotonic() - step:.1f} s")
    show_reading(engine)
    show_following(engine)
    show_segments(engine, data)
    compare(engine, data)


def show_reading(engine: Engine) -> None:
    """Read the log of one container in several ways."""
    say("A container prints, and its log is read back.")
    show(
        engine, "run", "--name=river", "--log-driver=logboom", "bb", "sh", "-c", PRINTER, quiet=True
    )
    show(engine, "logs", "--tail=2", "river")
    times = [
        line.split(" ")[0] for line in show(engine, "logs", "--timestamps", "river").splitlines()
    ]
    show(engine, "logs", f"--since={times[6]}", "river")
    show(engine, "logs", f"--until={times[1]}", "river")


def show_following(engine: Engine) -> None:
    """Follow a container's log until the container ends."""
    say("A follower gets each line as it is printed, and ends with its container.")
    show(
        engine,
        "run",
        "--detach",
        "--name=brook",
        "--log-driver=logboom",
        "bb",
        "sh",
        "-c",
        FOLLOWED,
        quiet=True,
    )
    words = ("logs", "--follow", "brook")
    print(f"$ docker {' '.join(words)}")
    started = time.monotonic()
    command = engine.docker_command(*words)
    with subprocess.Popen(
        command, env=engine.environment, stdout=subprocess.PIPE, text=True
    ) as follower:
        for line in follower.stdout or ():
            print(f"{line.rstrip():<24}(after {time.monotonic() - started:.2f} s)", flush=True)
    print(f"{'':<24}(the follower ended after {time.monotonic() - started:.2f} s)")


def show_segments(engine: Engine, data: Path) -> None:
    """Show that the files are text to any tool that knows zstd."""
    say("No tool of ours is needed to read the files.")
    folder = stream(engine, data, "river")
    segments = wait_until_stored(folder)
    print(f"$ zstdcat {' '.join(map(str, segments))}")
    print(zstdcat(segments).decode(), end="")


def compare(engine: Engine, data: Path) -> None:
    """Print the same with three drivers, and say what it costs."""
    say(f"The same {LINES:,} lines, printed flat out with each driver; medians of {ROUNDS}.")
    text = make_lines()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        source = Path(folder, "lines")
        source.write_bytes(text)
        rows: dict[str, list[tuple[float, int, float, float]]] = {driver: [] for driver in DRIVERS}
        for number in range(ROUNDS):
            for driver in DRIVERS:
                rows[driver].append(measure(engine, data, driver, source, f"{driver}-{number}"))
    print(f"{'':12}{'printing, s':>12}{'on disk, MB':>12}{'reading, s':>12}{'tail 10, ms':>12}")
    for driver, measured in rows.items():
        printing_s, stored_bytes, reading_s, tail_s = map(
            statistics.median, zip(*measured, strict=True)
        )
        print(
            f"{driver:12}{printing_s:12.2f}{stored_bytes / 1e6:12.1f}{reading_s:12.2f}{tail_s * 1e3:12.0f}"
        )
    print(
        f"({len(text) / 1e6:.1f} MB of text; times with the docker client's own, and each log was read back whole)"
    )


def measure(
    engine: Engine, data: Path, driver: str, source: Path, name: str
) -> tuple[float, int, float, float]:
    """Seconds to print, bytes on disk, seconds to read all, seconds to read the last ten."""
    words = (
        f"--name={name}",
        f"--log-driver={driver}",
        f"--volume={source}:/lines:ro",
        "bb",
        "cat",
        "/lines",
    )

    engine.docker("run", "--detach", *words)
    engine.docker("wait", name)
    printing_s = time.time() - started_s(engine, name)
    if driver == "logboom":
        files = wait_until_stored(stream(engine, data, name))
    else:
        folder = engine.data_root / "containers" / identifier(engine, name)
        files = [path for path in folder.rglob("*") if "log" in path.name and path.is_file()]
    stored_bytes = sum(path.stat().st_size for path in files)
    reading_s, read = timed(lambda: engine.docker("logs", name).stdout)
    if read != source.read_bytes():
        raise EngineError(f"docker logs of {driver} is not what the container printed")
    tail_s, _ = timed(lambda: engine.docker("logs", "--tail=10", name))
    engine.docker("rm", name)
    return printing_s, stored_bytes, reading_s, tail_s


def started_s(engine: Engine, name: str) -> float:
    """When a container was started, in seconds of the system's clock."""
    moment = engine.docker_text("inspect", "--format={{.State.StartedAt}}", name)
    # Nine digits of a second are more than Python reads.
    return datetime.fromisoformat(f"{moment[:26].rstrip('Z')}+00:00").timestamp()


def make_lines() -> bytes:
    """Lines as a web server prints them, the same in every run."""
    source = random.Random(20)  # noqa: S311 (no secret)
    paths = [
        f"/{'/'.join(source.choices(('api', 'v1', 'users', 'orders', 'static', 'search'), k=3))}"
        for _ in range(300)
    ]
    lines = []
    moment = 1_700_000_000.0
    for _ in range(LINES):
        moment += source.expovariate(200)
        address = f"10.{source.randrange(4)}.{source.randrange(256)}.{source.randrange(256)}"
        path = source.choice(paths)
        size = int(source.lognormvariate(8, 2))
        status = source.choices((200, 304, 404, 500), (90, 6, 3, 1))[0]
        lines.append(
            f'{address} - - [{moment:.3f}] "GET {path}?id={source.randrange(10**6)} HTTP/1.1" {status} {size}'
        )
    return ("\n".join(lines) + "\n").encode()


def stream(engine: Engine, data: Path, name: str) -> Path:
    """The folder of a container's stream."""
    return data / "logboom/containers" / identifier(engine, name)


def identifier(engine: Engine, name: str) -> str:
    """The full id of a container."""
    return engine.docker_text("inspect", "--format={{.Id}}", name)


def wait_until_stored(folder: Path) -> list[Path]:
    """The segments of a stream whose container has ended, once all of it is in them.

    Raises:
        EngineError: it takes too long.
    """
    deadline = time.monotonic() + STORED_TIMEOUT_S
    while True:
        segments = sorted(folder.glob("*.zst"))
        if segments and not list(folder.glob("*.journal")):
            return segments
        if time.monotonic() > deadline:
            raise EngineError(f"after {STORED_TIMEOUT_S} s there are still journals in {folder}")
        time.sleep(0.02)


def zstdcat(files: list[Path]) -> bytes:
    """What zstd makes of the files."""
    return subprocess.run(["zstdcat", *files], check=True, capture_output=True).stdout


def show(engine: Engine, *words: str, quiet: bool = False) -> str:
    """Run the docker client as a person would, and print what they would see, unless ``quiet``."""
    print(
        "$ docker " + " ".join(f"'{word}'" if " " in word else word for word in words), flush=True
    )
    result = engine.docker(*words)
    output = (result.stdout + result.stderr).decode()
    if not quiet:
        print(output, end="", flush=True)
    return output


def timed(action: Callable[[], T]) -> tuple[float, T]:
    """Seconds that it took, and its result."""
    started = time.monotonic()
    result = action()
    return time.monotonic() - started, result


def say(text: str) -> None:
    """A heading."""
    print(f"\n== {text}", flush=True)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
