"""``docker service logs`` of a service with two replicas.

They print little: of a longer log the engine itself loses lines now and then and never ends, whatever the driver
(https://github.com/moby/moby/issues/38640; with a thousand lines, 11 of 25 readings of json-file).
"""

import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.private import Engine
from tests.docker.conftest import wait_until

LINES = 50
SCRIPT = (
    f"seq {LINES}; until [ -e /told/go ]; do sleep 0.05; done; echo {LINES + 1}; sleep infinity"
)
PATIENCE_S = 60


@pytest.fixture(scope="module")
def told(engine: Engine) -> Path:
    folder = engine.home / "told"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def service(engine: Engine, told: Path) -> Iterator[str]:
    """Two containers that print 1 to LINES, and one number more when they are told to."""
    # Any free port, and no other machine: private engines of other tests may be in swarms of their own.
    engine.docker("swarm", "init", "--advertise-addr=127.0.0.1", "--listen-addr=127.0.0.1:0")
    engine.docker(
        "service",
        "create",
        "--name=river",
        "--replicas=2",
        "--detach",
        "--no-resolve-image",
        "--log-driver=logboom",
        f"--mount=type=bind,source={told},target=/told",
        "bb",
        "sh",
        "-c",
        SCRIPT,
    )

    def has_all() -> bool:
        words = ("service", "logs", "--raw", "river")
        read = engine.docker(*words, check=False, timeout_s=PATIENCE_S).stdout
        return read.split().count(b"%d" % LINES) == 2

    wait_until("both replicas have printed", has_all)
    yield "river"
    engine.docker("service", "rm", "river")
    engine.docker("swarm", "leave", "--force")


def read_logs(engine: Engine, *words: str) -> bytes:
    return engine.docker("service", "logs", *words, timeout_s=PATIENCE_S).stdout


def by_replica(read: bytes) -> dict[str, list[int]]:
    """What each has printed, from lines like ``river.1.y1osqj414c58@host    | 7``."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for line in read.decode().splitlines():
        name, _, number = line.partition("|")
        numbers[".".join(name.split(".")[:2])].append(int(number))
    return dict(numbers)


def both(numbers: list[int]) -> dict[str, list[int]]:
    return {"river.1": numbers, "river.2": numbers} if numbers else {}


def test_all_lines_of_both_replicas_come(engine: Engine, service: str) -> None:
    assert by_replica(read_logs(engine, service)) == both(list(range(1, LINES + 1)))


@pytest.mark.parametrize("tail", [0, 1, 7, 2 * LINES])
def test_tail_counts_for_each_replica(tail: int, engine: Engine, service: str) -> None:
    read = read_logs(engine, f"--tail={tail}", service)
    assert by_replica(read) == both(list(range(max(LINES - tail, 0) + 1, LINES + 1)))


def test_since_is_heeded(engine: Engine, service: str) -> None:
    assert read_logs(engine, "--since=2100-01-01", service) == b""
    assert by_replica(read_logs(engine, "--since=1h", service)) == both(list(range(1, LINES + 1)))


def test_a_follower_sees_what_both_print(
    engine: Engine, service: str, told: Path, tmp_path: Path
) -> None:
    words = engine.docker_command("service", "logs", "--follow", "--tail=1", service)
    path = tmp_path / "followed"

    def has(number: int) -> bool:
        return path.read_bytes().count(b"| %d\n" % number) == 2

    with (
        path.open("wb") as output,
        subprocess.Popen(words, env=engine.environment, stdout=output) as client,
    ):
        try:
            wait_until("the last line of both", lambda: has(LINES))
            (told / "go").touch()
            wait_until("the new line of both", lambda: has(LINES + 1))
        finally:
            client.kill()
    assert by_replica(path.read_bytes()) == both([LINES, LINES + 1])
