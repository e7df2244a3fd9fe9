"""Containers of the stand-in for dockerd that log numbered lines, each in its own way, as long as they are told to."""

import time
from dataclasses import dataclass, field
from itertools import count

import trio

from tests.crash.numbered import NumberedFrames
from tests.support.fake_docker import FakeContainer, FakeDocker, container_info

BATCH = 2000
PAUSE_S = 0.02
POLL_S = 0.01


@dataclass
class Writer:
    """One container.

    Args:
        name: of what kind it is, for the report.
        container_id: its id.
        at_once: how many lines it logs before it pauses; ``None``: it never pauses.
        pause_s: how long.
        restarts_after: its session ends after so many lines, and another begins; ``None``: never.
        limit: it waits as long as it has logged so many; ``None``: never.

    Attributes:
        logged: how many lines; counted when the session that they end has ended.
    """

    name: str
    container_id: str
    at_once: int | None = None
    pause_s: float = PAUSE_S
    restarts_after: int | None = None
    limit: int | None = None
    frames: NumberedFrames = field(default_factory=lambda: NumberedFrames(time.time_ns()))
    logged: int = 0

    async def run(self, docker: FakeDocker, finish: trio.Event) -> None:
        """Log until it is told to finish, then end the session."""
        container = FakeContainer(docker, container_info(self.container_id, {"max-size": "-1"}))
        await container.start()
        session_began_at = 0
        while not finish.is_set():
            if self.is_at_limit:
                await trio.sleep(POLL_S)
                continue
            end = self.logged + (self.at_once or BATCH)
            await container.write(self.frames.written(self.logged + 1, end + 1))
            if self.restarts_after is not None and end - session_began_at >= self.restarts_after:
                await container.stop()
                await container.start()
                session_began_at = end
            self.logged = end
            if self.at_once is not None:
                with trio.move_on_after(self.pause_s):
                    await finish.wait()
            else:
                await trio.lowlevel.checkpoint()
        await container.stop()

    @property
    def is_at_limit(self) -> bool:
        return self.limit is not None and self.logged >= self.limit


def all_kinds(*, steady: int = 10, quiet: int = 3, burst: int | None = None) -> list[Writer]:
    """One flat out, some at a few hundred lines a second, two that start again and again, some quiet ones.

    Args:
        steady: how many of these.
        quiet: how many of these.
        burst: after so many lines the one that logs flat out pauses, so that what is to be read back in the end has a
            bound on a fast machine; ``None``: it does not.
    """
    ids = (f"{number:064x}" for number in count())
    return [
        Writer("flat out", next(ids), at_once=burst, pause_s=0.1),
        *(Writer("steady", next(ids), at_once=6) for _ in range(steady)),
        *(Writer("restarting", next(ids), at_once=20, restarts_after=60) for _ in range(2)),
        *(Writer("quiet", next(ids), at_once=1, pause_s=1) for _ in range(quiet)),
    ]
