"""``logboom import``: json-file logs go through a service that runs, whole, once, in their own order."""

import errno
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from logboom.cli.json_logs import DAMAGE_TOLD_LIMIT
from logboom.cli.session import Service, is_unfinished, session
from tests.conformance.worker import Worker
from tests.support.fake_docker import go_json, go_time

ID = "3f2a9c" + "0" * 58
START_NS = 1_769_860_800_000_000_000
"""2026-01-31T12:00:00Z."""

DEADLINE_S = 30


def line(second: float, log: str, *, stream: str = "stdout") -> bytes:
    """As dockerd writes it."""
    time_text = go_time(START_NS + round(second * 10**9))
    return go_json({"log": log, "stream": stream, "time": time_text})


class DockerFolder:
    """A folder of a container below ``/var/lib/docker/containers``."""

    def __init__(self, root: Path, container_id: str = ID, name: str = "/web") -> None:
        self.path = root / container_id
        self.path.mkdir(parents=True)
        self.container_id = container_id
        self.config: dict[str, Any] = {
            "State": {"Running": False},
            "ID": container_id,
            "Created": go_time(START_NS),
            "Path": "sh",
            "Args": ["-c", "true"],
            "Config": {"Env": ["SECRET=1"], "Image": "bb", "Labels": {"a": "b"}},
            "Image": "sha256:0",
            "Name": name,
        }
        self.log_config: dict[str, Any] = {"Type": "json-file", "Config": {"compress": "false"}}
        self.write()

    def write(self) -> None:
        (self.path / "config.v2.json").write_text(json.dumps(self.config))
        (self.path / "hostconfig.json").write_text(json.dumps({"LogConfig": self.log_config}))

    def log(self, content: bytes, suffix: str = "") -> Path:
        path = self.path / f"{self.container_id}-json.log{suffix}"
        path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
        return path


@pytest.fixture
def docker_folder(folder: Path) -> DockerFolder:
    return DockerFolder(folder / "docker")


@pytest.fixture
def worker(folder: Path) -> Iterator[Worker]:
    with Worker(folder) as running:
        wait_until((running.data / "format").exists)
        yield running


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def environment(worker: Worker, variables: Mapping[str, str]) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("LOGBOOM_")}
    given = {
        "LOGBOOM_SOCKET": str(worker.folder / "s"),
        "LOGBOOM_DATA": str(worker.data),
        "LOGBOOM_FIFO_ROOT": str(worker.folder),
        "TZ": "UTC",
    }
    return {**kept, **given, **variables}


def run(
    worker: Worker, *words: str | Path, code: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "logboom", *words],
        env=environment(worker, variables),
        capture_output=True,
        check=False,
        timeout=60,
        text=True,
    )
    assert done.returncode == code, done.stderr
    return done


def test_rotated_and_compressed_files_are_one_log(
    worker: Worker, docker_folder: DockerFolder
) -> None:
    docker_folder.log(line(0, "one\n") + line(1, "two\n", stream="stderr"), ".10.gz")
    docker_folder.log(line(2, "three\n"), ".2.gz")
    docker_folder.log(line(3, "four, a piece"), ".1")
    # Docker was ended while it compressed this one.
    (docker_folder.path / f"{ID}-json.log.1.gz").write_bytes(b"\x1f\x8b")
    docker_folder.log(line(4, ", and its end\n"))
    done = run(worker, "import", docker_folder.path)
    assert (done.stdout, done.stderr) == (f"web ({ID[:12]}): 5 entries from 4 files\n", "")
    shown = run(worker, "logs", "--utc", "-t", "web")
    assert (shown.stdout, shown.stderr) == (
        "2026-01-31T12:00:00.000000000Z one\n"
        "2026-01-31T12:00:02.000000000Z three\n"
        "2026-01-31T12:00:03.000000000Z four, a piece2026-01-31T12:00:04.000000000Z , and its end\n",
        "2026-01-31T12:00:01.000000000Z two\n",
    )
    (listed,) = map(json.loads, run(worker, "ls", "--json").stdout.splitlines())
    assert (listed["name"], listed["id"], listed["image"]) == ("web", ID, "bb")
    assert listed["labels"] == {"a": "b"}
    assert not (worker.data / "importing").exists()


def test_a_second_time_nothing_is_doubled(worker: Worker, docker_folder: DockerFolder) -> None:
    docker_folder.log(line(0, "one\n"))
    run(worker, "import", docker_folder.path)
    done = run(worker, "import", docker_folder.path)
    assert done.stdout.endswith(": passed over: it is in the store\n")
    assert run(worker, "logs", "web").stdout == "one\n"


def test_it_comes_before_newer_containers_of_its_name(
    worker: Worker, docker_folder: DockerFolder
) -> None:
    newer = DockerFolder(worker.folder / "docker", "b" * 64)
    newer.config["Created"] = go_time(START_NS + 10**12)
    newer.write()
    newer.log(line(1000, "new\n"))
    docker_folder.log(line(0, "old\n"))
    run(worker, "import", newer.path)
    run(worker, "import", docker_folder.path)
    assert run(worker, "logs", "web").stdout == "old\nnew\n"
    assert run(worker, "logs", "--last", "web").stdout == "new\n"


def test_damage_is_passed_over_and_told(worker: Worker, docker_folder: DockerFolder) -> None:
    whole, end = line(0, "whole\n"), line(1, "end\n")
    docker_folder.log(whole + b"\0" * 100 + end + whole[:30])
    cut = docker_folder.log(line(2, "x" * 100_000 + "\n"), ".1.gz")
    os.truncate(cut, cut.stat().st_size - 8)
    done = run(worker, "import", docker_folder.path)
    assert done.stdout.startswith(f"web ({ID[:12]}): 3 entries")
    told = done.stderr.splitlines()
    path = docker_folder.path / f"{ID}-json.log"
    assert [text.split(": it is")[0] for text in told[1:]] == [
        f"web ({ID[:12]}): passed over: {path}: byte {len(whole)}",
        f"web ({ID[:12]}): passed over: {path}: byte {len(whole) + 100 + len(end)}",
    ]
    assert f"{cut}: byte" in told[0]
    assert run(worker, "logs", "web").stdout.endswith("whole\nend\n")


def test_of_much_damage_some_is_told_and_all_counted(
    worker: Worker, docker_folder: DockerFolder
) -> None:
    docker_folder.log(b"{\n" * DAMAGE_TOLD_LIMIT + line(0, "one\n"), ".1")
    docker_folder.log(b"{\n" * 2000 + line(1, "two\n"))
    told = run(worker, "import", docker_folder.path).stderr.splitlines()
    assert len(told) == DAMAGE_TOLD_LIMIT + 1
    assert told[-1].endswith("passed over: 2,000 more")
    assert run(worker, "logs", "web").stdout == "one\ntwo\n"


def test_files_alone_have_a_name_that_is_given(worker: Worker, folder: Path) -> None:
    log = folder / f"{ID}-json.log"
    log.write_bytes(line(0, "one\n"))
    other = folder / "kept.log.gz"
    other.write_bytes(gzip.compress(line(1, "two\n")))
    assert "give --id" in run(worker, "import", "--name", "web", other, code=1).stderr
    run(worker, "import", "--name", "web", log)
    run(worker, "import", "--name", "web", "--id", "kept", other)
    assert run(worker, "logs", "web").stdout == "one\ntwo\n"
    assert "need --name" in run(worker, "import", log, code=2).stderr
    # It was asked for a name.
    assert "does not exist" in run(worker, "import", folder / "none", code=2).stderr
    assert "not both" in run(worker, "import", log, folder, code=2).stderr


def test_what_cannot_be_imported_keeps_nothing_else_from_it(
    worker: Worker, docker_folder: DockerFolder
) -> None:
    root = worker.folder / "docker"
    docker_folder.log(line(0, "one\n"))
    running = DockerFolder(root, "1" * 64, "/running")
    running.config["State"]["Running"] = True
    running.write()
    local = DockerFolder(root, "2" * 64, "/local")
    local.log_config["Type"] = "local"
    local.write()
    damaged = DockerFolder(root, "4" * 64)
    (damaged.path / "config.v2.json").write_bytes(b"\0" * 100)
    elsewhere = DockerFolder(root, "5" * 64)
    elsewhere.config["ID"] = "../../elsewhere"
    elsewhere.write()
    done = run(worker, "import", *sorted(root.iterdir()), code=1)
    assert "stop it first" in done.stderr
    assert "is damaged" in done.stderr
    assert "is no container id" in done.stderr
    assert "its log driver is local" in done.stdout
    assert [json.loads(each)["id"] for each in run(worker, "ls", "--json").stdout.splitlines()] == [
        ID
    ]


def test_one_that_was_killed_is_told_apart(worker: Worker, docker_folder: DockerFolder) -> None:
    docker_folder.log(line(1, "last\n"))
    # Lines come out of it, and no end.
    endless = docker_folder.path / f"{ID}-json.log.1"
    os.mkfifo(endless)
    with (
        endless.open("r+b", buffering=0) as feeding,
        subprocess.Popen(
            [sys.executable, "-m", "logboom", "import", docker_folder.path],
            env=environment(worker, {}),
        ) as started,
    ):
        feeding.write(line(0, "first\n") * 1000)
        wait_until((worker.data / "containers" / ID).exists)
        assert "in the store" in run(worker, "import", docker_folder.path).stdout
        started.kill()
    endless.unlink()
    done = run(worker, "import", docker_folder.path, code=1)
    assert f"logboom rm {ID}" in done.stderr
    run(worker, "rm", "--force", ID)
    assert not (worker.data / "importing").exists()
    run(worker, "import", docker_folder.path)
    assert run(worker, "logs", "web").stdout == "last\n"


def test_without_a_service_it_says_so(worker: Worker, docker_folder: DockerFolder) -> None:
    docker_folder.log(line(0, "one\n"))
    done = run(
        worker, "import", docker_folder.path, code=1, LOGBOOM_SOCKET=str(worker.folder / "none")
    )
    assert "no worker answers at" in done.stderr
    # Nothing was begun, so nothing is in the way.
    run(worker, "import", docker_folder.path)


def test_what_is_in_the_way_of_its_folder_is_told(
    worker: Worker, docker_folder: DockerFolder
) -> None:
    docker_folder.log(line(0, "one\n"))
    importing = worker.data / "importing"
    importing.write_bytes(b"")
    (told,) = run(worker, "import", docker_folder.path, code=1).stderr.splitlines()
    assert f"Not a directory: '{importing}" in told
    importing.unlink()
    run(worker, "import", docker_folder.path)


def test_a_session_without_a_fifo_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "mkfifo", refuse)
    service = Service("socket", str(folder), "/data")
    with (
        pytest.raises(OSError, match="No space"),
        session(service, str(folder), {"ContainerID": ID}),
    ):
        pass
    assert not is_unfinished(str(folder), ID)
    assert list(folder.iterdir()) == []


def test_the_worker_may_be_killed_meanwhile(worker: Worker, docker_folder: DockerFolder) -> None:
    count = 60_000
    docker_folder.log(b"".join(line(second, f"{second}\n") for second in range(count)))
    with subprocess.Popen(
        [sys.executable, "-m", "logboom", "import", docker_folder.path],
        env=environment(worker, {}),
        stdout=subprocess.PIPE,
    ) as started:
        wait_until((worker.data / "containers" / ID).exists)
        worker.kill()
        assert started.stdout is not None
        assert b"60,000 entries" in started.stdout.read()
    assert started.returncode == 0
    assert run(worker, "logs", "web").stdout == "".join(f"{second}\n" for second in range(count))
