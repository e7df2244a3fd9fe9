"""``docker service logs`` of a service with two replicas."""

import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.private import Engine
from tests.docker.conftest import wait_until

SCRIPT = "for i in $(seq 1000); do echo $i; done; until [ -e /told/go ]; do sleep 0.05; done; echo 1001; sleep infinity"


@pytest.fixture(scope="module")
def told(engine: Engine) -> Path:
    folder = engine.home / "told"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def service(engine: Engine, told: Path) -> Iterator[str]:
    """Two containers that print 1 to 1000, and 1001 when they are told to."""
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
        read = engine.docker("service", "logs", "--raw", "river", check=False).stdout
        return read.split().count(b"1000") == 2

    wait_until("both replicas have printed", has_all)
    yield "river"
    engine.docker("service", "rm", "river")
    engine.docker("swarm", "leave", "--force")


def by_replica(read: bytes) -> dict[str, list[int]]:
    """What each has printed, from lines like ``river.1.y1osqj414c58@host    | 7``."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for line in read.decode().splitlines():
        name, _, number = line.partition("|")
        numbers[".".join(name.split(".")[:2])].append(int(number))
    return dict(numbers)


def test_all_lines_of_both_replicas_come(engine: Engine, service: str) -> None:
    read = engine.docker("service", "logs", service).stdout
    wanted = list(range(1, 1001))
    assert by_replica(read) == {"river.1": wanted, "river.2": wanted}


@pytest.mark.parametrize("tail", [0, 1, 7, 2000])
def test_tail_counts_for_each_replica(tail: int, engine: Engine, service: str) -> None:
    read = engine.docker("service", "logs", f"--tail={tail}", service).stdout
    wanted = list(range(1, 1001))[-tail:] if tail else []
    assert by_replica(read) == ({"river.1": wanted, "river.2": wanted} if tail else {})


def test_since_is_heeded(engine: Engine, service: str) -> None:
    assert engine.docker("service", "logs", "--since=2100-01-01", service).stdout == b""
    assert len(engine.docker("service", "logs", "--since=1h", service).stdout.splitlines()) == 2000


def test_a_follower_sees_what_both_print(engine: Engine, service: str, told: Path) -> None:
    (told / "go").unlink(missing_ok=True)
    words = engine.docker_command("service", "logs", "--follow", "--tail=1", service)
    with subprocess.Popen(words, env=engine.environment, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        read = b""
        try:
            while read.count(b"| 1000\n") < 2:
                read += os.read(client.stdout.fileno(), 65536)
            (told / "go").touch()
            while read.count(b"| 1001\n") < 2:
                read += os.read(client.stdout.fileno(), 65536)
        finally:
            client.kill()
    assert by_replica(read) == {"river.1": [1000, 1001], "river.2": [1000, 1001]}
