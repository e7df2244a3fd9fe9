"""HTTP over Unix sockets, as bare as can be, so that the client's own cost does not show."""

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benches.errors import BenchError

SOCKET_PATH_LIMIT_BYTES = 107
RECEIVE_BYTES = 1 << 20
NEWLINE = b"\r\n"


def dial(path: Path) -> socket.socket:
    """Connect to a socket, however long its path is."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT_BYTES:
            connection.connect(str(path))
            return connection
        folder = os.open(path.parent, os.O_PATH)
        try:
            connection.connect(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
    except BaseException:
        connection.close()
        raise
    return connection


def call(path: Path, method: str, target: str, document: object = None) -> tuple[int, bytes]:
    """One request with a JSON body; the status and the body of the answer."""
    body = b"" if document is None else json.dumps(document).encode()
    with contextlib.closing(http.client.HTTPConnection("localhost")) as connection:
        connection.sock = dial(path)
        headers = {"Content-Type": "application/json", "Connection": "close"}
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def call_checked(path: Path, method: str, target: str, document: object = None) -> dict[str, Any]:
    """The same for an answer that is a JSON object, or empty.

    Raises:
        BenchError: the status is an error.
    """
    status, body = call(path, method, target, document)
    if status >= 400:
        raise BenchError(f"{method} {target}: {status} {body.decode(errors='replace').strip()}")
    answer: dict[str, Any] = json.loads(body) if body else {}
    return answer


def open_stream(path: Path, head: bytes) -> tuple[socket.socket, bytes]:
    """Send a request as it is, receive the head of the answer, and give the rest that came with it.

    Raises:
        BenchError: the status is not 200.
    """
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(dial(path))
        connection.sendall(head)
        received = _receive_head(connection)
        status, _, rest = received.partition(b"\r\n\r\n")
        if b" 200 " not in status.splitlines()[0] + b" ":
            raise BenchError(f"{head.splitlines()[0]!r}: {received[:500]!r}")
        stack.pop_all()
    return connection, rest


def _receive_head(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(RECEIVE_BYTES)
        if not piece:
            raise BenchError("the connection ended before the answer")
        received += piece
    return received


def receive_chunks(
    connection: socket.socket, received: bytes, take: Callable[[memoryview], object]
) -> None:
    """Receive the rest of an answer in chunks, and give what is in them to ``take``, in pieces that end anywhere.

    It ends with the last chunk, as Go's client does, not with the connection.

    Raises:
        BenchError: the connection ends first.
    """
    memory = bytearray(RECEIVE_BYTES)
    piece = memoryview(received)
    head = b""
    # Of the current chunk, with the newline behind it.
    missing = 0
    while True:
        while piece:
            if missing:
                content = piece[:missing]
                piece = piece[missing:]
                missing -= len(content)
                take(content[: max(0, len(content) - max(0, len(NEWLINE) - missing))])
                continue
            head += bytes(piece[:1])
            piece = piece[1:]
            if head.endswith(NEWLINE):
                length = int(head, 16)
                if length == 0:
                    return
                missing = length + len(NEWLINE)
                head = b""
        count = connection.recv_into(memory)
        if count == 0:
            raise BenchError("the answer ends before its last chunk")
        piece = memoryview(memory)[:count]
