import math
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, strategies as st

from logboom import _core
from logboom.measures import Measures
from logboom.plugin.documents import ReadLogs
from logboom.plugin.readlogs import (
    BUSY_GATHER_SECONDS,
    CLIENT_TIMEOUT_S,
    CLIENT_TIMEOUT_WITHIN_S,
    GATHER_SECONDS,
    SEND_BYTES,
    LogStreams,
    gather_seconds,
)
from logboom.store import OpenStore
from logboom.threads import Lane
from logboom.until import UNTIL_GRACE_SECONDS
from tests.support.fake_docker import Entry, FrameDecoder
from tests.support.fake_store import FakeReader, FakeStore

ENTRIES = [Entry("stdout", 1000 + number, b"line %d" % number) for number in range(5)]


class Client:
    """Takes one answer, in process; it can hang up, and it can take nothing for a while."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.chunks: list[bytes] = []
        self.may_send = trio.Event()
        self.may_send.set()
        self.gone = trio.Event()
        self._buffer = b""
        self.server_side, self.side = trio.socket.socketpair()

    async def ask(self, streams: LogStreams, request: ReadLogs) -> None:
        """Take the whole answer."""
        with self.side:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._take_chunks)
                with self.server_side:
                    await streams.answer(request, self.server_side, self.receive, self.send)

    async def ask_and_take_nothing(self, streams: LogStreams, request: ReadLogs) -> None:
        with self.server_side, self.side:
            await streams.answer(request, self.server_side, self.receive, self.send)

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        # hypercorn does not let a write be cancelled
        with trio.CancelScope(shield=True):
            await self.may_send.wait()
        self.messages.append(message)

    async def _take_chunks(self) -> None:
        while data := await self.side.recv(65536):
            self._buffer += data
            self._split_chunks()

    def _split_chunks(self) -> None:
        """RFC 9112, section 7.1."""
        while (head := self._buffer.find(b"\r\n")) >= 0:
            begin, end = head + 2, head + 2 + int(self._buffer[:head], 16)
            if len(self._buffer) < end + 2:
                return
            assert self._buffer[end : end + 2] == b"\r\n"
            self.chunks.append(self._buffer[begin:end])
            self._buffer = self._buffer[end + 2 :]

    @property
    def entries(self) -> list[Entry]:
        """What came over the socket, and the notices behind it."""
        decoder = FrameDecoder()
        notices = [message["body"] for message in self.messages if message.get("body")]
        entries = [entry for chunk in [*self.chunks, *notices] for entry in decoder.feed(chunk)]
        decoder.finish()
        return entries

    @property
    def is_complete(self) -> bool:
        return bool(self.messages) and self.messages[-1] == {"type": "http.response.body"}


def request(**changes: Any) -> ReadLogs:
    return ReadLogs(
        **{
            "container_id": "c1",
            "tail": None,
            "since_ns": None,
            "until_ns": None,
            "follow": False,
            **changes,
        }
    )


def wall_clock_ns() -> int:
    """A clock of day that the test's clock drives."""
    return int(trio.current_time() * 10**9)


@pytest.fixture
def streams(store: FakeStore) -> LogStreams:
    store.entries["c1"] = list(ENTRIES)
    place = OpenStore()
    place.set(store)
    return LogStreams(place, Measures(), wall_clock_ns)


async def wait_until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not condition():
            await trio.sleep(0.001)


def shown(entries: list[Entry]) -> list[Entry]:
    return [entry.as_shown() for entry in entries]


async def test_all_entries_are_sent_and_the_reader_closed(
    streams: LogStreams, store: FakeStore
) -> None:
    client = Client()
    await client.ask(streams, request())
    assert client.entries == shown(ENTRIES)
    assert client.is_complete
    assert client.messages[0]["status"] == 200
    assert (b"connection", b"close") in client.messages[0]["headers"]
    assert store.readers[0].is_closed


async def test_the_request_reaches_the_store_as_it_is(
    streams: LogStreams, store: FakeStore
) -> None:
    client = Client()
    await client.ask(streams, request(tail=2, since_ns=5, until_ns=7))
    assert store.reads == [
        {"container_id": "c1", "tail": 2, "since_ns": 5, "until_ns": 7, "follow": False}
    ]


async def test_the_reader_is_there_before_the_headers_are_sent(
    streams: LogStreams, store: FakeStore
) -> None:
    client = Client()
    client.may_send = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.ask, streams, request())
        await wait_until(lambda: len(store.readers) == 1)
        assert client.messages == []
        client.may_send.set()


async def test_a_large_log_goes_out_in_few_calls(streams: LogStreams, store: FakeStore) -> None:
    store.entries["c1"] = [Entry("stdout", 1, b"x" * 16_000)] * 1000
    client = Client()
    await client.ask(streams, request())
    assert len(client.entries) == 1000
    # The fake makes a chunk of each call.
    assert all(SEND_BYTES <= len(chunk) < SEND_BYTES + 20_000 for chunk in client.chunks[:-1])


async def test_a_follower_gets_what_comes_and_ends_with_the_session(
    streams: LogStreams, store: FakeStore
) -> None:
    client = Client()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.ask, streams, request(follow=True))
        await wait_until(lambda: len(client.entries) == 5)
        store.readers[0].push(ENTRIES[0])
        await wait_until(lambda: len(client.entries) == 6)
        assert not client.is_complete
        store.readers[0].push(ENTRIES[1])
        store.readers[0].end()
    assert client.entries == shown([*ENTRIES, ENTRIES[0], ENTRIES[1]])
    assert client.is_complete
    assert store.readers[0].is_closed


async def test_a_waiting_follower_whose_client_hangs_up_is_ended(
    streams: LogStreams, store: FakeStore
) -> None:
    client = Client()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.ask, streams, request(follow=True))
        await wait_until(lambda: len(client.entries) == 5)
        client.gone.set()
    assert store.readers[0].is_closed
    assert not client.is_complete


async def test_a_client_that_stalls_holds_up_nobody_else(
    streams: LogStreams, store: FakeStore
) -> None:
    stalled, other = Client(), Client()
    stalled.may_send = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stalled.ask, streams, request())
        await wait_until(lambda: len(store.readers) == 1)
        await other.ask(streams, request())
        assert other.is_complete
        assert not store.readers[0].is_closed
        stalled.gone.set()
        stalled.may_send.set()
    assert store.readers[0].is_closed


async def test_a_client_that_takes_nothing_holds_up_nobody_else_and_can_be_cut(
    streams: LogStreams, store: FakeStore
) -> None:
    store.entries["c1"] = [Entry("stdout", 1, b"x" * 16_000)] * 400
    stalled = Client()
    others = [Client() for _ in range(2 * Lane.READS.value)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stalled.ask_and_take_nothing, streams, request())
        await wait_until(lambda: bool(store.readers and store.readers[0].is_stalled))
        for other in others:
            await other.ask(streams, request())
            assert len(other.entries) == 400
        assert not store.readers[0].is_closed
        nursery.cancel_scope.cancel()
    assert store.readers[0].is_closed
    assert not stalled.is_complete


async def test_an_answer_whose_client_has_gone_just_ends(
    streams: LogStreams, store: FakeStore
) -> None:
    client = Client()
    client.side.close()
    await client.ask_and_take_nothing(streams, request())
    assert not client.is_complete
    assert store.readers[0].is_closed


async def test_a_cancelled_answer_closes_its_reader(streams: LogStreams, store: FakeStore) -> None:
    client = Client()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.ask, streams, request(follow=True))
        await wait_until(lambda: len(client.entries) == 5)
        nursery.cancel_scope.cancel()
    assert store.readers[0].is_closed


async def test_stopping_the_service_ends_followers_as_if_the_container_had_stopped(
    streams: LogStreams, store: FakeStore
) -> None:
    waiting, late = Client(), Client()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.ask, streams, request(follow=True))
        await wait_until(lambda: len(waiting.entries) == 5)
        streams.end_followers()
    await late.ask(streams, request(follow=True))
    for client in (waiting, late):
        assert client.entries == shown(ENTRIES)
        assert client.is_complete
    assert all(reader.is_closed for reader in store.readers)


async def test_a_follower_of_a_writer_that_never_rests_is_ended_too(
    streams: LogStreams, store: FakeStore
) -> None:
    client = Client()

    def never_rest() -> None:
        store.readers[0].entries.append(ENTRIES[0])

    store.on_next = never_rest
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.ask, streams, request(follow=True))
        await wait_until(lambda: len(client.entries) > 20)
        streams.end_followers()
    assert client.is_complete


async def test_a_follower_ends_when_the_clock_is_past_until(
    streams: LogStreams, store: FakeStore, autojump_clock: trio.testing.MockClock
) -> None:
    started = trio.current_time()
    until_ns = wall_clock_ns() + 30 * 10**9
    store.entries["c1"] = []
    client = Client()
    await client.ask(streams, request(follow=True, until_ns=until_ns))
    assert client.is_complete
    assert client.entries == []
    assert trio.current_time() - started == pytest.approx(30 + UNTIL_GRACE_SECONDS, abs=0.01)


async def test_a_follower_whose_until_was_past_goes_by_the_entries(
    streams: LogStreams, store: FakeStore, autojump_clock: trio.testing.MockClock
) -> None:
    # It ended at once by the clock, although entries of a set-back clock could still come (moby's TestFollow/Until).
    store.entries["c1"] = []
    client = Client()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            client.ask,
            streams,
            request(follow=True, until_ns=wall_clock_ns() - 10**9),
        )
        await wait_until(lambda: len(store.readers) == 1)
        await trio.sleep(60)
        assert not client.is_complete
        streams.end_followers()
    assert client.is_complete


# --- what is wrong is said in the log ---------------------------------------------------------------------------------


def failing(error: Exception, after: int = 0) -> Callable[[], None]:
    calls = iter(range(10**6))

    def fail() -> None:
        if next(calls) >= after:
            raise error

    return fail


async def test_a_log_that_cannot_be_opened_says_so(streams: LogStreams, store: FakeStore) -> None:
    store.on_read = failing(_core.StorageError("open /x: Input/output error"))
    client = Client()
    await client.ask(streams, request())
    (notice,) = client.entries
    assert notice.source == "stderr"
    assert notice.line == b"logboom: this log cannot be read: open /x: Input/output error\n"
    assert client.is_complete


@pytest.mark.parametrize("follow", [False, True])
async def test_a_log_that_breaks_in_the_middle_says_so(
    streams: LogStreams, store: FakeStore, follow: bool
) -> None:
    store.on_next = failing(_core.StorageError("a block of /x is damaged"), after=1)
    client = Client()
    await client.ask(streams, request(follow=True))
    *before, notice = client.entries
    assert before == shown(ENTRIES)
    assert (
        notice.line == b"logboom: the rest of this log cannot be read: a block of /x is damaged\n"
    )
    assert client.is_complete
    assert store.readers[0].is_closed


async def test_a_store_that_takes_nothing_says_so_behind_what_it_has(
    streams: LogStreams, store: FakeStore
) -> None:
    store.fault_text = "write /x: No space left on device"
    client = Client()
    await client.ask(streams, request())
    *before, notice = client.entries
    assert before == shown(ENTRIES)
    assert b"No space left on device" in notice.line


async def test_a_bad_argument_is_an_error_of_the_call_not_of_the_log(
    streams: LogStreams, store: FakeStore
) -> None:
    store.on_read = failing(_core.InvalidArgumentError("container_id"))
    client = Client()
    with pytest.raises(_core.InvalidArgumentError):
        await client.ask_and_take_nothing(streams, request())
    assert client.messages == []


# --- gathering ------------------------------------------------------------------------------------------------------


def test_pushes_gather_longer_only_above_ten_thousand_lines_a_second() -> None:
    assert gather_seconds(1, math.inf) == GATHER_SECONDS
    assert gather_seconds(20, 0.002) == GATHER_SECONDS
    assert gather_seconds(21, 0.002) == BUSY_GATHER_SECONDS
    assert gather_seconds(100, 0.010) == GATHER_SECONDS
    assert gather_seconds(101, 0.010) == BUSY_GATHER_SECONDS


@given(st.integers(0, 10**7), st.floats(0, 1e9))
def test_no_push_gathers_longer_than_the_limit(entry_count: int, elapsed_seconds: float) -> None:
    assert GATHER_SECONDS <= gather_seconds(entry_count, elapsed_seconds) <= BUSY_GATHER_SECONDS


async def test_the_first_push_after_a_quiet_time_goes_at_once_and_the_next_one_gathers(
    store: FakeStore, autojump_clock: trio.testing.MockClock
) -> None:
    """The clock stands still but for sleeping, so times are exact. Whoever sleeps here is the gathering."""
    place = OpenStore()
    place.set(store)
    streams = LogStreams(place, Measures(), wall_clock_ns)
    client = Client()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.ask, streams, request(follow=True))
        # A thread opens it.
        while not store.readers:
            await trio.testing.wait_all_tasks_blocked(0.001)
        await trio.testing.wait_all_tasks_blocked(0.001)
        autojump_clock.autojump_threshold = math.inf
        autojump_clock.jump(1)
        reader: FakeReader = store.readers[0]
        pushed_at = trio.current_time()
        reader.push(ENTRIES[0])
        while len(client.entries) < 1:
            await trio.lowlevel.checkpoint()
        assert trio.current_time() == pushed_at
        reader.push(ENTRIES[1])
        await trio.testing.wait_all_tasks_blocked(0.001)
        reader.push(ENTRIES[2])
        await trio.testing.wait_all_tasks_blocked(0.001)
        assert len(client.entries) == 1
        autojump_clock.jump(GATHER_SECONDS)
        while len(client.entries) < 3:
            await trio.lowlevel.checkpoint()
        assert len(client.chunks) == 2
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("seconds", "count"),
    [
        (CLIENT_TIMEOUT_S, 1),
        (CLIENT_TIMEOUT_S - CLIENT_TIMEOUT_WITHIN_S, 1),
        (CLIENT_TIMEOUT_S + CLIENT_TIMEOUT_WITHIN_S, 1),
        (CLIENT_TIMEOUT_S - CLIENT_TIMEOUT_WITHIN_S - 0.1, 0),
        (CLIENT_TIMEOUT_S + CLIENT_TIMEOUT_WITHIN_S + 0.1, 0),
        (5, 0),
    ],
)
async def test_a_follower_that_is_given_up_after_30_seconds_is_counted_and_the_log_says_what_mends_it(
    store: FakeStore,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
    count: int,
) -> None:
    """dockerd does so when the plugin was enabled without `--timeout 0`; nothing else tells."""
    place = OpenStore()
    place.set(store)
    measures = Measures()
    client = Client()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            client.ask, LogStreams(place, measures, wall_clock_ns), request(follow=True)
        )
        await trio.sleep(seconds)
        assert (measures.readers, measures.followers) == (1, 1)
        client.gone.set()
    assert measures.followers_cut_at_30s == count
    assert ("--timeout 0" in caplog.text) == bool(count)
    assert (measures.readers, measures.followers) == (0, 0)
