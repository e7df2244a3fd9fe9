"""Streams and their entries, over the real core."""

import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
import trio

from logboom import _core
from logboom.api import streams as streams_module
from logboom.api.doors import SOCKET_FILE
from logboom.api.entries import FOLLOWERS_LIMIT, TAIL_LIMIT
from logboom.api.streams import PAGE_LIMIT
from logboom.app import open_store
from logboom.settings import read_settings
from logboom.threads import Lane
from tests.support.api import unix_client
from tests.support.fake_docker import Entry, FakeContainer, FakeDocker, HttpConnection, encode_frame
from tests.support.service import Service, run_service

SECOND_NS = 10**9
BEGIN_NS = 1_700_000_000 * SECOND_NS
"""2023-11-14T22:13:20Z."""


@pytest.fixture
async def real_service(folder: Path) -> AsyncIterator[Service]:
    given = {"data": str(folder / "data"), "socket": str(folder / "s"), "fifo_root": str(folder)}
    settings, _ = read_settings({}, given)
    async with run_service(settings, open_store(settings)) as service:
        yield service


@pytest.fixture
def docker(real_service: Service, folder: Path) -> FakeDocker:
    return FakeDocker(Path(real_service.settings.socket), folder)


@pytest.fixture
async def client(real_service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with unix_client(Path(real_service.settings.data, SOCKET_FILE)) as client:
        yield client


def entries(count: int, first: int = 0) -> list[Entry]:
    return [
        Entry("stdout", BEGIN_NS + number * SECOND_NS, b"line %d" % number)
        for number in range(first, first + count)
    ]


async def log(container: FakeContainer, printed: list[Entry]) -> None:
    await container.write(b"".join(map(encode_frame, printed)))


async def get_lines(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/api/v1/streams/{path}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def problem_of(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).removeprefix("urn:logboom:problem:")


async def test_an_empty_store_has_no_streams(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/streams")).json() == {"streams": [], "next": None}


async def test_a_stream_is_described_with_its_container(
    client: httpx.AsyncClient, docker: FakeDocker
) -> None:
    container = await docker.start_container("c1")
    await log(container, entries(3))
    await container.stop()
    silent = await docker.start_container("c2")
    found = (await client.get("/api/v1/streams")).json()
    assert found["next"] is None
    one, other = found["streams"]
    assert one["container_id"] == "c1"
    assert one["active"] is False
    assert one["container"]["name"] == "quirky_boom"
    assert one["entries"] == 3
    assert one["first_time"] == "2023-11-14T22:13:20.000000000Z"
    assert one["last_time"] == "2023-11-14T22:13:22.000000000Z"
    assert one["text_bytes"] == len("line 0\n") * 3
    assert one["stored_bytes"] > 0
    assert one["first_started"] == one["last_started"]
    assert (other["container_id"], other["active"], other["entries"]) == ("c2", True, 0)
    assert other.keys() == one.keys()
    await silent.stop()


async def test_pages_follow_one_another(
    client: httpx.AsyncClient, docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("c3", "c1", "c2"):
        container = await docker.start_container(name)
        await log(container, entries(1))
        await container.stop()
    monkeypatch.setattr(streams_module, "PAGE_DEFAULT", 2)
    first = (await client.get("/api/v1/streams")).json()
    assert [stream["container_id"] for stream in first["streams"]] == ["c1", "c2"]
    assert first["next"] == "c2"
    rest = (await client.get(f"/api/v1/streams?after={first['next']}")).json()
    assert [stream["container_id"] for stream in rest["streams"]] == ["c3"]
    assert rest["next"] is None
    exact = (await client.get("/api/v1/streams?limit=3")).json()
    assert (len(exact["streams"]), exact["next"]) == (3, None)


async def test_a_page_is_written_off_the_loop_and_stream_by_stream(
    client: httpx.AsyncClient, docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand containers with all the labels that are kept took the loop two seconds."""
    containers = [await docker.start_container(name) for name in ("c1", "c2")]
    written: list[tuple[int, bool]] = []
    encode = json.dumps

    def watch(document: object, **options: Any) -> str:
        text = encode(document, **options)
        is_on_loop = threading.current_thread() is threading.main_thread()
        written.append((text.count("container_id"), is_on_loop))
        return text

    monkeypatch.setattr(json, "dumps", watch)
    found = (await client.get("/api/v1/streams")).json()
    assert [stream["container_id"] for stream in found["streams"]] == ["c1", "c2"]
    assert [each for each in written if each[0]] == [(1, False), (1, False)]
    for container in containers:
        await container.stop()


@pytest.mark.parametrize("limit", ["0", str(PAGE_LIMIT + 1), "-1", "x", "", "\u0663"])
async def test_a_page_beyond_its_limits_is_refused(client: httpx.AsyncClient, limit: str) -> None:
    assert (await client.get(f"/api/v1/streams?limit={PAGE_LIMIT}")).status_code == 200
    assert problem_of(await client.get(f"/api/v1/streams?limit={limit}")) == "bad-parameter"


async def test_entries_are_one_object_a_line_and_what_was_written_is_read(
    client: httpx.AsyncClient, docker: FakeDocker
) -> None:
    container = await docker.start_container("c1")
    await log(container, [*entries(2), Entry("stderr", BEGIN_NS, b"\xff")])
    first, second, third = await get_lines(client, "c1/entries")
    assert first == {
        "time": "2023-11-14T22:13:20.000000000Z",
        "stream": "stdout",
        "line": "line 0",
        "sequence": 0,
    }
    assert second["line"] == "line 1"
    assert third["stream"] == "stderr"
    assert third["line_base64"] == "/w=="
    await container.stop()


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("tail=2", [8, 9]),
        ("tail=0", []),
        (f"tail={TAIL_LIMIT}", range(10)),
        ("since=2023-11-14T22:13:27Z", [7, 8, 9]),
        ("until=2023-11-14T22:13:21Z", [0, 1]),
        ("since=2023-11-14T23:13:25%2B01:00&until=2023-11-14T22:13:26Z", [5, 6]),
        ("follow=false", range(10)),
    ],
)
async def test_a_part_can_be_asked_for(
    client: httpx.AsyncClient, docker: FakeDocker, query: str, numbers: list[int]
) -> None:
    container = await docker.start_container("c1")
    await log(container, entries(10))
    found = await get_lines(client, f"c1/entries?{query}")
    assert [line["line"] for line in found] == [f"line {number}" for number in numbers]
    await container.stop()


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("c9/entries", "stream-not-found"),
        ("-/entries", "bad-parameter"),
        ("c9/entries?tail=-1", "bad-parameter"),
        ("c9/entries?tail=x", "bad-parameter"),
        (f"c9/entries?tail={TAIL_LIMIT + 1}", "bad-parameter"),
        ("c9/entries?since=yesterday", "bad-parameter"),
        ("c9/entries?follow=1", "bad-parameter"),
        ("c9/entries?lines=1", "bad-parameter"),
    ],
)
async def test_what_cannot_be_answered_is_a_problem(
    client: httpx.AsyncClient, path: str, problem: str
) -> None:
    assert problem_of(await client.get(f"/api/v1/streams/{path}")) == problem


async def test_a_stream_is_removed_when_its_container_has_ended(
    client: httpx.AsyncClient, docker: FakeDocker
) -> None:
    container = await docker.start_container("c1")
    await log(container, entries(3))
    in_use = await client.delete("/api/v1/streams/c1")
    assert (in_use.status_code, problem_of(in_use)) == (409, "stream-in-use")
    assert len(await get_lines(client, "c1/entries")) == 3
    await container.stop()
    removed = await client.delete("/api/v1/streams/c1")
    assert (removed.status_code, removed.json()) == (200, {"removed": "c1"})
    assert problem_of(await client.get("/api/v1/streams/c1/entries")) == "stream-not-found"
    assert (await client.get("/api/v1/streams")).json()["streams"] == []


@pytest.mark.parametrize(
    ("path", "problem"),
    [("c9", "stream-not-found"), ("-", "bad-parameter"), ("c9?force=true", "bad-parameter")],
)
async def test_a_stream_that_cannot_be_removed_is_a_problem(
    client: httpx.AsyncClient, path: str, problem: str
) -> None:
    assert problem_of(await client.delete(f"/api/v1/streams/{path}")) == problem


async def test_a_stream_has_the_methods_that_the_answer_names(client: httpx.AsyncClient) -> None:
    refused = await client.get("/api/v1/streams/c1")
    assert (refused.status_code, refused.headers["allow"]) == (405, "DELETE")


async def next_line(lines: AsyncIterator[str]) -> str:
    with trio.fail_after(10):
        return str(json.loads(await anext(lines))["line"])


async def test_a_follower_gets_what_comes_and_ends_with_the_session(
    client: httpx.AsyncClient, docker: FakeDocker
) -> None:
    container = await docker.start_container("c1")
    await log(container, entries(1))
    async with client.stream("GET", "/api/v1/streams/c1/entries?follow=true") as answer:
        lines = answer.aiter_lines()
        assert await next_line(lines) == "line 0"
        await log(container, entries(1, first=1))
        assert await next_line(lines) == "line 1"
        await log(container, entries(1, first=2))
        await container.stop()
        assert await next_line(lines) == "line 2"
        with trio.fail_after(10):
            assert [line async for line in lines] == []


async def test_a_follower_ends_with_the_service_and_with_a_whole_answer(
    client: httpx.AsyncClient, docker: FakeDocker, real_service: Service
) -> None:
    container = await docker.start_container("c1")
    await log(container, entries(1))
    async with client.stream("GET", "/api/v1/streams/c1/entries?follow=true") as answer:
        lines = answer.aiter_lines()
        assert await next_line(lines) == "line 0"
        real_service.stop.set()
        with trio.fail_after(10):
            assert [line async for line in lines] == []
    container.abandon()


async def test_a_follower_with_until_ends_when_that_is_past(
    client: httpx.AsyncClient, docker: FakeDocker
) -> None:
    container = await docker.start_container("c1")
    await log(container, entries(2))
    query = "follow=true&until=2023-11-15T00:00:00Z"
    with trio.fail_after(10):
        assert len(await get_lines(client, f"c1/entries?{query}")) == 2
    await container.stop()


async def test_one_follower_above_the_limit_is_refused_and_a_place_is_free_again_when_one_goes(
    client: httpx.AsyncClient, docker: FakeDocker, real_service: Service
) -> None:
    container = await docker.start_container("c1")
    await log(container, entries(1))
    path = "/api/v1/streams/c1/entries?follow=true"
    socket_path = Path(real_service.settings.data, SOCKET_FILE)

    async def follow() -> HttpConnection:
        connection = await HttpConnection.dial(socket_path)
        await connection.send_request(path, b"", host="logboom", method="GET")
        with trio.fail_after(10):
            await connection.receive_head()
        return connection

    followers = [await follow() for _ in range(FOLLOWERS_LIMIT)]
    assert {follower.status for follower in followers} == {200}
    assert problem_of(await client.get(path)) == "too-many-followers"
    assert len(await get_lines(client, "c1/entries")) == 1
    await followers.pop().close()
    with trio.fail_after(10):
        while (follower := await follow()).status != 200:
            await follower.close()
    for connection in (*followers, follower):
        await connection.close()
    await container.stop()


async def test_a_client_that_does_not_read_keeps_nobody_waiting(
    client: httpx.AsyncClient, docker: FakeDocker
) -> None:
    container = await docker.start_container("c1")
    noise = [Entry("stdout", BEGIN_NS, bytes(range(32, 127)) * 100)] * 1000
    await log(container, noise)
    async with client.stream("GET", "/api/v1/streams/c1/entries"):
        for number in range(20):
            await container.log("stdout", b"more %d" % number)
            found = await container.logs(tail=1)
            assert found[0].line == b"more %d\n" % number
        assert len(await get_lines(client, "c1/entries?tail=1")) == 1
    await container.stop()


@pytest.mark.parametrize(
    ("function", "path"),
    [
        ("logboom.api.streams._list", "/api/v1/streams"),
        ("logboom.api.entries._open", "/api/v1/streams/c1/entries"),
    ],
)
async def test_readings_of_the_api_that_hang_take_no_thread_from_dockerd(
    client: httpx.AsyncClient,
    docker: FakeDocker,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    path: str,
) -> None:
    """They shared the threads of ``docker logs``, of which a client that asks often enough can take all."""
    container = await docker.start_container("c1")
    await log(container, entries(1))
    begun, go_on = threading.Semaphore(0), threading.Event()

    def hang(*_arguments: object) -> NoReturn:
        begun.release()
        go_on.wait()
        raise _core.ClosedError("the test is over")

    monkeypatch.setattr(function, hang)
    async with trio.open_nursery() as nursery:
        for _ in range(Lane.READS.value + Lane.API_READS.value):
            nursery.start_soon(client.get, path)
        for _ in range(Lane.API_READS.value):
            await trio.to_thread.run_sync(begun.acquire)
        with trio.fail_after(10):
            try:
                assert len(await container.logs()) == 1
            finally:
                go_on.set()
    await container.stop()
