"""What became of numbered lines: each is kept once and in order, or is one of those that an entry of Logboom's names as dropped."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.support.fake_docker import Entry

NUMBER_DIGITS = 12

GAP = re.compile(
    rb"logboom: ([0-9]+) entries \(([0-9]+) bytes\) were dropped from (\S+Z) to (\S+Z): (.+)\n"
)
FAULT = b"logboom: the store is not well: "


@dataclass(frozen=True)
class Account:
    """Numbered lines.

    Attributes:
        first: the number of the first one that retention has left.
        kept: how many are there.
        dropped: how many the gaps name.
        gaps: the first number that each names, and how many.
        causes: why.
        fault: what the reading said of the store.
    """

    first: int
    kept: int
    dropped: int
    gaps: tuple[tuple[int, int], ...]
    causes: frozenset[str]
    fault: str

    @property
    def last(self) -> int:
        """The last number that is kept or named."""
        return self.first - 1 + self.kept + self.dropped

    def __add__(self, other: "Account") -> "Account":
        return Account(
            min(self.first, other.first),
            self.kept + other.kept,
            self.dropped + other.dropped,
            self.gaps + other.gaps,
            self.causes | other.causes,
            self.fault or other.fault,
        )

    @property
    def text(self) -> str:
        return f"{self.kept} entries kept, {self.dropped} named in {len(self.gaps)} gaps"


def settle(entries: Sequence[Entry], frame_bytes: int, first: int = 1) -> Account:
    """Go through a whole reading; fails at the first line that is missing without a word, doubled or out of order.

    Args:
        entries: all of it.
        frame_bytes: how long the frame of each line was.
        first: the number of the first line.
    """
    kept = dropped = 0
    gaps: list[tuple[int, int]] = []
    causes = set()
    fault = b""
    for entry in entries:
        number = first + kept + dropped
        if found := GAP.fullmatch(entry.line):
            count = int(found[1])
            assert int(found[2]) == count * frame_bytes
            assert datetime.fromisoformat(found[3].decode()) <= datetime.fromisoformat(
                found[4].decode()
            )
            assert not gaps or sum(gaps[-1]) < number, "one loss is named by two entries"
            gaps.append((number, count))
            causes.add(found[5].decode())
            dropped += count
        elif entry.line.startswith(FAULT):
            fault = entry.line.removeprefix(FAULT)
        else:
            assert int(entry.line[:NUMBER_DIGITS]) == number, entry.line[:100]
            kept += 1
    return Account(first, kept, dropped, tuple(gaps), frozenset(causes), fault.decode())
