"""SIGKILL of the plugin's worker, again and again, while containers print and are followed."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
import trio

from engines.errors import EngineError
from engines.private import Engine
from tests.crash.numbered import Verdict
from tests.docker.counters import Counter
from tests.docker.support import DEADLINE_S, POLL_S, Api, docker, parent_of, plugin_folder

KILLS = int(os.environ.get("LOGBOOM_TEST_KILLS", "100"))
STEADY = 10
QUIET = int(os.environ.get("LOGBOOM_TEST_QUIET", "10"))
"""Containers; ``make soak`` has more of the quiet ones, which take a while to start and end."""

LIFE_S = 0.4
"""A worker lives up to so long, every second one from when it has answered."""

TIMEOUT_S = 300 + 6 * KILLS + 10 * QUIET
DEADLINE_OF_ALL_S = 100 + 6 * KILLS + 3 * QUIET
"""Less than pytest's own, which would leave processes behind."""

QUICK_WORDS = ("--network=none", "--log-driver=logboom")
KEEP_ALL = ("--log-opt=max-size=-1",)

STARTS = 8
"""Containers that are started while the worker is killed; dockerd tries again after a second."""

LOOK_S = 0.0002
"""A start is under way for a few milliseconds."""

START_LIFE_S = 0.004

REFUSALS = ("logboom: the plugin ended before it had answered", "unexpected EOF")
"""What the user is told; the latter by dockerd alone, when it had the head of an answer and not yet the rest."""

COLLECT_PATH = "/debug/pprof/heap?gc=1"
"""Has Go collect the memory of dockerd (net/http/pprof)."""

LOG_SHOWN_LINES = 50
"""Of what the plugin has said, when a worker has ended by itself."""

SYSTEM_ERROR = 3
"""The stream in which newer engines say why a reading has ended."""


@dataclass
class Follower:
    """Follows a counter, again as often as a reading breaks off; what each gives must be without a gap.

    Attributes:
        readings: how many have begun.
        count: the numbers that all have given.
        last: the last of them.
        wrong: numbers that did not follow the one before.
    """

    api: Api
    counter: Counter
    readings: int = 0
    count: int = 0
    last: int = 0
    wrong: int = 0

    async def run(self, finish: trio.Event) -> None:
        while True:
            # A reading that begins when all is printed comes to the last number.
            is_last = finish.is_set()
            try:
                if await self._follow() and is_last:
                    return
            except (EOFError, OSError, trio.BrokenResourceError):
                await trio.sleep(POLL_S)

    async def _follow(self) -> bool:
        """Read until the reading ends; false when it cannot begin."""
        path = f"/containers/{self.counter.name}/logs?follow=1&stdout=1&stderr=1&tail=5"
        async with self.api.request(path) as connection:
            if connection.status != 200:
                await trio.sleep(POLL_S)
                return False
            self.readings += 1
            before = None
            async for number in numbers(connection.body()):
                self.wrong += before is not None and number != before + 1
                before = self.last = number
                self.count += 1
            return True


async def numbers(pieces: AsyncIterator[bytes]) -> AsyncIterator[int]:
    """What entries say: each has a header of stream and length, then its line."""
    rest = b""
    async for piece in pieces:
        data, at = rest + piece, 0
        while len(data) >= at + 8:
            end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
            if len(data) < end:
                break
            if data[at] != SYSTEM_ERROR:
                yield int(data[at + 8 : end])
            at = end
        rest = data[at:]


class Workers:
    """The plugin's workers, one after the other.

    Args:
        engine: its plugin runs, so that it has a supervisor.
    """

    def __init__(self, engine: Engine) -> None:
        pids = engine.plugin_pids()
        (self._supervisor,) = {parent_of(pid) for pid in pids} & set(pids)
        self._children = Path(f"/proc/{self._supervisor}/task/{self._supervisor}/children")

    async def next(self, ended: int | None) -> int:
        """The one that runs, as soon as it is another than ``ended``."""
        with trio.fail_after(DEADLINE_S):
            while True:
                children = self._children.read_text().split()
                # One that is not reaped yet may stand beside it for a moment, and what a killed one had started: trio looks for
                # a library by `ldconfig` when it is imported.
                alive = [int(child) for child in children if is_worker(int(child))]
                if alive and alive[0] != ended:
                    return alive[0]
                await trio.sleep(POLL_S)


def is_worker(pid: int) -> bool:
    try:
        return b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def said_by_plugin(engine: Engine) -> str:
    """The end of it, without what the engine says of each follower."""
    lines = [line for line in engine.log.splitlines() if " plugin=" in line]
    return "\n".join(lines[-LOG_SHOWN_LINES:])


def disable_without_force(engine: Engine) -> None:
    """The engine counts who uses the plugin: nobody any more, however calls have ended."""
    engine.docker("plugin", "disable", "logboom")
    engine.enable_plugin()


async def kill_again_and_again(engine: Engine, quiet: Counter) -> int:
    random = Random()
    workers = Workers(engine)
    ended: int | None = None
    kills = 0
    for number in range(KILLS):
        ended = await workers.next(ended)
        if number % 2:
            # However slow the machine is, some take and answer before they are killed.
            await quiet.last_number()
        await trio.sleep(random.uniform(0, LIFE_S))
        try:
            os.kill(ended, signal.SIGKILL)
        except ProcessLookupError:
            pytest.fail(f"worker {ended} had ended by itself:\n{said_by_plugin(engine)}")
        kills += 1
    return kills


def start_all(engine: Engine) -> list[Counter]:
    """One that prints flat out, in bursts, so that what is to be read back has a bound; steady ones, with 300 lines a second;
    quiet ones.
    """

    def start(name: str, at_once: int, pause_s: float) -> Counter:
        return Counter(engine, name, at_once=at_once, pause_s=pause_s, options=KEEP_ALL)

    return [
        start("flat-out", 30_000, 1),
        *(start(f"steady-{number}", 60, 0.2) for number in range(STEADY)),
        *(start(f"quiet-{number}", 1, 1) for number in range(QUIET)),
    ]


@pytest.mark.timeout(TIMEOUT_S)
async def test_nothing_is_lost_doubled_or_out_of_order_when_the_worker_is_killed(
    engine: Engine, tell: Callable[[str], None]
) -> None:
    counters = start_all(engine)
    followers = [Follower(Api(engine), counter) for counter in counters]
    finish = trio.Event()
    with trio.fail_after(DEADLINE_OF_ALL_S):
        async with trio.open_nursery() as nursery:
            for follower in followers:
                nursery.start_soon(follower.run, finish)
            kills = await kill_again_and_again(engine, quiet=counters[-1])
            for counter in counters:
                counter.tell_to_finish()
            for counter in counters:
                await counter.wait_finished()
            finish.set()
    verdicts = {counter.name: counter.verdict() for counter in counters}
    total = sum(verdicts.values(), Verdict(0))
    readings = sum(follower.readings for follower in followers)
    count = sum(follower.count for follower in followers)
    tell(f"{kills} kills, {total.text}; {readings} followings gave {count} entries")
    for counter in counters:
        counter.remove()
    disable_without_force(engine)
    assert {name: verdict.text for name, verdict in verdicts.items() if not verdict.is_good} == {}
    assert [follower.wrong for follower in followers] == [0] * len(followers)
    assert [follower.last for follower in followers] == [counter.printed for counter in counters]


async def start_and_kill(engine: Engine, name: str, life_s: float) -> bool:
    """Start a container that prints its name, and kill the worker a moment after the engine has made its FIFO; returns whether
    it was refused, which must be said as what it was, and must not come twice.
    """
    folder = plugin_folder(engine) / "propagated-mount"
    before = set(folder.glob("logging/*"))
    worker = await Workers(engine).next(None)

    async def kill() -> None:
        while set(folder.glob("logging/*")) <= before:
            await trio.sleep(LOOK_S)
        await trio.sleep(life_s)
        os.kill(worker, signal.SIGKILL)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(kill)
        try:
            await docker(engine, "run", f"--name={name}", *QUICK_WORDS, "bb", "echo", name)
        except EngineError as error:
            assert any(text in str(error) for text in REFUSALS), str(error)
        else:
            return False
    await docker(engine, "start", "--attach", name)
    return True


async def test_a_container_that_starts_while_the_worker_is_killed_runs_or_says_why(
    engine: Engine, tell: Callable[[str], None]
) -> None:
    random = Random()
    names = [f"start-{number}" for number in range(STARTS)]
    with trio.fail_after(DEADLINE_OF_ALL_S):
        refused = [
            await start_and_kill(engine, name, random.uniform(0, START_LIFE_S)) for name in names
        ]
    tell(f"{sum(refused)} of {STARTS} starts were refused")
    assert [engine.docker_text("logs", name) for name in names] == names
    engine.docker("rm", *names)
    # No session is left, of those that had no answer either. dockerd forgets their FIFOs without closing them, so they end
    # when its memory is collected: within two minutes, or when it is told to.
    records = plugin_folder(engine) / "propagated-mount/logboom"
    with trio.fail_after(DEADLINE_S):
        while list(records.iterdir()):
            async with Api(engine).request(COLLECT_PATH):
                await trio.sleep(POLL_S)
    disable_without_force(engine)
