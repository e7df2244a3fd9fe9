"""What dockerd does on a socket, over real ones."""

import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

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
from logboom.server import Server, listen
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
    if scope["path"] == "/broken":
        raise RuntimeError("a mistake")
    await send_json(send, 200, {"length": len(body)})


@asynccontextmanager
async def serving(address: str) -> AsyncIterator[Server]:
    server = Server(application, listen(address))
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


async def test_protocols_that_nobody_speaks_here_disturb_nobody(folder: Path) -> None:
    async with serving(str(folder / "s")):
        for head in (
            b"GET / HTTP/1.1\r\nHost:\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ):
            connection = await HttpConnection.dial(folder / "s")
            await connection.send_raw(head)
            await connection.close()
        status, _, _ = await request(
            folder / "s", b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n"
        )
    assert status == 200


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


# --- listening ------------------------------------------------------------------------------------------------------


async def test_only_root_may_connect_and_the_path_goes_with_the_server(folder: Path) -> None:
    path = folder / "deeper" / "s"
    async with serving(str(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


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
