"""What processes spend and hold, as the kernel counts it."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from benches.errors import BenchError

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pids: Iterable[int]) -> float:
    """Seconds on a core that the processes have spent so far, to a hundredth of a second.

    Raises:
        BenchError: one of them has ended.
    """
    total = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            raise BenchError(f"process {pid}, which is being measured, has ended") from None
        # The name, in parentheses, may hold anything.
        fields = status.rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS_PER_S


def pss_bytes(pids: Iterable[int]) -> int:
    """Memory that the processes hold, with what they share counted once among those who share it."""
    total = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found = re.search(r"^Pss:\s+(\d+) kB$", rollup, re.MULTILINE)
        if found is None:
            raise BenchError(f"/proc/{pid}/smaps_rollup has no Pss")
        total += int(found[1]) * 1024
    return total


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (thread / "children").read_text().split())
    return found
