"""Whatever the state of the store, containers start and end, and ``docker logs`` says what is wrong."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from engines.private import Engine
from tests.docker.support import DEADLINE_S, POLL_S, remove_containers, worker_pid


def read_only(engine: Engine, data: Path) -> None:
    engine.run_inside(f"mount -t tmpfs -o ro store {data}")


def full(engine: Engine, data: Path) -> None:
    engine.run_inside(
        f"mount -t tmpfs -o size=64k store {data}; head -c 1m /dev/zero >{data}/filler || true"
    )


def file_in_place_of_the_folder(_engine: Engine, data: Path) -> None:
    (data / "logboom").write_text("not a folder")


def with_an_unreadable_format(_engine: Engine, data: Path) -> None:
    (data / "logboom").mkdir()
    (data / "logboom/format").write_bytes(b"\xff" * 100)


def with_a_file_in_place_of_the_containers(_engine: Engine, data: Path) -> None:
    (data / "logboom").mkdir()
    (data / "logboom/containers").write_text("not a folder")


BREAKS: dict[Callable[[Engine, Path], None], str] = {
    read_only: "Read-only file system",
    file_in_place_of_the_folder: "cannot create /data/logboom: File exists",
    with_an_unreadable_format: "format",
    with_a_file_in_place_of_the_containers: "containers",
    full: "No space left",
}


@pytest.fixture(params=BREAKS, ids=lambda make: make.__name__)
def broken(
    request: pytest.FixtureRequest, bare_engine: Engine, plugin_build: Path
) -> Iterator[tuple[Engine, str]]:
    """An engine whose plugin has a store that cannot be used, and what its fault is called."""
    data = bare_engine.home / "broken"
    data.mkdir()
    request.param(bare_engine, data)
    bare_engine.install_plugin(plugin_build, data=data)
    yield bare_engine, BREAKS[request.param]
    remove_containers(bare_engine)
    bare_engine.remove_plugin()
    bare_engine.run_inside(f"umount {data} 2>/dev/null || true; rm -r {data}")


def test_containers_start_and_docker_logs_says_what_is_wrong(broken: tuple[Engine, str]) -> None:
    engine, fault = broken
    words = ("--network=none", "--log-driver=logboom")
    # Much more than a pipe holds: a container must never wait for a disk that refuses.
    printed = engine.docker("run", "--name=first", *words, "bb", "seq", "300000", timeout_s=60)
    assert printed.returncode == 0
    engine.docker("run", "--detach", "--name=second", *words, "bb", "sh", "-c", "echo x; sleep 600")
    for name in ("first", "second"):
        read = engine.docker("logs", name, timeout_s=60)
        said = read.stderr.decode()
        assert "logboom:" in said, read.stdout[:200]
        assert fault in said
    assert worker_pid(engine) is not None
    assert "Traceback" not in engine.log
    engine.docker("kill", "second", timeout_s=60)


def test_a_store_of_a_newer_version_is_not_touched_and_entries_are_kept_beside_it(
    bare_engine: Engine, plugin_build: Path
) -> None:
    engine = bare_engine
    data = engine.home / "newer"
    newer = data / "logboom"
    (newer / "containers").mkdir(parents=True)
    (newer / "format").write_text("logboom store 1000\n")
    (newer / "containers/other").write_text("of a form that is not known yet")
    before = {path: path.stat().st_mtime_ns for path in [newer, *newer.rglob("*")]}
    engine.install_plugin(plugin_build, data=data)
    words = ("--name=beside", "--network=none", "--log-driver=logboom")
    engine.docker("run", *words, "bb", "echo", "hello")
    read = engine.docker("logs", "beside", timeout_s=60)
    assert read.stdout == b"hello\n"
    for said in (
        "/data/logboom/format has format 1000; this version reads up to 1",
        "new entries are kept in /data/logboom-format1",
    ):
        assert said in read.stderr.decode()
        assert said in engine.log
    container_id = engine.docker_text("inspect", "--format={{.Id}}", "beside").strip()
    engine.docker("rm", "beside")
    engine.remove_plugin()
    after = {path: path.stat().st_mtime_ns for path in [newer, *newer.rglob("*")]}
    assert after == before
    assert list((data / "logboom-format1/containers" / container_id).glob("*.zst"))


async def test_a_store_that_is_mended_takes_new_entries_and_says_what_is_missing(
    bare_engine: Engine, plugin_build: Path
) -> None:
    engine = bare_engine
    data = engine.home / "mended"
    data.mkdir()
    file_in_place_of_the_folder(engine, data)
    engine.install_plugin(plugin_build, data=data)
    folder = engine.home / "told"
    folder.mkdir()
    script = "echo first; until [ -e /told/go ]; do sleep 0.05; done; while true; do echo second; sleep 0.05; done"
    words = ("--name=patient", "--network=none", "--log-driver=logboom", f"--volume={folder}:/told")
    engine.docker("run", "--detach", *words, "bb", "sh", "-c", script)
    assert b"logboom:" in engine.docker("logs", "patient").stderr
    (data / "logboom").unlink()
    (folder / "go").touch()
    with trio.fail_after(DEADLINE_S):
        while b"second" not in (read := engine.docker("logs", "patient")).stdout:
            await trio.sleep(POLL_S)
    # What was dropped is said in the log itself, for ever.
    assert b"first" not in read.stdout
    assert b"logboom:" in read.stderr
    assert b"were dropped" in read.stderr
    engine.docker("rm", "--force", "patient")
    engine.remove_plugin()
