"""Logboom as the engine's default driver: whatever its store looks like, the engine and all containers come up.

An engine whose default driver does not come up does not start, or panics, and then nothing on the machine runs.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import trio

from engines.image import make_image
from engines.private import Engine, Version
from tests.docker.support import DEADLINE_S, POLL_S, docker

CONTAINERS = 20

UP_S = 15
"""So long after the engine answers, all containers run."""

ENDED_STREAMS = 100_000
LINKS = 50_000
"""They share their files, of which ext4 lets 65,000 be one."""

SCRIPT = "while true; do echo here; sleep 0.2; done"

Break = Callable[[Engine, Path], AbstractContextManager[None]]


@contextmanager
def full(engine: Engine, store: Path) -> Iterator[None]:
    engine.run_inside(f"mount -t tmpfs -o size=64k full {store}")
    engine.run_inside(f"head -c 1m /dev/zero >{store}/filler 2>/dev/null || true")
    try:
        yield
    finally:
        engine.run_inside(f"umount --lazy {store}")


@contextmanager
def read_only(engine: Engine, store: Path) -> Iterator[None]:
    engine.run_inside(f"mount -t tmpfs -o ro read-only {store}")
    try:
        yield
    finally:
        engine.run_inside(f"umount --lazy {store}")


@contextmanager
def with_a_damaged_format(_engine: Engine, store: Path) -> Iterator[None]:
    path = store / "format"
    kept = path.read_bytes()
    path.write_bytes(b"\xff" * 40)
    try:
        yield
    finally:
        path.write_bytes(kept)


@contextmanager
def written_by_a_newer_version(_engine: Engine, store: Path) -> Iterator[None]:
    path = store / "format"
    kept = path.read_bytes()
    path.write_text("logboom store 1000\n")
    try:
        yield
    finally:
        path.write_bytes(kept)


@contextmanager
def held_by_another_process(_engine: Engine, store: Path) -> Iterator[None]:
    with (store / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def with_an_unreadable_setting(engine: Engine, _store: Path) -> Iterator[None]:
    # A plugin that is the default driver can only be set while the engine runs on another one.
    set_plugin(engine, "LOGBOOM_MAX_SIZE=a lot")
    yield
    engine.end_dockerd()
    set_plugin(engine, "LOGBOOM_MAX_SIZE=20m")
    engine.start_dockerd()


@contextmanager
def with_many_ended_streams(_engine: Engine, store: Path) -> Iterator[None]:
    source = first = next((store / "containers").glob("*/*.zst"))
    for number in range(ENDED_STREAMS):
        segment = store / f"containers/{number:064x}" / source.name
        segment.parent.mkdir()
        if number % LINKS == 0:
            first = segment
            first.write_bytes(source.read_bytes())
        else:
            os.link(first, segment)
    yield


BREAKS: dict[Break, str] = {
    full: "No space left",
    read_only: "Read-only file system",
    with_a_damaged_format: "names no format",
    written_by_a_newer_version: "has format 1000",
    held_by_another_process: "lock",
    with_an_unreadable_setting: "",
    with_many_ended_streams: "",
}
"""What is done to the store while the engine is down, and what ``docker logs`` then says."""


def write_default(engine: Engine, driver: str) -> None:
    (engine.home / "daemon.json").write_text(f'{{"log-driver": "{driver}"}}')


def set_plugin(engine: Engine, setting: str) -> None:
    """Set the plugin while the engine, which is down before and after, runs on another driver."""
    write_default(engine, "json-file")
    engine.start_dockerd()
    engine.docker("plugin", "disable", "--force", "logboom")
    engine.docker("plugin", "set", "logboom", setting)
    engine.enable_plugin()
    engine.end_dockerd()
    write_default(engine, "logboom")


@pytest.fixture(scope="module")
def default_engine(engine_version: Version, plugin_build: Path) -> Iterator[Engine]:
    """Twenty containers that print, with the default driver, and that the engine starts whenever it starts."""
    with Engine.start(engine_version) as engine:
        make_image(engine)
        data = engine.home / "data"
        data.mkdir()
        # As mounts are on a machine: what is mounted or unmounted below is seen in the plugin.
        engine.run_inside(f"mount --bind {data} {data}; mount --make-shared {data}")
        engine.install_plugin(plugin_build, data=data)
        engine.end_dockerd()
        write_default(engine, "logboom")
        engine.start_dockerd()
        # A shell that is PID 1 ignores SIGTERM, and the engine would wait for it whenever it ends.
        words = ("--detach", "--network=none", "--restart=always", "--stop-signal=KILL")
        for number in range(CONTAINERS):
            engine.docker("run", *words, f"--name=always-{number}", "bb", "sh", "-c", SCRIPT)
        yield engine


async def wait_running(engine: Engine) -> None:
    with trio.fail_after(UP_S):
        while len((await docker(engine, "ps", "--quiet")).split()) < CONTAINERS:
            await trio.sleep(POLL_S)


async def wait_said(engine: Engine, text: str) -> None:
    with trio.fail_after(DEADLINE_S):
        while text not in engine.docker("logs", "--tail=5", "always-0").stderr.decode():
            await trio.sleep(POLL_S)


async def wait_new_lines(engine: Engine, name: str) -> None:
    """Wait until what it prints from now on can be read."""
    since = engine.docker_text("info", "--format={{.SystemTime}}")
    with trio.fail_after(DEADLINE_S):
        while not (await docker(engine, "logs", f"--since={since}", name)).strip():
            await trio.sleep(POLL_S)


@pytest.mark.parametrize("damage", BREAKS, ids=lambda damage: damage.__name__)
async def test_engine_and_containers_come_up_and_are_well_once_the_store_is_mended(
    default_engine: Engine, damage: Break
) -> None:
    engine = default_engine
    engine.end_dockerd()
    with damage(engine, engine.home / "data/logboom"):
        engine.start_dockerd()
        await wait_running(engine)
        assert engine.docker_text("plugin", "inspect", "--format={{.Enabled}}", "logboom") == "true"
        await wait_said(engine, BREAKS[damage])
    for number in range(CONTAINERS):
        await wait_new_lines(engine, f"always-{number}")
    assert "Traceback" not in engine.log
