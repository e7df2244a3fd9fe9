"""The file system of the store is frozen under running containers: nobody waits who need not, and nothing is lost."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from engines.image import make_image
from engines.private import Engine, Version
from tests.crash.numbered import Verdict
from tests.docker.counters import Counter
from tests.docker.support import DEADLINE_S, POLL_S, Api, docker, remove_containers, worker_pid
from tests.support.file_systems import make_file_system

FREEZE_S = float(os.environ.get("LOGBOOM_TEST_FREEZE_SECONDS", "10"))

CONTAINERS = 20
AT_ONCE = 40
PAUSE_S = 0.2
"""200 lines a second each."""

ANSWER_S = 1
"""`docker ps` answers within so long."""

END_S = 20
"""A container that is stopped in a stall has ended so long after it."""

STALL_KNOWN_S = 4
"""A stall is known after two seconds; a reading that comes earlier waits until then."""

SAMPLE_S = 0.1

WORDS = ("--network=none", "--log-driver=logboom")
KEEP_ALL = ("--log-opt=max-size=-1",)


@pytest.fixture
def stalling(engine_version: Version, plugin_build: Path) -> Iterator[tuple[Engine, Path]]:
    """An engine whose plugin has its store on a file system of its own, and where the engine sees that."""
    with Engine.start(engine_version) as engine:
        make_image(engine)
        image, data = engine.home / "image", engine.home / "data"
        make_file_system(image)
        data.mkdir()
        engine.run_inside(f"mount -o loop {image} {data}")
        engine.install_plugin(plugin_build, data=data)
        yield engine, data
        remove_containers(engine)
        engine.remove_plugin()
        engine.run_inside(f"umount {data}")


@contextmanager
def frozen(engine: Engine, data: Path) -> Iterator[None]:
    engine.run_inside(f"fsfreeze --freeze {data}")
    try:
        yield
    finally:
        engine.run_inside(f"fsfreeze --unfreeze {data}")


@dataclass
class Sampler:
    """Looks again and again how long the engine takes to list its containers, and whether the worker lives.

    Attributes:
        worker: the one that ran in the beginning.
        longest_s: the longest answer.
        samples: how many there were.
        is_worker_gone: it has ended.
    """

    engine: Engine
    worker: int
    longest_s: float = 0
    samples: int = 0
    is_worker_gone: bool = False

    async def run(self) -> None:
        api = Api(self.engine)
        while True:
            begun = time.monotonic()
            async with api.request("/containers/json") as connection:
                assert connection.status == 200
            self.longest_s = max(self.longest_s, time.monotonic() - begun)
            self.samples += 1
            self.is_worker_gone |= not Path(f"/proc/{self.worker}").exists()
            await trio.sleep(SAMPLE_S)


async def seconds_of(engine: Engine, *words: str) -> tuple[float, str]:
    """How long a command of the docker client takes, and what it prints."""
    begun = time.monotonic()
    with trio.fail_after(DEADLINE_S + FREEZE_S):
        said = await docker(engine, *words)
    return time.monotonic() - begun, said


async def test_a_frozen_file_system_holds_nobody_who_does_not_need_it_and_costs_nothing(
    stalling: tuple[Engine, Path], tell: Callable[[str], None]
) -> None:
    engine, data = stalling
    counters = [
        Counter(engine, f"counter-{number}", at_once=AT_ONCE, pause_s=PAUSE_S, options=KEEP_ALL)
        for number in range(CONTAINERS)
    ]
    engine.docker("run", "--detach", "--name=stopped", *WORDS, "bb", "sh", "-c", "sleep 600")
    for counter in counters:
        await counter.wait_counted(AT_ONCE)
    worker = worker_pid(engine)
    assert worker is not None
    sampler = Sampler(engine, worker)
    readings: dict[str, tuple[float, list[str]]] = {}
    ended_at: list[float] = []

    async def stop() -> None:
        await seconds_of(engine, "stop", "--time=1", "stopped")
        ended_at.append(time.monotonic())

    async with trio.open_nursery() as sampling:
        sampling.start_soon(sampler.run)
        async with trio.open_nursery() as nursery:
            with frozen(engine, data):
                frozen_at = time.monotonic()
                nursery.start_soon(stop)
                await trio.sleep(STALL_KNOWN_S)
                for counter in counters[:3]:
                    seconds, said = await seconds_of(engine, "logs", counter.name)
                    readings[counter.name] = seconds, said.split()
                are_read_at = time.monotonic()
                await trio.sleep(FREEZE_S - (time.monotonic() - frozen_at))
            thawed_at = time.monotonic()
        sampling.cancel_scope.cancel()
    for counter in counters:
        counter.tell_to_finish()
    for counter in counters:
        await counter.wait_finished()
    total = sum((counter.verdict() for counter in counters), Verdict(0))
    longest_reading_s = max(seconds for seconds, _ in readings.values())
    tell(
        f"frozen for {thawed_at - frozen_at:.1f} s under {CONTAINERS} containers: {total.text}; containers were listed within"
        f" {sampler.longest_s:.2f} s in {sampler.samples} samples, a log was read within {longest_reading_s:.2f} s,"
        f" a stopped container ended {ended_at[0] - thawed_at:.1f} s after the thaw"
    )
    for _, lines in readings.values():
        # What was taken before the stall, and what is wrong.
        read = [line for line in lines if line.isdigit()]
        assert len(read) >= AT_ONCE
        assert read[:AT_ONCE] == [str(number) for number in range(1, AT_ONCE + 1)]
    assert are_read_at < thawed_at
    assert longest_reading_s < FREEZE_S - STALL_KNOWN_S, "a reading has waited for the thaw"
    assert sampler.longest_s < ANSWER_S
    assert worker_pid(engine) == worker
    assert not sampler.is_worker_gone
    assert ended_at[0] - thawed_at < END_S
    assert total.is_good
    assert engine.log.count("the disk has not answered for ") == 1
    with trio.fail_after(DEADLINE_S):
        while "the disk answers again; it did not for " not in engine.log:
            await trio.sleep(POLL_S)
