"""What a reading must give, in plain Python."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile, product, takewhile

from tests.support.fake_docker import Entry


@dataclass(frozen=True, slots=True)
class Query:
    """``None``: not limited."""

    tail: int | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    follow: bool = False


def expected_entries(
    history: Sequence[Entry], query: Query, later: Sequence[Entry] = ()
) -> list[Entry]:
    """The rules, in the strict form: tail first, then since, then until.

    Args:
        history: all entries when the reading began.
        query: what is asked for.
        later: all that came between then and the end of the session that was followed.
    """
    chosen = list(history)
    if query.tail is not None:
        chosen = chosen[max(0, len(chosen) - query.tail) :]
    if query.follow:
        chosen += later
    since_ns, until_ns = query.since_ns, query.until_ns
    if since_ns is not None:
        # Times are skipped only up to the first entry that is not older; later ones may be.
        chosen = list(dropwhile(lambda entry: entry.time_ns < since_ns, chosen))
    if until_ns is not None:
        chosen = list(takewhile(lambda entry: entry.time_ns <= until_ns, chosen))
    return chosen


def all_queries(
    history: Sequence[Entry], *, follow: bool = False, is_short: bool = False
) -> Iterator[Query]:
    """Tail x since x until, each where something changes: at, before and behind entries, and beyond both ends.

    Args:
        history: what they are asked of.
        follow: goes into each query.
        is_short: a fifth of them, for where each costs much.
    """
    count = len(history)
    tails: list[int | None] = [None, 0, 1, 2, count // 2, count, count + 3]
    times = sorted(entry.time_ns for entry in history) or [10**18]
    middle = times[len(times) // 2]
    moments: list[int | None] = [None, times[0] - 1, times[0], middle, middle + 1, times[-1] + 1]
    if is_short:
        tails = [None, 0, 2, count]
        moments = [None, times[0], middle + 1]
    untils: list[int | None] = [*moments, middle - 1, times[-1]]
    for tail, since_ns, until_ns in product(
        dict.fromkeys(tails), dict.fromkeys(moments), dict.fromkeys(untils)
    ):
        yield Query(tail, since_ns, until_ns, follow)
