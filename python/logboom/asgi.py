"""What HTTP needs here: read a bounded body, answer with JSON, answer with a stream of bytes.

Every answer says ``Connection: close``. dockerd re-sends a request whose connection died with an *empty* body, and a
kept connection that the server closes while the next request is on its way is just that.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import trio

from logboom.errors import RequestError

__all__ = [
    "BODY_LIMIT_BYTES",
    "BODY_TIME_LIMIT_S",
    "Application",
    "ClientGoneError",
    "Header",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "cancel_when_disconnected",
    "read_body",
    "send_body",
    "send_chunk",
    "send_end",
    "send_json",
    "socket_of",
    "start_stream",
    "wait_disconnected",
]

Scope: TypeAlias = dict[str, Any]
Message: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

BODY_LIMIT_BYTES: Final = 8 * 1024 * 1024
"""The largest request body. dockerd sends a container's whole environment and all its labels; Linux lets a program
have about 2 MiB of environment, which JSON may write several times as long."""

BODY_TIME_LIMIT_S: Final = 30
"""How long a request's body may take to arrive, so that a caller that stops half way does not stay for ever."""

_CLOSE: Final = (b"connection", b"close")


class ClientGoneError(Exception):
    """The caller hung up before its request was complete: there is nobody to answer."""


async def read_body(receive: Receive, limit_bytes: int = BODY_LIMIT_BYTES) -> bytes:
    """The whole request body.

    It is read to its end even when it is too long, without being kept: a socket that is closed with unread bytes
    in it gives the caller an error instead of our answer.

    Raises:
        RequestError: it is over ``limit_bytes``, or took over ``BODY_TIME_LIMIT_S``.
        ClientGoneError: the caller hung up.
    """
    body = bytearray()
    length_bytes = 0
    try:
        with trio.fail_after(BODY_TIME_LIMIT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                chunk: bytes = message.get("body", b"")
                length_bytes += len(chunk)
                if length_bytes <= limit_bytes:
                    body += chunk
                if not message.get("more_body", False):
                    break
    except trio.TooSlowError:
        raise RequestError(
            408, f"the request did not arrive within {BODY_TIME_LIMIT_S} seconds"
        ) from None
    if length_bytes > limit_bytes:
        raise RequestError(413, f"the request has {length_bytes} bytes; the limit is {limit_bytes}")
    return bytes(body)


async def send_json(send: Send, status: int, document: Mapping[str, object]) -> None:
    """Answer with a JSON document."""
    await send_body(send, status, "application/json", json.dumps(document).encode())


async def send_body(
    send: Send, status: int, content_type: str, body: bytes, headers: Sequence[Header] = ()
) -> None:
    """Answer with a body.

    Args:
        send: the server's.
        status: of HTTP.
        content_type: of the body.
        body: all of it.
        headers: more of them, names in lower case.
    """
    described = [
        (b"content-type", content_type.encode()),
        _CLOSE,
        (b"content-length", str(len(body)).encode()),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": described})
    await send({"type": "http.response.body", "body": body})


async def start_stream(send: Send, content_type: str = "application/octet-stream") -> None:
    """Send the headers of an answer of unknown length; they leave at once."""
    headers = [(b"content-type", content_type.encode()), _CLOSE]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def socket_of(scope: Scope) -> trio.socket.SocketType:
    """The socket of a request, for who sends the chunks of a streamed answer himself.

    Nothing else may be on its way then: each chunk is sent whole before ``send_chunk`` or ``send_end``.

    Raises:
        RequestError: the answer would not go out in the chunks of HTTP/1.1.
    """
    if scope["http_version"] != "1.1":
        raise RequestError(505, f"this is answered over HTTP/1.1, not {scope['http_version']}")
    socket: trio.socket.SocketType = scope["state"]["socket"]
    return socket


async def send_chunk(send: Send, chunk: bytes) -> None:
    """Send a part of the answer, and wait until the caller's socket has taken it."""
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def send_end(send: Send) -> None:
    """End a streamed answer as one that is complete."""
    await send({"type": "http.response.body"})


async def wait_disconnected(receive: Receive) -> None:
    """Return when the caller has hung up. For after the body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def cancel_when_disconnected(receive: Receive, cancel_scope: trio.CancelScope) -> None:
    """Cancel what is done for a caller when he has hung up. For after the body has been read."""
    await wait_disconnected(receive)
    cancel_scope.cancel()
