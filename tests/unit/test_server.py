"""What dockerd does on a socket, over real ones."""

import errno
import os
import socket
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from logboom import server
from logboom.asgi import (
    Receive,
    Scope,
    Send,
    read_body,
    send_chunk,
    send_json,
    start_stream,
    wait_disconnected,
)
from logboom.errors import SettingError
from logboom.listening import bind_unix, listen
from logboom.server import HEAD_LIMIT_BYTES, IDLE_CONNECTION_LIMIT, Limits, Server
from tests.support.fake_docker import HttpConnection


async def send_forever(send: Send) -> None:
    # Writing to a client that has gone is no error for hypercorn: nobody may rely on one to stop.
    while True:
        await send_chunk(send, b"x" * 65536)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    body = await read_body(receive)
    if scope["path"] == "/endless":
        await start_stream(send)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_forever, send)
            await wait_disconnected(receive)
            nursery.cancel_scope.cancel()
        return
    if scope["path"] == "/quiet":
        await start_stream(send)
        await wait_disconnected(receive)
        return
    if scope["path"] == "/broken":
        raise RuntimeError("a mistake")
    await send_json(send, 200, {"length": len(body)})


@asynccontextmanager
async def serving(address: str, limits: Limits | None = None) -> AsyncIterator[Server]:
    server = Server(application, listen(address), limits or Limits())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        yield server
        server.stop_accepting()
        server.cut_connections()


async def request(path: Path, head: bytes, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    connection = await HttpConnection.dial(path)
    await connection.send_raw(head + body)
    await connection.receive_head()
    received = b"".join([piece async for piece in connection.body()])
    with trio.fail_after(10):
        assert await connection.is_closed_by_server()
    await connection.close()
    return connection.status, connection.headers, received


@pytest.mark.parametrize(
    "host",
    [
        b"Host: \r\n",
        b"Host:\r\n",
        b"Host: plugin.moby.localhost\r\n",
        b"Host: %2Frun%2Fdocker%2Fplugins%2Flogboom.sock\r\n",
    ],
)
async def test_every_host_that_an_engine_sends_is_accepted(folder: Path, host: bytes) -> None:
    """Engines up to 20.10.24 put the socket's path there, which Go cleans to nothing."""
    async with serving(str(folder / "s")):
        head = (
            b"POST /x HTTP/1.1\r\n"
            + host
            + b"User-Agent: Go-http-client/1.1\r\nContent-Length: 3\r\n\r\n"
        )
        status, headers, body = await request(folder / "s", head, b"abc")
    assert (status, body) == (200, b'{"length": 3}')
    assert headers == {
        "content-type": "application/json",
        "connection": "close",
        "content-length": "13",
    }


async def test_a_connection_without_a_byte_is_tolerated_and_goes_with_its_client(
    folder: Path,
) -> None:
    """So dockerd finds out whether a plugin listens. Such connections once stayed open for ten minutes."""
    async with serving(str(folder / "s")) as server:
        for _ in range(20):
            await (await HttpConnection.dial(folder / "s")).close()
        with trio.fail_after(10):
            while server._connections:
                await trio.sleep(0.001)
        status, _, _ = await request(
            folder / "s", b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n"
        )
    assert status == 200


@pytest.mark.parametrize(
    "rest",
    [
        b"\r\n",
        b"\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost:\r\n\r\n",
        b"\r\n" + b"x" * 200_000,
        b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ],
)
async def test_a_client_that_goes_in_the_middle_of_its_answer_is_noticed_whatever_it_has_sent(
    folder: Path, rest: bytes
) -> None:
    """With bytes behind the request nothing was read until its answer was over, which that of a follower never is."""
    async with serving(str(folder / "s")) as server:
        connection = await HttpConnection.dial(folder / "s")
        await connection.send_raw(b"GET /quiet HTTP/1.1\r\nHost:\r\n" + rest)
        await connection.receive_head()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(server._connections) == 1
        await connection.close()
        with trio.fail_after(10):
            while server._connections:
                await trio.sleep(0.001)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01 hello",
        b"GET / HTTP/1.1\r\n\r\n",
        b"A" * 100_000,
        b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: x\r\n\r\n",
    ],
)
async def test_garbage_gets_its_connection_closed_and_nothing_else(
    folder: Path, garbage: bytes
) -> None:
    async with serving(str(folder / "s")):
        connection = await HttpConnection.dial(folder / "s")
        with trio.fail_after(10):
            await connection.send_raw(garbage)
            await connection.receive_head()
        assert 400 <= connection.status < 500
        await connection.close()
        status, _, _ = await request(
            folder / "s", b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n"
        )
    assert status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost:\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["websocket", "h2c", "HTTP/2"],
)
async def test_who_wants_another_protocol_gets_an_answer_in_this_one(
    folder: Path, head: bytes
) -> None:
    """A connection that began with HTTP/2 once stayed open for ever, without any request."""
    async with serving(str(folder / "s")):
        status, headers, body = await request(folder / "s", head)
    assert (status, body) == (200, b'{"length": 0}')
    assert headers["connection"] == "close"


async def test_a_mistake_in_the_application_ends_its_own_connection_only(folder: Path) -> None:
    async with serving(str(folder / "s")):
        status, _, _ = await request(
            folder / "s", b"POST /broken HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n"
        )
        assert status == 500
        status, _, _ = await request(
            folder / "s", b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n"
        )
        assert status == 200


async def test_many_connections_at_once_are_answered(folder: Path) -> None:
    async with serving(str(folder / "s")), trio.open_nursery() as nursery:
        for _ in range(200):
            nursery.start_soon(
                request,
                folder / "s",
                b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 2\r\n\r\n",
                b"{}",
            )


# --- limits ----------------------------------------------------------------------------------------------------------

EMPTY = b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n"


def head_of(length: int) -> bytes:
    start = b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\nX: "
    return start + b"x" * (length - len(start) - 4) + b"\r\n\r\n"


async def test_a_head_at_the_limit_is_read_and_a_longer_one_is_refused(folder: Path) -> None:
    async with serving(str(folder / "s")):
        # The parser wants the end within the limit.
        status, _, _ = await request(folder / "s", head_of(HEAD_LIMIT_BYTES))
        assert status == 200
        connection = await HttpConnection.dial(folder / "s")
        with trio.fail_after(10):
            await connection.send_raw(head_of(HEAD_LIMIT_BYTES + 64)[:-2])
            await connection.receive_head()
        assert connection.status == 431
        await connection.close()


async def test_a_head_that_does_not_come_is_waited_for_so_long_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_TIME_LIMIT_S", 0.05)
    async with serving(str(folder / "s")):
        connection = await HttpConnection.dial(folder / "s")
        await connection.send_raw(EMPTY[:20])
        with trio.fail_after(10):
            assert await connection.is_closed_by_server()
        await connection.close()


async def test_once_the_head_has_come_its_time_is_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A follower stays for days."""
    monkeypatch.setattr(server, "HEAD_TIME_LIMIT_S", 0.05)
    async with serving(str(folder / "s")):
        connection = await HttpConnection.dial(folder / "s")
        await connection.send_raw(b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 2\r\n\r\n{")
        await trio.sleep(0.2)
        await connection.send_raw(b"}")
        await connection.receive_head()
        assert connection.status == 200
        await connection.close()


async def test_a_connection_without_a_byte_may_wait_longer_than_a_head(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Go's client keeps one for later, and loses a request's body when it is closed just then."""
    monkeypatch.setattr(server, "HEAD_TIME_LIMIT_S", 0.05)
    async with serving(str(folder / "s")):
        connection = await HttpConnection.dial(folder / "s")
        await trio.sleep(0.2)
        await connection.send_raw(EMPTY)
        await connection.receive_head()
        assert connection.status == 200
        await connection.close()


async def test_a_thousand_idle_connections_keep_nobody_from_being_answered(folder: Path) -> None:
    async with serving(str(folder / "s")) as serving_now:
        idle = [await HttpConnection.dial(folder / "s") for _ in range(1000)]
        with trio.fail_after(10):
            status, _, _ = await request(folder / "s", EMPTY)
            assert status == 200
            while len(serving_now._connections) > IDLE_CONNECTION_LIMIT:
                await trio.sleep(0.001)
            # The newest are those that stay.
            assert await idle[0].is_closed_by_server()
        assert len(serving_now._connections) == IDLE_CONNECTION_LIMIT
        await idle[-1].send_raw(EMPTY)
        await idle[-1].receive_head()
        assert idle[-1].status == 200
        for connection in idle:
            await connection.close()


async def test_a_connection_with_a_request_is_never_closed_for_idle_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "IDLE_CONNECTION_LIMIT", 1)
    async with serving(str(folder / "s")):
        asking = await HttpConnection.dial(folder / "s")
        await asking.send_raw(b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 2\r\n\r\n{")
        await trio.testing.wait_all_tasks_blocked(0.01)
        idle = [await HttpConnection.dial(folder / "s") for _ in range(3)]
        await trio.testing.wait_all_tasks_blocked(0.01)
        await asking.send_raw(b"}")
        await asking.receive_head()
        assert asking.status == 200
        for connection in [asking, *idle]:
            await connection.close()


async def test_connections_at_the_limit_are_served_and_one_more_is_closed(folder: Path) -> None:
    async with serving(str(folder / "s"), Limits(connections=2)) as serving_now:
        first, second = [await HttpConnection.dial(folder / "s") for _ in range(2)]
        await trio.testing.wait_all_tasks_blocked(0.01)
        third = await HttpConnection.dial(folder / "s")
        with trio.fail_after(10):
            assert await third.is_closed_by_server()
        for connection in (first, second):
            await connection.send_raw(EMPTY)
            await connection.receive_head()
            assert connection.status == 200
        with trio.fail_after(10):
            while serving_now._connections:
                await trio.sleep(0.001)
        status, _, _ = await request(folder / "s", EMPTY)
        assert status == 200
        for connection in (first, second, third):
            await connection.close()


# --- stopping -------------------------------------------------------------------------------------------------------


async def test_a_client_that_does_not_read_cannot_keep_the_server_from_stopping(
    folder: Path,
) -> None:
    """hypercorn shields its writes from cancellation, so a nursery around it would wait for ever."""
    server = Server(application, listen(str(folder / "s")))
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            connection = await HttpConnection.dial(folder / "s")
            await connection.send_request("/endless", b"", host="")
            await connection.receive_head()
            await trio.testing.wait_all_tasks_blocked(0.01)
            server.stop_accepting()
            with trio.move_on_after(0.5) as waiting:
                await server.wait_answered()
            assert waiting.cancelled_caught
            assert server.cut_connections() == 1
            await server.wait_answered()
    await connection.close()


async def test_a_request_that_was_accepted_is_answered_while_stopping(folder: Path) -> None:
    async with serving(str(folder / "s")) as server:
        connection = await HttpConnection.dial(folder / "s")
        await connection.send_raw(b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 2\r\n\r\n{")
        await trio.testing.wait_all_tasks_blocked(0.01)
        server.stop_accepting()
        await connection.send_raw(b"}")
        await connection.receive_head()
        assert connection.status == 200
        with pytest.raises(OSError, match=r"refused|No such file"):
            await HttpConnection.dial(folder / "s")
        await connection.close()
        with trio.fail_after(10):
            await server.wait_answered()


async def test_idle_connections_do_not_hold_up_the_stop(folder: Path) -> None:
    async with serving(str(folder / "s")) as server:
        connection = await HttpConnection.dial(folder / "s")
        await trio.testing.wait_all_tasks_blocked(0.01)
        server.stop_accepting()
        with trio.fail_after(10):
            await server.wait_answered()
            assert await connection.is_closed_by_server()
        await connection.close()


async def test_a_disk_that_hangs_under_the_socket_does_not_hold_up_the_loop(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path went on the event loop, which had other callers to answer; that of the API is in the data folder."""
    go_on = threading.Event()

    def hang(_path: Path, missing_ok: bool = False) -> None:
        assert go_on.wait(10)

    async with serving(str(folder / "s")) as stopping:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", hang)
            stopping.stop_accepting()
            await trio.testing.wait_all_tasks_blocked()
            go_on.set()
            await stopping.wait_answered()


async def test_a_path_that_cannot_be_taken_away_keeps_nobody_from_his_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that had become read-only the stop of the service ended with that error, and cut all answers."""

    def refuse(_path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    async with serving(str(folder / "s")) as stopping:
        connection = await HttpConnection.dial(folder / "s")
        await connection.send_raw(b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 2\r\n\r\n{")
        await trio.testing.wait_all_tasks_blocked(0.01)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", refuse)
            stopping.stop_accepting()
            await connection.send_raw(b"}")
            await connection.receive_head()
            assert connection.status == 200
            await stopping.wait_answered()
        await connection.close()


# --- listening ------------------------------------------------------------------------------------------------------


async def test_only_root_may_connect_and_the_path_goes_with_the_server(folder: Path) -> None:
    path = folder / "deeper" / "s"
    async with serving(str(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_binding_leaves_the_umask_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads have it in common: a container's folder, made meanwhile, had the mode 0600."""
    masks: list[int] = []
    before = os.umask(0)
    try:
        monkeypatch.setattr(os, "umask", masks.append)
        bind_unix(str(folder / "s")).close()
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert stat.S_IMODE((folder / "s").stat().st_mode) == 0o600
    assert masks == []


async def test_a_stale_socket_is_replaced(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / "s"))
    async with serving(str(folder / "s")):
        await request(folder / "s", b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n")


async def test_a_socket_on_which_somebody_listens_is_left_alone(folder: Path) -> None:
    async with serving(str(folder / "s")):
        with pytest.raises(SettingError, match="another process listens there"):
            listen(str(folder / "s"))
        await request(folder / "s", b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n")


async def test_a_file_that_is_no_socket_is_left_alone(folder: Path) -> None:
    (folder / "s").write_text("precious")
    with pytest.raises(SettingError, match="something else than a socket"):
        listen(str(folder / "s"))
    assert (folder / "s").read_text() == "precious"


async def test_a_socket_that_is_handed_down_stays_open_and_bound(folder: Path) -> None:
    """It is the supervisor's, which gives it to the next worker; connections made meanwhile wait in it."""
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as handed_down:
        handed_down.bind(str(path))
        handed_down.listen()
        for _ in range(2):
            async with serving(f"fd://{handed_down.fileno()}"):
                await request(path, b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n")
        assert path.exists()
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(str(path))


@pytest.mark.parametrize("kind", ["closed", "file", "not listening"])
async def test_what_is_no_listening_socket_is_refused(folder: Path, kind: str) -> None:
    resource: Any = (
        socket.socket(socket.AF_UNIX) if kind == "not listening" else (folder / "f").open("w")
    )
    file_descriptor = resource.fileno()
    if kind == "closed":
        resource.close()
    with pytest.raises(SettingError, match=f"fd://{file_descriptor}"):
        listen(f"fd://{file_descriptor}")
    if kind != "closed":
        os.fstat(file_descriptor)
        resource.close()
