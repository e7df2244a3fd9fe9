"""Random sequences of what can happen to one container, played beside a plain list."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from hypothesis import strategies

from tests.conformance.messages import MINUTE_NS, Message, line, pieces
from tests.conformance.oracle import Query, expected_entries
from tests.conformance.stage import Following, Stage, read
from tests.conformance.stand_in_stage import StandInStage
from tests.support.fake_docker import Entry

START_NS = 1_700_000_000 * 10**9


@dataclass(frozen=True, slots=True)
class Log:
    """Log some entries.

    Args:
        seed: decides what they are, and their times where these can be chosen.
        count: how many.
    """

    seed: int
    count: int


@dataclass(frozen=True, slots=True)
class Read:
    """Read or follow.

    Args:
        tail: as in a query.
        since: a point of the log as it is now, from 0 to 1; ``None``: not limited.
        until: likewise.
        follow: goes on until the session ends.
    """

    tail: int | None
    since: float | None
    until: float | None
    follow: bool


@dataclass(frozen=True, slots=True)
class StopAndStart:
    """End the session and begin another."""


@dataclass(frozen=True, slots=True)
class ReadWhileStopped:
    """End the session, read, and begin another."""

    tail: int | None


@dataclass(frozen=True, slots=True)
class RestartWorker:
    """In order, or by a kill."""

    is_kill: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """Move all into blocks, where that can be brought about; else nothing."""


Step: TypeAlias = Log | Read | StopAndStart | ReadWhileStopped | RestartWorker | Cut

_tails = strategies.none() | strategies.integers(0, 30)
_points = strategies.none() | strategies.floats(0, 1)

steps: strategies.SearchStrategy[Step] = strategies.one_of(
    strategies.builds(Log, strategies.integers(0, 2**32), strategies.integers(1, 12)),
    strategies.builds(Read, _tails, _points, _points, strategies.booleans()),
    strategies.builds(StopAndStart),
    strategies.builds(ReadWhileStopped, _tails),
    strategies.builds(RestartWorker, strategies.booleans()),
    strategies.builds(Cut),
)

sequences = strategies.lists(steps, min_size=1, max_size=25)


def random_sequence(seed: int, length: int) -> list[Step]:
    """For a stage on which an example costs too much to look for the smallest one that fails."""
    random = Random(seed)

    def tail() -> int | None:
        return random.choice([None, random.randrange(30)])

    def point() -> float | None:
        return random.choice([None, random.random()])

    def one() -> Step:
        match random.randrange(7):
            case 0 | 1:
                return Log(random.getrandbits(32), random.randrange(1, 12))
            case 2 | 3:
                return Read(tail(), point(), point(), random.random() < 0.5)
            case 4:
                return StopAndStart()
            case 5:
                return ReadWhileStopped(tail())
            case _:
                return RestartWorker(random.random() < 0.7)

    return [one() for _ in range(length)]


@dataclass
class _Follower:
    query: Query
    reading: Following
    history: list[Entry]
    later: list[Entry] = field(default_factory=list)


class Player:
    """Plays steps on a stage, and checks after each what can be known.

    Args:
        stage: where no session has been yet.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._entries: list[Entry] = []
        self._followers: list[_Follower] = []
        self._readings = AsyncExitStack()

    async def play(self, sequence: Sequence[Step]) -> None:
        await self._stage.start()
        async with self._readings:
            for step in sequence:
                await self._play_one(step)
            await self._stop()
        assert await read(self._stage, Query()) == self._entries

    async def _play_one(self, step: Step) -> None:
        match step:
            case Log(seed, count):
                logged = await self._stage.log(self._messages(seed, count))
                self._entries += logged
                for follower in self._followers:
                    follower.later += logged
            case Read():
                await self._read(step)
            case StopAndStart():
                await self._stop()
                await self._stage.start()
            case ReadWhileStopped(tail):
                await self._stop()
                query = Query(tail=tail)
                assert await read(self._stage, query) == expected_entries(self._entries, query)
                await self._stage.start()
            case RestartWorker(is_kill):
                await self._drop_followers()
                if is_kill:
                    await self._stage.kill_worker()
                else:
                    await self._stage.restart_worker()
            case Cut():
                if isinstance(self._stage, StandInStage):
                    await self._stage.cut()

    def _messages(self, seed: int, count: int) -> list[Message]:
        random = Random(seed)
        made: list[Message] = []
        while len(made) < count:
            source = random.choice(["stdout", "stderr"])
            text = random.randbytes(random.choice([0, 1, 30, 300])).replace(b"\n", b"")
            if random.random() < 0.1:
                made += pieces(
                    text + b"x" * random.choice([16384, 20000, 40000]), source, partial_id="p" * 64
                )
            else:
                made.append(line(text, source))
        if not self._stage.can_choose_times:
            return made
        return [
            message.dated(
                START_NS
                + (len(self._entries) + number) * MINUTE_NS
                + random.choice([0, 0, -5 * MINUTE_NS])
            )
            for number, message in enumerate(made)
        ]

    async def _read(self, step: Read) -> None:
        query = Query(step.tail, self._moment(step.since), self._moment(step.until), step.follow)
        if not step.follow:
            assert await read(self._stage, query) == expected_entries(self._entries, query), query
            return
        reading = await self._readings.enter_async_context(self._stage.open_logs(query))
        self._followers.append(_Follower(query, reading, list(self._entries)))

    def _moment(self, point: float | None) -> int | None:
        if point is None or not self._entries:
            return None
        times = sorted(entry.time_ns for entry in self._entries)
        return times[min(int(point * len(times)), len(times) - 1)]

    async def _stop(self) -> None:
        """End the session; followers end with it, and have been given everything."""
        await self._stage.stop()
        for follower in self._followers:
            wanted = expected_entries(follower.history, follower.query, follower.later)
            assert await follower.reading.rest() == wanted, follower.query
        await self._drop_followers()

    async def _drop_followers(self) -> None:
        self._followers.clear()
        await self._readings.aclose()
        self._readings = AsyncExitStack()
