"""Containers that print numbered lines through the real worker, and notice how long they wait."""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import trio

from tests.disks.account import NUMBER_DIGITS, Account, settle
from tests.support.fake_docker import (
    Entry,
    FakeContainer,
    FakeDocker,
    encode_frame,
)

KEEP_ALL = {"max-size": "-1"}
POLL_S = 0.01
AT_ONCE = 500


@dataclass
class Printer:
    """One container.

    Args:
        container: started.
        pad_bytes: how many bytes each line has behind its number, which cannot be compressed.

    Attributes:
        printed: how many lines.
        longest_wait_s: how long the container waited at most to print ``AT_ONCE`` lines.
        frame_bytes: the length of a frame.
    """

    container: FakeContainer
    pad_bytes: int = 0
    printed: int = 0
    longest_wait_s: float = 0
    _head: bytes = field(init=False)
    """What stands before the line in each frame."""
    frame_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        line = bytes(NUMBER_DIGITS + self.pad_bytes)
        frame = encode_frame(Entry("stdout", time.time_ns(), line))
        self._head = frame.removesuffix(line)
        self.frame_bytes = len(frame)

    def _frames(self, first: int, end: int) -> bytes:
        frames = []
        for number in range(first, end):
            pad = random.randbytes(self.pad_bytes).replace(b"\n", b"n")
            frames.append(b"%b%0*d%b" % (self._head, NUMBER_DIGITS, number, pad))
        return b"".join(frames)

    async def print(self, count: int) -> None:
        while count > 0:
            first, now = self.printed + 1, min(count, AT_ONCE)
            frames = self._frames(first, first + now)
            begun = time.monotonic()
            await self.container.write(frames)
            self.longest_wait_s = max(self.longest_wait_s, time.monotonic() - begun)
            self.printed += now
            count -= now

    async def account(self) -> Account:
        """Read back what there is; what is dropped just now is not in it."""
        return settle(await self.container.logs(), self.frame_bytes)

    async def account_of_rest(self) -> Account:
        """The same where retention may have taken the oldest."""
        entries = await self.container.logs()
        return settle(entries, self.frame_bytes, int(entries[0].line[:NUMBER_DIGITS]))

    async def settle(self) -> Account:
        """Read back everything, of a disk that takes entries; nothing may be unaccounted for."""
        account = await self.account()
        assert account.last == self.printed, account
        return account

    async def wait_kept(self) -> None:
        """Print until the last line that was printed is the last that is read."""
        while True:
            await self.print(1)
            entries = await self.container.logs(tail=1)
            last = b"%0*d" % (NUMBER_DIGITS, self.printed)
            if [entry.line[:NUMBER_DIGITS] for entry in entries] == [last]:
                return
            await trio.sleep(POLL_S)


async def start_printer(
    docker: FakeDocker,
    number: int,
    *,
    pad_bytes: int = 0,
    log_opts: Mapping[str, str] = KEEP_ALL,
) -> Printer:
    return Printer(await docker.start_container(f"{number:064x}", log_opts), pad_bytes)
