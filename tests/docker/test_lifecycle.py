"""The plugin and the engine end and begin again under running containers: those go on, and nothing is lost."""

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import trio

from engines.image import make_image
from engines.private import Engine, Version
from logboom.settings_file import FILE_NAME
from tests.docker.counters import Counter
from tests.docker.support import DEADLINE_S, POLL_S, docker, stream_folder, worker_pid


@pytest.fixture(scope="module")
def live_engine(engine_version: Version, plugin_build: Path) -> Iterator[Engine]:
    """An engine that leaves its containers running when it ends."""
    with Engine.start(engine_version, options=("--live-restore",)) as engine:
        make_image(engine)
        engine.install_plugin(plugin_build, data=engine.home / "data")
        yield engine


@pytest.fixture
async def counter(engine: Engine) -> AsyncIterator[Counter]:
    """It prints some hundred numbers a second."""
    counter = Counter(engine, "counter", at_once=10, pause_s=0.05)
    await counter.wait_counted(50)
    yield counter
    counter.remove()


async def check_nothing_lost(counter: Counter) -> None:
    await counter.wait_counted(50)
    counter.tell_to_finish()
    await counter.wait_finished()
    assert counter.verdict().is_good, counter.verdict().text


async def test_a_running_container_goes_on_over_disable_and_enable(
    engine: Engine, counter: Counter
) -> None:
    for _ in range(3):
        engine.docker("plugin", "disable", "--force", "logboom")
        engine.enable_plugin()
        await counter.wait_counted(50)
    await check_nothing_lost(counter)


async def test_a_plugin_in_use_is_not_disabled_without_force(
    engine: Engine, counter: Counter
) -> None:
    refused = engine.docker("plugin", "disable", "logboom", check=False)
    assert refused.returncode == 1
    assert b"in use" in refused.stderr
    await check_nothing_lost(counter)


async def test_a_limit_is_lowered_under_a_running_container(engine: Engine) -> None:
    """A disk that gets full at night does not wait until nothing uses the plugin."""
    words = ["run", "--detach", "--name=noisy", "--network=none", "--log-driver=logboom"]
    # Each block has a segment of its own.
    words += ["--log-opt=max-size=64k", "--log-opt=max-file=1000"]
    script = "dd if=/dev/urandom bs=1M count=5 | base64; sleep 1000"
    engine.docker(*words, "bb", "sh", "-c", script)
    folder = stream_folder(engine.home / "data", engine, "noisy")
    worker = worker_pid(engine)

    async def wait_for_segments(is_enough: Callable[[int], bool]) -> None:
        with trio.fail_after(DEADLINE_S):
            while not is_enough(len(list(folder.glob("*.zst")))):
                await trio.sleep(POLL_S)

    await wait_for_segments(lambda count: count >= 4)
    settings_file = engine.home / "data/logboom" / FILE_NAME
    settings_file.write_text("max_bytes = 1")
    await wait_for_segments(lambda count: count == 1)
    assert worker_pid(engine) == worker
    settings_file.unlink()
    engine.docker("rm", "--force", "noisy")


async def test_a_container_that_ends_while_the_plugin_is_disabled_loses_nothing(
    engine: Engine, counter: Counter
) -> None:
    """dockerd tries for 15 s to tell the plugin of the end."""
    process = Path("/proc") / engine.docker_text("inspect", "--format={{.State.Pid}}", counter.name)
    engine.docker("plugin", "disable", "--force", "logboom")
    counter.tell_to_finish()
    with trio.fail_after(DEADLINE_S):
        while process.exists():
            await trio.sleep(POLL_S)
    engine.enable_plugin()
    await counter.wait_finished()
    assert counter.verdict().is_good, counter.verdict().text


async def test_logs_are_there_after_the_engine_was_stopped_and_started(
    engine: Engine, counter: Counter
) -> None:
    engine.end_dockerd()
    engine.start_dockerd()
    lines = engine.docker("logs", counter.name).stdout.split()
    assert lines == [b"%d" % number for number in range(1, len(lines) + 1)]
    await docker(engine, "start", counter.name)
    await counter.wait_counted(0)
    counter.tell_to_finish()
    await counter.wait_finished()
    both = engine.docker("logs", counter.name).stdout
    assert both.startswith(b"\n".join([*lines, b"1\n2\n"]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
async def test_a_running_container_goes_on_when_the_engine_is_with_live_restore(
    number: signal.Signals, live_engine: Engine
) -> None:
    """What dockerd itself had in memory may be lost with it, but nothing may be doubled or out of order."""
    counter = Counter(live_engine, f"live-{number.name.lower()}", at_once=1, pause_s=0.05)
    await counter.wait_counted(10)
    live_engine.end_dockerd(number)
    # containerd ends with a dockerd that is killed. If nobody reaps it, the next one takes it for alive and waits for it.
    (live_engine.home / "exec/containerd/containerd.pid").unlink(missing_ok=True)
    live_engine.start_dockerd()
    await counter.wait_counted(10)
    counter.tell_to_finish()
    await counter.wait_finished()
    verdict = counter.verdict()
    assert (verdict.doubled, verdict.out_of_order, verdict.strange) == (0, 0, ())
    assert verdict.lost <= 5
    counter.remove()
