"""A client of the API, and a dockerd that serves its metrics."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import trio

WITHIN_S = 10


async def _wait_for(connect: Callable[[], Awaitable[trio.SocketStream]]) -> None:
    with trio.fail_after(WITHIN_S):
        while True:
            with suppress(OSError):
                await (await connect()).aclose()
                return
            await trio.sleep(0.001)


@asynccontextmanager
async def unix_client(path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a Unix socket, once somebody listens there."""
    await _wait_for(partial(trio.open_unix_socket, str(path)))
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://logboom", timeout=WITHIN_S
    ) as client:
        yield client


@asynccontextmanager
async def tcp_client(port: int, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of this machine's port, once somebody listens there."""
    await _wait_for(partial(trio.open_tcp_stream, "127.0.0.1", port))
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=WITHIN_S, trust_env=False
    ) as client:
        yield client


@asynccontextmanager
async def serving_metrics(path: Path, answer: Callable[[], bytes | None]) -> AsyncIterator[None]:
    """What dockerd does on its metrics socket.

    Args:
        path: where.
        answer: the whole HTTP answer; ``None``: there is none, ever.
    """

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(65536)
        given = answer()
        if given is None:
            await trio.sleep_forever()
        else:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(given)
            await stream.aclose()

    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listening = trio.socket.socket(trio.socket.AF_UNIX)
    await listening.bind(str(path))
    listening.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(listening)])
        yield
        nursery.cancel_scope.cancel()
    listening.close()


def http_answer(body: bytes, status: int = 200) -> bytes:
    """An answer as Go writes it, short enough for a length."""
    return (
        b"HTTP/1.1 %d Whatever\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %d\r\n\r\n%b"
        % (status, len(body), body)
    )
