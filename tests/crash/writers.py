"""Containers of the stand-in for dockerd that log numbered lines, each in its own way, as long as they are told to."""

import time
from dataclasses import dataclass, field

import trio

from tests.crash.numbered import NumberedFrames
from tests.support.fake_docker import FakeContainer, FakeDocker, container_info

BATCH = 2000
PAUSE_S = 0.02


@dataclass
class Writer:
    """One container.

    Args:
        name: of what kind it is, for the report.
        container_id: its id.
        at_once: how many lines it logs before it pauses; ``None``: it never pauses.
        pause_s: how long.
        restarts_after: its session ends after so many lines, and another begins; ``None``: never.
    """

    name: str
    container_id: str
    at_once: int | None = None
    pause_s: float = PAUSE_S
    restarts_after: int | None = None
    frames: NumberedFrames = field(default_factory=lambda: NumberedFrames(time.time_ns()))
    logged: int = 0

    async def run(self, docker: FakeDocker, finish: trio.Event) -> None:
        """Log until it is told to finish, then end the session."""
        container = FakeContainer(docker, container_info(self.container_id, {"max-size": "-1"}))
        await container.start()
        session_began_at = 0
        while not finish.is_set():
            count = self.at_once or BATCH
            await container.write(self.frames.written(self.logged + 1, self.logged + 1 + count))
            self.logged += count
            if (
                self.restarts_after is not None
                and self.logged - session_began_at >= self.restarts_after
            ):
                await container.stop()
                await container.start()
                session_began_at = self.logged
            if self.at_once is not None:
                with trio.move_on_after(self.pause_s):
                    await finish.wait()
            else:
                await trio.lowlevel.checkpoint()
        await container.stop()


def all_kinds(ids: list[str]) -> list[Writer]:
    """One flat out, ten at a few hundred lines a second, two that start again and again, three quiet ones."""
    taken = iter(ids)
    return [
        Writer("flat out", next(taken)),
        *(Writer("steady", next(taken), at_once=6) for _ in range(10)),
        *(Writer("restarting", next(taken), at_once=20, restarts_after=60) for _ in range(2)),
        *(Writer("quiet", next(taken), at_once=1, pause_s=1) for _ in range(3)),
    ]
