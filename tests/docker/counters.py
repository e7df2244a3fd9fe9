"""Containers that count, so that a line that is lost, doubled or out of order is seen."""

from collections.abc import Sequence

import trio

from engines.private import Engine
from tests.crash.numbered import Verdict, judge
from tests.docker.support import DEADLINE_S, POLL_S, docker

COMPARED_AT_ONCE = 100_000


class Counter:
    """A container that prints 1, 2, 3 and so on until it is told to finish; then it says beside its log how far it came.

    Args:
        engine: where it runs.
        name: its name.
        at_once: how many numbers it prints before it pauses.
        pause_s: how long.
        options: more options of ``docker run``.
    """

    SCRIPT = """
        i=0
        until [ -e /told/finish ]; do
            seq $((i + 1)) $((i + {at_once}))
            i=$((i + {at_once}))
            {pause}
        done
        echo $i >/told/printed
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        *,
        at_once: int = 1,
        pause_s: float = 0,
        options: Sequence[str] = (),
    ) -> None:
        self._engine = engine
        self.name = name
        self._told = engine.home / "told" / name
        self._told.mkdir(parents=True, exist_ok=True)
        for file in ("finish", "printed"):
            (self._told / file).unlink(missing_ok=True)
        engine.docker(
            "run",
            "--detach",
            f"--name={name}",
            "--network=none",
            "--log-driver=logboom",
            f"--volume={self._told}:/told",
            *options,
            "bb",
            "sh",
            "-c",
            self.SCRIPT.format(at_once=at_once, pause=f"sleep {pause_s}" if pause_s else ""),
        )

    def tell_to_finish(self) -> None:
        (self._told / "finish").touch()

    async def wait_finished(self) -> None:
        with trio.fail_after(DEADLINE_S):
            await docker(self._engine, "wait", self.name)

    async def last_number(self) -> int:
        """The last that can be read."""
        last = (await docker(self._engine, "logs", "--tail=1", self.name)).split()
        return int(last[-1]) if last else 0

    async def wait_counted(self, more: int) -> None:
        """Wait until so many numbers more can be read."""
        begin = await self.last_number()
        with trio.fail_after(DEADLINE_S):
            while await self.last_number() < begin + more:
                await trio.sleep(POLL_S)

    @property
    def printed(self) -> int:
        """The last number, of a container that has finished."""
        return int((self._told / "printed").read_text())

    def verdict(self) -> Verdict:
        """Judge the whole log, of a container that has finished."""
        return judge_log(self._engine.docker("logs", self.name).stdout, self.printed)

    def remove(self) -> None:
        self._engine.docker("rm", "--force", self.name)


def judge_log(text: bytes, printed: int) -> Verdict:
    """Judge what can be read of the numbers from 1 to ``printed``."""
    # Millions that are right are only compared.
    at = 0
    for first in range(1, printed + 1, COMPARED_AT_ONCE):
        end = min(first + COMPARED_AT_ONCE, printed + 1)
        wanted = b"".join([b"%d\n" % number for number in range(first, end)])
        if not text.startswith(wanted, at):
            break
        at += len(wanted)
    else:
        if at == len(text):
            return Verdict(printed)
    return judge(text.splitlines(), printed)
