"""Who may come in where, and what is done about clients that take too much."""

import logging
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import trio
import trustme

from logboom.api import doors as doors_module
from logboom.api.answers import Json, Request
from logboom.api.doors import (
    CONNECTIONS_LIMIT,
    REQUEST_TIME_LIMIT_S,
    SOCKET_FILE,
    TAKE_TIME_LIMIT_S,
    Door,
    Doors,
    MetricsDoor,
    TcpDoor,
    UnixDoor,
)
from logboom.api.gate import TOKEN_FILE, TOKEN_LIMIT_BYTES, read_token
from logboom.api.router import BODY_LIMIT_BYTES, Route, Router
from logboom.keeper import Keeper
from logboom.server import HEAD_LIMIT_BYTES
from tests.support.api import tcp_client, unix_client
from tests.support.fake_docker import HttpConnection

HEAD = b"GET /open HTTP/1.1\r\nHost: x\r\n\r\n"


async def answer(request: Request) -> Json:
    return Json({"path": request.scope["path"]})


async def large(request: Request) -> Json:
    return Json({"text": "x" * 8_000_000})


ROUTER = Router(
    (
        Route("/open", answer, is_open=True),
        Route("/large", large, is_open=True),
        Route("/closed", answer),
        Route("/closed", answer, method="DELETE"),
    )
)


@asynccontextmanager
async def opened(*doors: Door) -> AsyncIterator[Doors]:
    all_doors = Doors(doors, trio.Event())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(all_doors.run)
        yield all_doors
        all_doors.stop_accepting()
        with trio.move_on_after(0.1):
            await all_doors.wait_answered()
        all_doors.cut_connections()


def unix_door(folder: Path, group_id: int | None = None, keeper: Keeper | None = None) -> Door:
    async def get() -> Path:
        return folder

    return UnixDoor(ROUTER, get, group_id, keeper)


def tcp_door(folder: Path, port: int) -> Door:
    async def get() -> Path:
        return folder

    return TcpDoor(ROUTER, get, ("127.0.0.1", port))


async def dial(path: Path) -> HttpConnection:
    async with unix_client(path):
        return await HttpConnection.dial(path)


# --- the Unix socket ------------------------------------------------------------------------------------------------


async def test_the_unix_socket_is_roots_and_asks_for_no_token(folder: Path) -> None:
    folder.chmod(0o700)
    async with opened(unix_door(folder)), unix_client(folder / SOCKET_FILE) as client:
        assert stat.S_IMODE((folder / SOCKET_FILE).stat().st_mode) == 0o600
        assert (await client.get("/closed")).json() == {"path": "/closed"}
        assert (await client.delete("/closed")).status_code == 200
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not (folder / SOCKET_FILE).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to any group")
async def test_a_group_gets_as_far_as_the_socket_and_no_further(folder: Path) -> None:
    folder.chmod(0o700)
    async with opened(unix_door(folder, group_id=12345)), unix_client(folder / SOCKET_FILE):
        socket_status, folder_status = (folder / SOCKET_FILE).stat(), folder.stat()
    assert (stat.S_IMODE(socket_status.st_mode), socket_status.st_gid) == (0o660, 12345)
    assert (stat.S_IMODE(folder_status.st_mode), folder_status.st_gid) == (0o710, 12345)


async def test_a_folder_that_cannot_be_used_is_a_warning_and_tried_again(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logboom.api.doors.RETRY_SECONDS", 0.01)
    data = folder / "data"
    async with opened(unix_door(data)):
        with trio.fail_after(10):
            while "cannot listen on api.sock" not in caplog.text:
                await trio.sleep(0.001)
        await trio.sleep(0.05)
        assert not data.exists()
        data.mkdir()
        async with unix_client(data / SOCKET_FILE) as client:
            assert (await client.get("/open")).status_code == 200
    assert caplog.text.count("cannot listen") == 1


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    put, take = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with put, take:
        yield Keeper(put, take)


async def kill(door: Door) -> None:
    """Open it and end as a worker that is killed: descriptors go, paths stay."""
    server = await door.open()
    for listener in server._listening.listeners:
        listener.socket.close()


async def test_who_connects_while_no_worker_runs_is_answered_by_the_next_one(
    folder: Path, keeper: Keeper
) -> None:
    await kill(unix_door(folder, keeper=keeper))
    for _ in range(3):
        waiting = await HttpConnection.dial(folder / SOCKET_FILE)
        await waiting.send_raw(HEAD)
        door = unix_door(folder, keeper=keeper)
        async with trio.open_nursery() as nursery:
            server = await door.open()
            nursery.start_soon(server.run)
            assert await status_of(waiting) == 200
            nursery.cancel_scope.cancel()
            # As one that is killed: the path stays.
            (folder / SOCKET_FILE).rename(folder / "kept")
        (folder / "kept").rename(folder / SOCKET_FILE)


@pytest.mark.parametrize("change", ["removed", "another socket", "another file"])
async def test_a_socket_whose_path_is_no_longer_its_own_is_not_used(
    folder: Path, keeper: Keeper, change: str
) -> None:
    """Nobody could reach it."""
    path = folder / SOCKET_FILE
    await kill(unix_door(folder, keeper=keeper))
    path.rename(folder / "moved")
    if change == "another socket":
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(path))
    if change == "another file":
        path.write_text("precious")
        with pytest.raises(OSError, match="something else than a socket"):
            await unix_door(folder, keeper=keeper).open()
        assert path.read_text() == "precious"
        path.unlink()
    async with opened(unix_door(folder, keeper=keeper)), unix_client(path) as client:
        assert (await client.get("/open")).status_code == 200


# --- TCP ------------------------------------------------------------------------------------------------------------


async def test_over_tcp_a_token_is_needed_but_for_what_is_open(
    folder: Path, unused_port: int
) -> None:
    async with opened(tcp_door(folder, unused_port)), tcp_client(unused_port) as client:
        assert (await client.get("/open")).status_code == 200
        token_file = folder / TOKEN_FILE
        token = token_file.read_text().strip()
        assert len(token) >= 40
        assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
        for shown in (
            None,
            "",
            "Bearer",
            f"Basic {token}",
            f"Bearer {token}x",
            "Bearer x",
        ):
            refused = await client.get(
                "/closed", headers={} if shown is None else {"authorization": shown}
            )
            assert refused.status_code == 401, shown
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json()["type"] == "urn:logboom:problem:unauthorized"
        # What is not there is not told to who shows none.
        assert (await client.get("/nothing")).status_code == 401
        for scheme in ("Bearer", "bearer"):
            header = {"authorization": f"{scheme} {token}"}
            assert (await client.get("/closed", headers=header)).status_code == 200
            # A token opens nothing that changes the store.
            refused = await client.delete("/closed", headers=header)
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET")


async def test_who_shows_no_token_and_sends_a_large_body_is_told_so(
    folder: Path, unused_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection was closed on what was not read, and the log had a traceback of each such request."""
    async with opened(tcp_door(folder, unused_port)), tcp_client(unused_port) as client:
        refused = await client.post("/closed", content=b"x" * 5_000_000)
        assert refused.json()["type"] == "urn:logboom:problem:unauthorized"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_token_is_made_once_and_an_operators_own_is_taken(folder: Path) -> None:
    made = read_token(folder)
    assert read_token(folder) == made
    (folder / TOKEN_FILE).write_bytes(b"x" * TOKEN_LIMIT_BYTES)
    assert read_token(folder) == b"x" * TOKEN_LIMIT_BYTES


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"two words", b"x" * (TOKEN_LIMIT_BYTES + 1), b"\xff"]
)
def test_a_file_that_holds_no_token_opens_nothing(folder: Path, content: bytes) -> None:
    (folder / TOKEN_FILE).write_bytes(content)
    with pytest.raises(ValueError, match="holds no token"):
        read_token(folder)
    assert (folder / TOKEN_FILE).read_bytes() == content


async def test_with_a_certificate_tls_is_spoken_and_nothing_else(
    folder: Path, unused_port: int
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "tls.key")
    for part in issued.cert_chain_pems:
        part.write_to_path(folder / "tls.crt", append=True)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with opened(tcp_door(folder, unused_port)):
        async with tcp_client(unused_port):
            pass
        token = (folder / TOKEN_FILE).read_text().strip()
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            base = f"https://127.0.0.1:{unused_port}"
            header = {"authorization": f"Bearer {token}"}
            assert (await client.get(f"{base}/closed", headers=header)).status_code == 200
            assert (await client.get(f"{base}/closed")).status_code == 401
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(f"http://127.0.0.1:{unused_port}/open")


async def test_the_address_for_metrics_has_nothing_but_what_is_open(unused_port: int) -> None:
    door = MetricsDoor(ROUTER, ("127.0.0.1", unused_port))
    async with opened(door), tcp_client(unused_port) as client:
        assert (await client.get("/open")).status_code == 200
        assert (await client.get("/closed")).status_code == 404


async def test_an_address_that_is_taken_is_a_warning_and_tried_again(
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    unused_port: int,
) -> None:
    monkeypatch.setattr("logboom.api.doors.RETRY_SECONDS", 0.01)
    (taken,) = await trio.open_tcp_listeners(unused_port, host="127.0.0.1")
    async with opened(tcp_door(folder, unused_port)):
        with trio.fail_after(10):
            while f"cannot listen on 127.0.0.1:{unused_port}" not in caplog.text:
                await trio.sleep(0.001)
        await taken.aclose()
        async with tcp_client(unused_port) as client:
            assert (await client.get("/open")).status_code == 200


# --- limits ---------------------------------------------------------------------------------------------------------


async def send_all(path: Path, pieces: Iterable[bytes]) -> HttpConnection:
    connection = await dial(path)
    for piece in pieces:
        await connection.send_raw(piece)
    return connection


async def status_of(connection: HttpConnection) -> int:
    with trio.fail_after(10):
        await connection.receive_head()
    await connection.close()
    return connection.status


async def test_a_head_of_the_greatest_length_is_waited_for_and_a_longer_one_is_not(
    folder: Path,
) -> None:
    path = folder / SOCKET_FILE
    begin = b"GET /open HTTP/1.1\r\nHost: x\r\nLong: "
    longest = begin + b"x" * (HEAD_LIMIT_BYTES - len(begin))
    async with opened(unix_door(folder)):
        connection = await send_all(path, [longest])
        await trio.testing.wait_all_tasks_blocked(0.01)
        await connection.send_raw(b"\r\n\r\n")
        assert await status_of(connection) == 200
        assert await status_of(await send_all(path, [longest + b"x"])) == 431


async def test_a_body_of_the_greatest_length_is_taken_and_a_longer_one_is_not(
    folder: Path,
) -> None:
    async with opened(unix_door(folder)), unix_client(folder / SOCKET_FILE) as client:
        taken = await client.request("GET", "/open", content=b"x" * BODY_LIMIT_BYTES)
        assert taken.status_code == 200
        refused = await client.request("GET", "/open", content=b"x" * (BODY_LIMIT_BYTES + 1))
        assert refused.status_code == 413
        assert refused.json()["type"] == "urn:logboom:problem:body-too-large"


async def test_one_connection_above_the_limit_is_told_so_and_those_before_it_go_on(
    folder: Path,
) -> None:
    path = folder / SOCKET_FILE
    async with opened(unix_door(folder)) as doors:
        async with unix_client(path):
            pass
        held = [await HttpConnection.dial(path) for _ in range(CONNECTIONS_LIMIT)]
        with trio.fail_after(10):
            while len(doors._servers[0]._connections) < CONNECTIONS_LIMIT:
                await trio.sleep(0.001)
        refused = await HttpConnection.dial(path)
        await refused.receive_head()
        assert refused.status == 503
        body = b"".join([piece async for piece in refused.body()])
        assert b"urn:logboom:problem:too-many-connections" in body
        await refused.close()
        for connection in held:
            await connection.send_raw(HEAD)
            assert await status_of(connection) == 200
        with trio.fail_after(10):
            while doors._servers[0]._connections:
                await trio.sleep(0.001)
        async with unix_client(path) as client:
            assert (await client.get("/open")).status_code == 200


async def test_who_does_not_send_his_request_is_not_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert REQUEST_TIME_LIMIT_S == 10
    limits = doors_module.LIMITS
    monkeypatch.setattr("logboom.api.doors.LIMITS", replace(limits, request_s=0.1))
    async with opened(unix_door(folder)):
        slow = await send_all(folder / SOCKET_FILE, [HEAD[:10]])
        with trio.fail_after(10):
            assert await slow.is_closed_by_server()
        await slow.close()


async def test_who_does_not_take_his_answer_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TAKE_TIME_LIMIT_S == 30
    limits = doors_module.LIMITS
    monkeypatch.setattr("logboom.api.doors.LIMITS", replace(limits, take_s=0.1))
    async with opened(unix_door(folder)) as doors:
        slow = await send_all(folder / SOCKET_FILE, [HEAD.replace(b"/open", b"/large")])
        await slow.receive_head()
        with trio.fail_after(10):
            while doors._servers[0]._connections:
                await trio.sleep(0.01)
        with pytest.raises(EOFError):
            [piece async for piece in slow.body()]
        await slow.close()
