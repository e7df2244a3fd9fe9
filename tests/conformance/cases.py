"""The table of cases: how a log must be read, whatever keeps it.

The first part is moby's ``loggertest`` (``daemon/logger/loggertest/logreader.go``), which its own drivers have to pass, in
the strict form: ``since`` skips up to the first entry that is not older and then gives everything. The second asks every
combination of tail, since, until and follow of a log in every state that it can be in, with ``oracle`` as the judge.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import trio

from tests.conformance.messages import MINUTE_NS, Message, line, lines, shown
from tests.conformance.oracle import Query, all_queries, expected_entries
from tests.conformance.stage import Following, Stage, read, segments, seven_messages
from tests.conformance.stand_in_stage import StandInStage
from tests.support.fake_docker import Entry, encode_frame

Script = Callable[[Stage], Awaitable[None]]

A_MILLISECOND_NS = 10**6


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table.

    Args:
        script: plays it.
        needs_stand_in: no real container can bring it about: it chooses the times of entries, for instance.
    """

    script: Script
    needs_stand_in: bool = False

    @property
    def name(self) -> str:
        return self.script.__name__


CASES: list[Case] = []


def case(script: Script) -> Script:
    CASES.append(Case(script))
    return script


def case_for_stand_in(script: Callable[[StandInStage], Awaitable[None]]) -> None:
    async def checked(stage: Stage) -> None:
        assert isinstance(stage, StandInStage)
        await script(stage)

    checked.__name__ = script.__name__
    CASES.append(Case(checked, needs_stand_in=True))


def parameters(*, is_stand_in: bool = True) -> list[object]:
    """For ``pytest.mark.parametrize("case", ...)``."""
    return [
        pytest.param(case, id=case.name) for case in CASES if is_stand_in or not case.needs_stand_in
    ]


# --- moby's TestTail --------------------------------------------------------------------------------------------------


async def check_moby_tail(stage: Stage, entries: Sequence[Entry]) -> None:
    """Its table: what is asked for, and which of the seven come."""
    first, second, third = (entry.time_ns for entry in entries[:3])
    assert first < second < third
    table = {
        "Exact": (Query(tail=7), slice(None)),
        "LessThanAvailable": (Query(tail=2), slice(5, None)),
        "MoreThanAvailable": (Query(tail=100), slice(None)),
        "All": (Query(), slice(None)),
        "Since": (Query(since_ns=second), slice(1, None)),
        "MoreThanSince": (Query(tail=7, since_ns=second), slice(1, None)),
        "LessThanSince": (Query(tail=5, since_ns=second), slice(2, None)),
        "Until": (Query(until_ns=third - 1), slice(0, 2)),
        "SinceAndUntil": (Query(since_ns=second, until_ns=second), slice(1, 2)),
    }
    assert len(entries) == 7
    for name, (query, wanted) in table.items():
        assert await read(stage, query) == list(entries[wanted]), name


async def check_empty(stage: Stage) -> None:
    early_ns, late_ns = 10**9, 4_102_448_461 * 10**9
    for query in (
        Query(tail=0),
        Query(),
        Query(tail=42),
        Query(since_ns=early_ns),
        Query(until_ns=late_ns),
        Query(since_ns=early_ns, until_ns=late_ns),
    ):
        assert await read(stage, query) == [], query


@case
async def tail_of_a_live_container(stage: Stage) -> None:
    await stage.start()
    await check_moby_tail(stage, await stage.log(seven_messages(stage)))


@case
async def tail_of_a_stopped_container(stage: Stage) -> None:
    await stage.start()
    entries = await stage.log(seven_messages(stage))
    await stage.stop()
    await check_moby_tail(stage, entries)


@case
async def tail_of_a_live_container_that_has_printed_nothing(stage: Stage) -> None:
    await stage.start()
    await check_empty(stage)


@case
async def tail_of_a_stopped_container_that_has_printed_nothing(stage: Stage) -> None:
    await stage.start()
    await stage.stop()
    await check_empty(stage)


# --- moby's TestFollow ------------------------------------------------------------------------------------------------


async def check_following(
    stage: Stage, query: Query, before: Sequence[Message], after: Sequence[Message], wanted: slice
) -> None:
    """Follow between two runs of messages, then stop; ``wanted`` is a slice of all."""
    await stage.start()
    entries = await stage.log(before)
    async with stage.open_logs(query) as reading:
        entries += await stage.log(after)
        await stage.stop()
        assert await reading.rest() == entries[wanted]


def follow_from_an_empty_log(tail: int | None) -> Script:
    async def script(stage: Stage) -> None:
        await check_following(
            stage, Query(tail=tail, follow=True), [], seven_messages(stage), slice(None)
        )

    script.__name__ = f"follow_from_an_empty_log_with_tail_{tail}"
    return script


for _tail in (None, 0, 1, 42):
    case(follow_from_an_empty_log(_tail))


@case
async def follow_from_the_middle(stage: Stage) -> None:
    messages = seven_messages(stage)
    await check_following(stage, Query(follow=True), messages[:1], messages[1:], slice(None))


@case
async def follow_with_tail_0_gives_new_entries_only(stage: Stage) -> None:
    messages = seven_messages(stage)
    await check_following(
        stage, Query(tail=0, follow=True), messages[:2], messages[2:], slice(2, None)
    )


@case
async def follow_with_tail_1_gives_one_old_entry(stage: Stage) -> None:
    messages = seven_messages(stage)
    await check_following(
        stage, Query(tail=1, follow=True), messages[:2], messages[2:], slice(1, None)
    )


@case_for_stand_in
async def follow_since(stage: StandInStage) -> None:
    messages = seven_messages(stage)
    query = Query(since_ns=messages[2].entry.time_ns, follow=True)
    await check_following(stage, query, [], messages, slice(2, None))


async def check_end_before_stop(stage: Stage, query: Query, wanted: slice) -> None:
    """The reading ends by itself, at an entry that is too new."""
    messages = seven_messages(stage)
    await stage.start()
    async with stage.open_logs(query) as reading:
        entries = await stage.log(messages)
        assert await reading.rest() == entries[wanted]
    await stage.stop()


@case_for_stand_in
async def follow_until_ends_by_itself(stage: StandInStage) -> None:
    until_ns = seven_messages(stage)[2].entry.time_ns - A_MILLISECOND_NS
    await check_end_before_stop(stage, Query(until_ns=until_ns, follow=True), slice(0, 2))


@case_for_stand_in
async def follow_since_until_ends_by_itself(stage: StandInStage) -> None:
    messages = seven_messages(stage)
    query = Query(
        since_ns=messages[1].entry.time_ns - A_MILLISECOND_NS,
        until_ns=messages[2].entry.time_ns - A_MILLISECOND_NS,
        follow=True,
    )
    await check_end_before_stop(stage, query, slice(1, 2))


@case
async def follow_after_a_restart_gives_the_log_of_the_earlier_run_too(stage: Stage) -> None:
    messages = seven_messages(stage)
    await stage.start()
    entries = await stage.log(messages[:3])
    await stage.stop()
    await stage.start()
    async with stage.open_logs(Query(follow=True)) as reading:
        entries += await stage.log(messages[3:])
        await stage.stop()
        assert await reading.rest() == entries


@case
async def follow_two_writers_at_once(stage: Stage) -> None:
    logged: dict[str, list[Entry]] = {}

    async def log_of(source: str) -> None:
        messages = [message for message in seven_messages(stage) if message.entry.source == source]
        logged[source] = await stage.log(messages)

    await stage.start()
    async with stage.open_logs(Query(follow=True)) as reading:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log_of, "stdout")
            nursery.start_soon(log_of, "stderr")
        await stage.stop()
        got = await reading.rest()
    for source, entries in logged.items():
        found = [entry for entry in got if entry.source == source]
        assert [entry.line for entry in found] == [entry.line for entry in entries]
    assert len(got) == 7


# --- every combination, of a log in every state ------------------------------------------------------------------------


async def check_all_readings(stage: Stage, entries: Sequence[Entry]) -> None:
    for query in all_queries(entries, is_short=not stage.is_quick):
        assert await read(stage, query) == expected_entries(entries, query), query


async def check_all_followers(
    stage: Stage, entries: Sequence[Entry], messages: Sequence[Message]
) -> list[Entry]:
    """All combinations follow at once, while the messages are logged and the session ends; returns all entries."""
    known = [*entries, *shown([message for message in messages if message.entry.time_ns])]
    followers: list[tuple[Query, Following]] = []
    async with AsyncExitStack() as stack:
        for query in all_queries(known, follow=True, is_short=True):
            reading = await stack.enter_async_context(stage.open_logs(query))
            followers.append((query, reading))
        later = await stage.log(messages)
        await stage.stop()
        for query, reading in followers:
            assert await reading.rest() == expected_entries(entries, query, later), query
    return [*entries, *later]


def mixed(stage: Stage, count: int, *, first: int) -> list[Message]:
    """Lines on both streams, where possible with times that go back every seventh time."""
    messages = [
        line(f"entry {number}".encode(), ("stdout", "stdout", "stderr")[number % 3])
        for number in range(first, first + count)
    ]
    if not stage.can_choose_times:
        return messages
    start_ns = 1_700_000_000 * 10**9
    return [
        message.dated(
            start_ns + MINUTE_NS * (number - (20 if number % 7 == 6 else 0)) + number % 2 * 37
        )
        for number, message in enumerate(messages, first)
    ]


@case
async def all_combinations_with_all_in_the_journal(stage: Stage) -> None:
    await stage.start()
    entries = await stage.log(mixed(stage, 15, first=0))
    assert segments(stage) == []
    await check_all_readings(stage, entries)
    entries = await check_all_followers(stage, entries, mixed(stage, 8, first=15))
    await check_all_readings(stage, entries)


@case
async def all_combinations_with_all_in_blocks_of_a_live_container(stage: Stage) -> None:
    await stage.start()
    entries = await stage.log(mixed(stage, 15, first=0))
    await stage.restart_worker()
    assert segments(stage) != []
    await check_all_readings(stage, entries)
    entries = await check_all_followers(stage, entries, mixed(stage, 8, first=15))
    await check_all_readings(stage, entries)


@case
async def all_combinations_with_some_in_blocks_and_some_in_the_journal(stage: Stage) -> None:
    await stage.start()
    entries = await stage.log(mixed(stage, 9, first=0))
    await stage.restart_worker()
    entries += await stage.log(mixed(stage, 9, first=9))
    await check_all_readings(stage, entries)
    entries = await check_all_followers(stage, entries, mixed(stage, 8, first=18))
    await check_all_readings(stage, entries)


@case
async def all_combinations_after_the_worker_was_killed(stage: Stage) -> None:
    await stage.start()
    entries = await stage.log(mixed(stage, 6, first=0))
    await stage.kill_worker()
    await check_all_readings(stage, entries)
    entries += await stage.log(mixed(stage, 6, first=6))
    await stage.restart_worker()
    entries += await stage.log(mixed(stage, 6, first=12))
    await stage.kill_worker()
    await check_all_readings(stage, entries)
    entries = await check_all_followers(stage, entries, mixed(stage, 8, first=18))
    await stage.kill_worker()
    await check_all_readings(stage, entries)


@case
async def all_combinations_of_a_container_that_was_started_again(stage: Stage) -> None:
    entries: list[Entry] = []
    for run in range(3):
        await stage.start()
        await check_all_readings(stage, entries)
        entries = await check_all_followers(stage, entries, mixed(stage, 5, first=5 * run))
    await check_all_readings(stage, entries)


@case
async def all_combinations_over_many_segments_the_oldest_of_which_are_gone(stage: Stage) -> None:
    """With these options a segment has 4 kB, which is more than four of these runs, and the log 16 kB."""
    log_opts = {"max-size": "4k", "max-file": "4", "compress": "false"}
    entries: list[Entry] = []
    for run in range(24):
        await stage.start(log_opts)
        entries += await stage.log(lines(3, "x" * 280, first=3 * run))
        await stage.stop()
        if run % 6 == 5:
            await stage.restart_worker()
    left = await read(stage, Query())
    assert len(segments(stage)) > 2
    assert 20 < len(left) < 60
    assert left == entries[-len(left) :]
    await check_all_readings(stage, left)
    await stage.start()
    await check_all_readings(stage, left)
    await stage.kill_worker()
    await check_all_readings(stage, left)
    await check_all_followers(stage, left, mixed(stage, 8, first=0))


# --- reading and what happens meanwhile ---------------------------------------------------------------------------------


@case
async def a_reading_ends_where_the_log_ended_when_it_began(stage: Stage) -> None:
    await stage.start()
    entries = await stage.log(lines(5))
    async with stage.open_logs(Query()) as reading:
        await stage.log(lines(5, first=5))
        assert await reading.rest() == entries


@case
async def segments_may_be_deleted_under_a_reading(stage: Stage) -> None:
    log_opts = {"max-size": "100k", "max-file": "2", "compress": "false"}
    await stage.start(log_opts)
    entries = await stage.log(lines(900, "x" * 100))
    await stage.restart_worker()
    async with stage.open_logs(Query()) as reading:
        first = await reading.next()
        await stage.log(lines(4000, "y" * 100))
        await stage.stop()
        got = [first, *await reading.rest()]
    # What was deleted may be missing; all else is there once and in order, and nothing of later.
    assert first == entries[0]
    positions = {entry: position for position, entry in enumerate(entries)}
    found = [positions[entry] for entry in got]
    assert found == sorted(set(found))


@case
async def a_follower_goes_on_when_its_entries_move_into_blocks_and_are_deleted(
    stage: Stage,
) -> None:
    log_opts = {"max-size": "100k", "max-file": "1", "compress": "false"}
    await stage.start(log_opts)
    async with stage.open_logs(Query(tail=0, follow=True)) as reading:
        for run in range(6):
            entries = await stage.log(lines(400, "x" * 100, first=400 * run))
            assert [await reading.next() for _ in entries] == entries
        await stage.stop()
        assert await reading.rest() == []


@case
async def a_follower_without_a_running_session_ends_at_once(stage: Stage) -> None:
    await stage.start()
    entries = await stage.log(lines(3))
    await stage.stop()
    assert await read(stage, Query(follow=True)) == entries
    assert await read(stage, Query(tail=0, follow=True)) == []


@case
async def a_follower_is_given_each_entry_when_it_comes(stage: Stage) -> None:
    await stage.start()
    async with stage.open_logs(Query(follow=True)) as reading:
        for number in range(5):
            (entry,) = await stage.log(lines(1, first=number))
            assert await reading.next() == entry
        await stage.stop()
        assert await reading.rest() == []


@case
async def many_followers_see_the_same(stage: Stage) -> None:
    await stage.start()
    async with AsyncExitStack() as stack:
        readings = [
            await stack.enter_async_context(stage.open_logs(Query(follow=True))) for _ in range(20)
        ]
        entries = await stage.log(lines(50))
        await stage.stop()
        for reading in readings:
            assert await reading.rest() == entries


@case
async def reading_a_stopped_container_leaves_nothing_behind(stage: Stage) -> None:
    """dockerd starts and stops an empty session for it."""
    await stage.start()
    entries = await stage.log(lines(3))
    await stage.stop()
    await stage.restart_worker()
    before = {
        path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in stage.folder.iterdir()
    }
    for _ in range(3):
        assert await read(stage, Query()) == entries
    await stage.restart_worker()
    after = {
        path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in stage.folder.iterdir()
    }
    assert after == before


@case
async def reading_a_container_that_never_printed_leaves_nothing_behind(stage: Stage) -> None:
    await stage.start()
    await stage.stop()
    assert await read(stage, Query()) == []
    await stage.restart_worker()
    assert not stage.folder.exists()


# --- what only the stand-in can bring about -----------------------------------------------------------------------------


@case_for_stand_in
async def a_follower_in_a_segment_misses_nothing_when_it_grows_and_is_sealed(
    stage: StandInStage,
) -> None:
    log_opts = {"max-size": "20k", "compress": "false"}
    await stage.start(log_opts)
    entries = await stage.log(lines(50, "x" * 100))
    await stage.cut()
    async with stage.open_logs(Query(follow=True)) as reading:
        assert [await reading.next() for _ in entries] == entries
        later = await stage.log(lines(50, "x" * 100, first=50))
        await stage.cut()
        for run in range(2, 8):
            later += await stage.log(lines(50, "x" * 100, first=50 * run))
            await stage.cut()
        await stage.stop()
        assert await reading.rest() == later


@case_for_stand_in
async def a_reading_in_a_segment_misses_nothing_when_it_grows_and_is_sealed(
    stage: StandInStage,
) -> None:
    """The reading has come to the end of the blocks that there were, and the rest of what it must give is cut and sealed."""
    log_opts = {"max-size": "1m", "compress": "false"}
    await stage.start(log_opts)
    text = "x" * 1000
    entries = await stage.log(lines(300, text))
    await stage.cut()
    entries += await stage.log(lines(300, text, first=300))
    async with stage.open_logs(Query()) as reading:
        got = [await reading.next()]
        await stage.cut()
        await stage.log(lines(1000, text))
        await stage.cut()
        got += await reading.rest()
    assert got == entries
    await stage.stop()


@case_for_stand_in
async def two_sessions_of_a_container_at_once(stage: StandInStage) -> None:
    """After a crash of dockerd the old FIFO may still hold something when the new one begins."""
    await stage.start()
    entries = await stage.log(mixed(stage, 3, first=0))
    other = await stage.start_other()
    for run in range(1, 6):
        container = other if run % 2 else stage.container
        entries += await stage.log(mixed(stage, 3, first=3 * run), container)
        assert await read(stage, Query()) == entries
    await check_all_readings(stage, entries)
    await stage.stop()
    async with stage.open_reading(Query()) as reading:
        assert await reading.rest() == entries
    entries += await stage.log(mixed(stage, 3, first=18), other)
    await other.stop()
    assert await read(stage, Query()) == entries


@case_for_stand_in
async def an_old_session_that_ends_does_not_end_the_followers_of_the_new_one(
    stage: StandInStage,
) -> None:
    await stage.start()
    entries = await stage.log(lines(3))
    other = await stage.start_other()
    async with stage.open_reading(Query(follow=True)) as reading:
        assert [await reading.next() for _ in entries] == entries
        await stage.stop()
        later = await stage.log(lines(3, first=3), other)
        assert [await reading.next() for _ in later] == later
        await other.stop()
        assert await reading.rest() == []


@case_for_stand_in
async def each_of_two_sessions_keeps_its_order(stage: StandInStage) -> None:
    await stage.start()
    other = await stage.start_other()
    for run in range(5):
        await stage.log(lines(1, "new", first=run), other)
        await stage.log(lines(1, "old", first=run))
    entries = await read(stage, Query())
    for name in (b"old", b"new"):
        texts = [entry.line for entry in entries if entry.line.startswith(name)]
        assert texts == [b"%s %d\n" % (name, run) for run in range(5)]
    await stage.stop()
    await other.stop()


@case_for_stand_in
async def half_a_frame_outlives_another_session_and_a_kill(stage: StandInStage) -> None:
    """The torn frame belongs to a generation that is closed for the other session, and may then be cut and removed."""
    await stage.start()
    first, torn = mixed(stage, 2, first=0)
    entries = await stage.log([first])
    frame = encode_frame(torn.entry)
    await stage.container.write(frame[:10])
    assert await read(stage, Query()) == entries
    other = await stage.start_other()
    entries += await stage.log(mixed(stage, 2, first=2), other)
    assert await read(stage, Query()) == entries
    await stage.cut()
    await stage.kill_worker()
    await stage.container.write(frame[10:])
    entries.append(torn.entry.as_shown())
    assert await read(stage, Query()) == entries
    await stage.stop()
    await other.stop()


@case_for_stand_in
async def a_frame_may_come_in_any_two_parts(stage: StandInStage) -> None:
    await stage.start()
    messages = mixed(stage, 40, first=0)
    for position, message in enumerate(messages):
        frame = encode_frame(message.entry)
        cut_at = position % len(frame)
        await stage.container.write(frame[:cut_at])
        assert await read(stage, Query()) == shown(messages[:position])
        await stage.container.write(frame[cut_at:])
        assert await read(stage, Query()) == shown(messages[: position + 1])
    await stage.stop()


@case_for_stand_in
async def every_field_of_an_entry_comes_back(stage: StandInStage) -> None:
    unknown = ((6, b"\x32\x08\x0a\x03key\x12\x01v"), (1000, b"\xc0\x3e\x07"))
    entries = [
        Entry("stdout", 1, b""),
        Entry("", 0, b"neither source nor time"),
        Entry("stderr", -1, b"before 1970"),
        Entry("stdout", 2**63 - 1, b"far in the future"),
        Entry("other", 5, b"another source"),
        Entry("stdout", 6, b"with\nnewlines\n"),
        Entry("stdout", 7, b"\n"),
        Entry("stdout", 8, bytes(range(256)) * 3),
        Entry("stdout", 9, b"x" * 900_000),
        Entry("stdout", 10, b"piece", partial=True),
        Entry("stdout", 11, b"", True, False, "ab" * 32, 1),
        Entry("stdout", 12, b"", True, True, "ab" * 32, 2),
        Entry("stdout", 13, b"", True, True, "", 2**31 - 1),
        Entry("stdout", 14, b"more fields", unknown=unknown),
    ]
    await stage.start()
    for entry in entries:
        await stage.container.log_entry(entry)
    wanted = [entry.as_shown() for entry in entries]
    assert await read(stage, Query()) == wanted
    await stage.cut()
    assert await read(stage, Query()) == wanted
    await stage.stop()
    await stage.restart_worker()
    assert await read(stage, Query()) == wanted
