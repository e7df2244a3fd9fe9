"""The engine is killed under readers, and containers come and go faster than anybody could wish."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import trio

from engines.image import make_image
from engines.private import Engine, Version
from tests.docker.counters import Counter
from tests.docker.support import (
    DEADLINE_S,
    POLL_S,
    docker,
    plugin_folder,
    wait_stored,
    worker_pid,
)

FOLLOWERS = 50
STOPPED_FOLLOWERS = 10
"""So many of them are stopped by SIGSTOP: they take nothing, and do not hang up either."""

CLEAN_S = 60
"""So long after the engine has been killed nothing is left of its readers."""

AT_ONCE = int(os.environ.get("LOGBOOM_TEST_CONTAINERS", "50"))
"""Containers that are started at once."""

IDLE_CONNECTIONS = 2
"""Go's HTTP client sometimes dials once too often, and keeps so many connections for later."""

RESTARTS = 10

WORDS = ("--network=none", "--log-driver=logboom")


@pytest.fixture(params=["live-restore", "no-live-restore"])
def mortal_engine(
    request: pytest.FixtureRequest, engine_version: Version, plugin_build: Path
) -> Iterator[Engine]:
    """An engine that leaves its containers running when it ends, or does not."""
    options = ("--live-restore",) if request.param == "live-restore" else ()
    with Engine.start(engine_version, options=options) as engine:
        make_image(engine)
        engine.install_plugin(plugin_build, data=engine.home / "data")
        yield engine


def kill_and_start(engine: Engine) -> None:
    engine.end_dockerd(signal.SIGKILL)
    # containerd ends with a dockerd that is killed. If nobody reaps it, the next one takes it for alive and waits for it.
    (engine.home / "exec/containerd/containerd.pid").unlink(missing_ok=True)
    engine.start_dockerd()


@contextmanager
def client(engine: Engine, *words: str, takes_all: bool) -> Iterator[subprocess.Popen[bytes]]:
    """A docker client, whose output goes nowhere or into a pipe that nobody reads."""
    with subprocess.Popen(
        engine.docker_command(*words),
        env=engine.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if takes_all else subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def open_files(engine: Engine) -> list[str]:
    """What the worker has open, without the files of the store, which it keeps open for a minute."""
    worker = worker_pid(engine)
    if worker is None:
        return []
    targets = []
    for path in Path(f"/proc/{worker}/fd").iterdir():
        # One that is listed may be closed by now.
        with suppress(FileNotFoundError):
            targets.append(str(path.readlink()))
    return [target for target in targets if not target.startswith("/data/")]


def fifos(engine: Engine) -> list[str]:
    folder = plugin_folder(engine) / "propagated-mount/logging"
    return [path.name for path in folder.iterdir()]


async def wait_closed(engine: Engine, before: list[str]) -> None:
    """Wait until the worker has no more open than before."""
    with trio.move_on_after(CLEAN_S):
        while len(open_files(engine)) > len(before) + IDLE_CONNECTIONS:
            await trio.sleep(POLL_S)
        return
    pytest.fail(f"there was {before}, and now there is {open_files(engine)}")


async def test_nothing_is_left_of_readers_when_the_engine_is_killed(mortal_engine: Engine) -> None:
    engine = mortal_engine
    counter = Counter(engine, "counter", at_once=10, pause_s=0.05)
    # Much more than the pipes and sockets between the store and a reader hold.
    engine.docker("run", "--name=large", *WORDS, "bb", "seq", "500000")
    await counter.wait_counted(50)
    before = open_files(engine)
    with ExitStack() as clients:
        for number in range(FOLLOWERS):
            follower = client(engine, "logs", "--follow", "counter", takes_all=True)
            process = clients.enter_context(follower)
            if number < STOPPED_FOLLOWERS:
                process.send_signal(signal.SIGSTOP)
        clients.enter_context(client(engine, "logs", "large", takes_all=False))
        with trio.fail_after(DEADLINE_S):
            while len(open_files(engine)) < len(before) + FOLLOWERS - STOPPED_FOLLOWERS:
                await trio.sleep(POLL_S)
        kill_and_start(engine)
        is_alive = engine.docker_text("inspect", "--format={{.State.Running}}", "counter")
        if is_alive == "false":
            await docker(engine, "start", "counter")
        await counter.wait_counted(50)
        # The clients are still there, but the engine that they spoke with is not.
        await wait_closed(engine, before)
    counter.tell_to_finish()
    await counter.wait_finished()
    with trio.fail_after(CLEAN_S):
        while fifos(engine):
            await trio.sleep(POLL_S)
    assert "Traceback" not in engine.log


async def test_containers_that_are_started_at_once_keep_what_they_print_and_leave_nothing_behind(
    engine: Engine,
) -> None:
    names = [f"brief-{number}" for number in range(AT_ONCE)]
    before = open_files(engine)

    async def run(name: str) -> None:
        # It ends in its first millisecond.
        await docker(engine, "run", f"--name={name}", *WORDS, "bb", "echo", name)

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(run, name)
    assert [engine.docker_text("logs", name) for name in names] == names
    await wait_closed(engine, before)
    assert fifos(engine) == []
    engine.docker("rm", *names)


@pytest.mark.parametrize("end", [("kill",), ("rm", "--force")], ids=lambda words: words[0])
async def test_a_container_that_is_ended_by_force_has_all_in_its_stream(
    engine: Engine, end: tuple[str, ...]
) -> None:
    store = engine.home / "data/logboom/containers"
    script = "seq 1 5000; echo end; sleep 600"
    engine.docker("run", "--detach", "--name=forced", *WORDS, "bb", "sh", "-c", script)
    identifier = engine.docker_text("inspect", "--format={{.Id}}", "forced")
    with trio.fail_after(DEADLINE_S):
        while await docker(engine, "logs", "--tail=1", "forced") != "end":
            await trio.sleep(POLL_S)
    engine.docker(*end, "forced")
    if end == ("kill",):
        assert engine.docker_text("logs", "--tail=1", "forced") == "end"
        engine.docker("rm", "forced")
    # The engine knows nothing of it any more, but its stream stays.
    printed = b"".join(b"%d\n" % number for number in range(1, 5001)) + b"end\n"
    assert await wait_stored(store / identifier, len(printed), DEADLINE_S) == printed
    assert fifos(engine) == []


async def test_a_container_that_is_started_again_and_again_keeps_all_its_runs_in_order(
    engine: Engine,
) -> None:
    script = "echo $RANDOM; exec sleep 600"
    words = ("--detach", "--name=again", "--stop-signal=KILL")
    engine.docker("run", *words, *WORDS, "bb", "sh", "-c", script)
    seen: list[str] = []
    for _ in range(RESTARTS):
        with trio.fail_after(DEADLINE_S):
            while len(lines := (await docker(engine, "logs", "again")).split()) == len(seen):
                await trio.sleep(POLL_S)
        # What was there is there, and one run has printed one line more.
        assert lines[:-1] == seen
        seen = lines
        engine.docker("restart", "again")
    engine.docker("rm", "--force", "again")
    assert len(seen) == RESTARTS
    assert fifos(engine) == []
