"""A stand-in for dockerd, towards a logging plugin: FIFOs, raw HTTP as Go writes it, frames.

It shares nothing with the service. Frames are encoded and decoded by hand here, neither by the core nor by the protobuf
package, so that one mistake cannot hide on both sides; HTTP is spoken over a bare socket, with all that Go's client sends
and nothing else. Like dockerd it holds each FIFO open for reading *and* writing, drops what is older than
``since`` and stops at what is newer than ``until`` by itself, and tells the plugin to stop before it closes the FIFO.

::

    docker = FakeDocker(socket=..., root=...)  # root is the plugin's --fifo-root
    container = await docker.start_container("c1", {"max-size": "1m"})
    await container.log("stdout", b"hello")
    assert [entry.line for entry in await container.logs(tail=1)] == [b"hello\n"]
    await container.stop()
"""

import contextlib
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import trio

GO_ZERO_TIME = "0001-01-01T00:00:00Z"
LINE_LIMIT_BYTES = 16 * 1024
"""dockerd's copier cuts lines here."""

PIECE_BYTES = 64 * 1024


# --- entries and frames ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """A LogEntry as it is on the wire; ``None`` stands for a field that is not there."""

    source: str = ""
    time_ns: int = 0
    line: bytes = b""
    partial: bool = False
    partial_last: bool | None = None
    partial_id: str | None = None
    partial_ordinal: int | None = None
    unknown: tuple[tuple[int, bytes], ...] = ()
    """Fields that dockerd has never written: number, and the raw bytes from the tag on."""

    @property
    def text(self) -> str:
        return self.line.decode(errors="replace")

    def as_shown(self) -> "Entry":
        """As ``ReadLogs`` must give it: with its newline, unless more of the line follows."""
        has_newline = not self.partial or bool(self.partial_last)
        return replace(self, line=self.line + b"\n") if has_newline else self


def encode_varint(number: int) -> bytes:
    number &= 2**64 - 1
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def decode_varint(data: bytes, position: int) -> tuple[int, int]:
    """The number and the position behind it."""
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & (2**64 - 1), position
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than ten bytes")


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def _number_field(number: int, value: int) -> bytes:
    return encode_varint(number << 3) + encode_varint(value) if value else b""


def _bytes_field(number: int, value: bytes) -> bytes:
    return encode_varint(number << 3 | 2) + encode_varint(len(value)) + value if value else b""


def encode_entry(entry: Entry) -> bytes:
    """In field order and without fields that are empty, as gogo's generated code does it in dockerd."""
    encoded = _bytes_field(1, entry.source.encode())
    encoded += _number_field(2, entry.time_ns)
    encoded += _bytes_field(3, entry.line)
    encoded += _number_field(4, int(entry.partial))
    if (
        entry.partial_last is not None
        or entry.partial_id is not None
        or entry.partial_ordinal is not None
    ):
        metadata = _number_field(1, int(bool(entry.partial_last)))
        metadata += _bytes_field(2, (entry.partial_id or "").encode())
        metadata += _number_field(3, entry.partial_ordinal or 0)
        encoded += encode_varint(5 << 3 | 2) + encode_varint(len(metadata)) + metadata
    return encoded + b"".join(raw for _, raw in entry.unknown)


def encode_frame(entry: Entry) -> bytes:
    message = encode_entry(entry)
    return len(message).to_bytes(4, "big") + message


def _fields(data: bytes) -> list[tuple[int, int | bytes, bytes]]:
    """Number, value and raw bytes of each field."""
    fields: list[tuple[int, int | bytes, bytes]] = []
    position = 0
    while position < len(data):
        start = position
        tag, position = decode_varint(data, position)
        value: int | bytes
        match tag & 7:
            case 0:
                value, position = decode_varint(data, position)
            case 2:
                length, position = decode_varint(data, position)
                value = data[position : position + length]
                if len(value) != length:
                    raise ValueError("a field is cut")
                position += length
            case wire_type:
                raise ValueError(f"field {tag >> 3} has wire type {wire_type}")
        fields.append((tag >> 3, value, data[start:position]))
    return fields


def decode_entry(data: bytes) -> Entry:
    values: dict[str, Any] = {}
    unknown: list[tuple[int, bytes]] = []
    for number, value, raw in _fields(data):
        match number, value:
            case 1, bytes():
                values["source"] = value.decode()
            case 2, int():
                values["time_ns"] = _signed(value)
            case 3, bytes():
                values["line"] = value
            case 4, int():
                values["partial"] = bool(value)
            case 5, bytes():
                values |= {"partial_last": False, "partial_id": "", "partial_ordinal": 0}
                values |= _decode_metadata(value)
            case _:
                unknown.append((number, raw))
    return Entry(**values, unknown=tuple(unknown))


def _decode_metadata(data: bytes) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for number, value, _ in _fields(data):
        match number, value:
            case 1, int():
                values["partial_last"] = bool(value)
            case 2, bytes():
                values["partial_id"] = value.decode()
            case 3, int():
                values["partial_ordinal"] = _signed(value)
            case _:
                raise ValueError(f"unknown metadata field {number}")
    return values


class FrameDecoder:
    """Takes bytes, gives entries; demands at the end that no frame was cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Entry]:
        self._buffer += data
        entries = []
        position = 0
        while len(self._buffer) - position >= 4:
            length = int.from_bytes(self._buffer[position : position + 4], "big")
            if len(self._buffer) - position - 4 < length:
                break
            entries.append(decode_entry(bytes(self._buffer[position + 4 : position + 4 + length])))
            position += 4 + length
        del self._buffer[:position]
        return entries

    def finish(self) -> None:
        if self._buffer:
            raise ValueError(f"the stream ends inside a frame, {len(self._buffer)} bytes into it")


# --- HTTP ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """What dockerd would take as the error; ``""`` for none."""
        return str(self.document.get("Err", "")) if self.body.startswith(b"{") else ""


class PluginError(Exception):
    """The plugin answered with an error, which dockerd would show."""


class HttpConnection:
    """One connection, one request, as dockerd's client makes them."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._is_chunked = False
        self._remaining: int | None = None
        self.status = 0
        self.headers: dict[str, str] = {}

    @classmethod
    async def dial(cls, path: Path) -> "HttpConnection":
        return cls(await trio.open_unix_socket(str(path)))

    async def send_raw(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def send_request(
        self, path: str, body: bytes, *, host: str, method: str = "POST"
    ) -> None:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Go-http-client/1.1\r\n"
            f"Content-Length: {len(body)}\r\nAccept: application/vnd.docker.plugins.v1.2+json\r\n\r\n"
        )
        await self._stream.send_all(head.encode() + body)

    async def receive_head(self) -> None:
        head = await self._receive_until(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status_line.split(" ")[1])
        self.headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        self._is_chunked = self.headers.get("transfer-encoding") == "chunked"
        if "content-length" in self.headers:
            self._remaining = int(self.headers["content-length"])

    async def body(self) -> AsyncIterator[bytes]:
        """The body, piece by piece; an answer that is cut is an error."""
        if self._is_chunked:
            while length := int(await self._receive_until(b"\r\n"), 16):
                yield await self._receive_exactly(length)
                await self._receive_exactly(2)
            await self._receive_until(b"\r\n")
            return
        while self._remaining is None or self._remaining:
            data = bytes(self._buffer) or await self._stream.receive_some(PIECE_BYTES)
            self._buffer.clear()
            if not data:
                if self._remaining is not None:
                    raise EOFError(f"{self._remaining} bytes of the body are missing")
                return
            if self._remaining is not None:
                self._remaining -= len(data)
            yield data

    async def is_closed_by_server(self) -> bool:
        """Wait for the server to close or to send something that nobody asked for."""
        try:
            return not self._buffer and await self._stream.receive_some(1) == b""
        except trio.BrokenResourceError:
            return True

    async def close(self) -> None:
        await trio.aclose_forcefully(self._stream)

    async def _receive_more(self) -> None:
        data = await self._stream.receive_some(PIECE_BYTES)
        if not data:
            raise EOFError("the plugin closed the connection in the middle of its answer")
        self._buffer += data

    async def _receive_until(self, mark: bytes) -> bytes:
        while (end := self._buffer.find(mark)) < 0:
            await self._receive_more()
        found = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return found

    async def _receive_exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            await self._receive_more()
        found = bytes(self._buffer[:length])
        del self._buffer[:length]
        return found


def go_json(document: object) -> bytes:
    """As Go's encoder writes it: no spaces, ``<>&`` escaped, a newline at the end."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode() + b"\n"


def go_time(time_ns: int | None, offset_minutes: int = 0) -> str:
    """As Go writes a ``time.Time`` into JSON; ``None`` is the zero time."""
    if time_ns is None:
        return GO_ZERO_TIME
    seconds, nanoseconds = divmod(time_ns, 10**9)
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds + offset_minutes * 60))
    fraction = f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""
    hours, minutes = divmod(abs(offset_minutes), 60)
    zone = f"{'-' if offset_minutes < 0 else '+'}{hours:02}:{minutes:02}" if offset_minutes else "Z"
    return f"{clock}{fraction}{zone}"


# --- dockerd ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FakeDocker:
    """dockerd, as one plugin sees it.

    Args:
        socket: the plugin's.
        root: the folder that is ``/`` in the paths that the plugin is given (its FIFO root).
        host: the Host header; engines up to 20.10.24 send an empty one, others ``plugin.moby.localhost``.
    """

    socket: Path
    root: Path
    host: str = ""

    async def call(
        self, path: str, document: object = None, *, body: bytes | None = None, method: str = "POST"
    ) -> Answer:
        """One request: a JSON document, raw bytes, or nothing at all."""
        if body is None:
            body = b"" if document is None else go_json(document)
        connection = await HttpConnection.dial(self.socket)
        try:
            await connection.send_request(path, body, host=self.host, method=method)
            await connection.receive_head()
            received = b"".join([piece async for piece in connection.body()])
            return Answer(connection.status, connection.headers, received)
        finally:
            await connection.close()

    async def call_checked(self, path: str, document: object = None) -> Any:
        """The answer's document, as dockerd's client would take it."""
        answer = await self.call(path, document)
        if answer.status != 200 or answer.error:
            raise PluginError(answer.error or answer.body.decode(errors="replace"))
        return answer.document

    async def wait_ready(self, deadline_s: float = 10) -> None:
        """Dial and hang up without a word, as dockerd does, until somebody listens."""
        with trio.fail_after(deadline_s):
            while True:
                try:
                    connection = await HttpConnection.dial(self.socket)
                except OSError:
                    await trio.sleep(0.01)
                else:
                    await connection.close()
                    return

    async def start_container(
        self, container_id: str, log_opts: Mapping[str, str] | None = None, **info: Any
    ) -> "FakeContainer":
        """What dockerd does for a container that starts: capabilities, FIFO, StartLogging.

        Args:
            container_id: dockerd's have 64 hexadecimal digits.
            log_opts: the container's ``--log-opt``.
            info: more fields of ``Info`` by their Go names, or other values for them.
        """
        capabilities = await self.call_checked("/LogDriver.Capabilities")
        assert capabilities["Cap"]["ReadLogs"] is True
        container = FakeContainer(self, container_info(container_id, log_opts, **info))
        await container.start()
        return container

    @asynccontextmanager
    async def open_logs(
        self,
        info: Mapping[str, Any],
        *,
        tail: int = -1,
        since_ns: int | None = None,
        until_ns: int | None = None,
        follow: bool = False,
    ) -> AsyncIterator["LogReading"]:
        """A ReadLogs whose headers have come."""
        config = {
            "Since": go_time(since_ns),
            "Until": go_time(until_ns),
            "Tail": tail,
            "Follow": follow,
        }
        connection = await HttpConnection.dial(self.socket)
        try:
            await connection.send_request(
                "/LogDriver.ReadLogs", go_json({"Info": info, "Config": config}), host=self.host
            )
            await connection.receive_head()
            if connection.status != 200:
                body = b"".join([piece async for piece in connection.body()])
                raise PluginError(Answer(connection.status, connection.headers, body).error)
            yield LogReading(connection, since_ns, until_ns)
        finally:
            await connection.close()


def container_info(
    container_id: str, log_opts: Mapping[str, str] | None = None, **info: Any
) -> dict[str, Any]:
    """``Info`` as dockerd fills it."""
    return {
        "Config": dict(log_opts) if log_opts is not None else None,
        "ContainerID": container_id,
        "ContainerName": "/quirky_boom",
        "ContainerEntrypoint": "sh",
        "ContainerArgs": ["-c", "echo hello"],
        "ContainerImageID": "sha256:" + "ab" * 32,
        "ContainerImageName": "busybox:latest",
        "ContainerCreated": "2026-01-31T12:00:00.123456789Z",
        "ContainerEnv": ["PATH=/bin", "SECRET=hidden"],
        "ContainerLabels": {"com.example.team": "river"},
        "LogPath": "",
        "DaemonName": "docker",
        **info,
    }


class LogReading:
    """The entries of a ReadLogs, as they come.

    Its iterator does what dockerd does with them: ``since`` and ``until`` are applied once more. ``received`` has all that
    the plugin sent.
    """

    def __init__(
        self, connection: HttpConnection, since_ns: int | None, until_ns: int | None
    ) -> None:
        self.connection = connection
        self.received: list[Entry] = []
        self._since_ns = since_ns
        self._until_ns = until_ns
        self._entries = self._shown()

    def __aiter__(self) -> AsyncIterator[Entry]:
        return self._entries

    async def next(self, deadline_s: float = 10) -> Entry:
        """The next entry, waited for."""
        with trio.fail_after(deadline_s):
            return await anext(self._entries)

    async def rest(self, deadline_s: float = 30) -> list[Entry]:
        """All further entries up to the end of the stream."""
        with trio.fail_after(deadline_s):
            return [entry async for entry in self._entries]

    async def _shown(self) -> AsyncIterator[Entry]:
        decoder = FrameDecoder()
        async for piece in self.connection.body():
            entries = decoder.feed(piece)
            self.received += entries
            for entry in entries:
                if self._since_ns is not None and entry.time_ns < self._since_ns:
                    continue
                if self._until_ns is not None and entry.time_ns > self._until_ns:
                    return
                yield entry
        decoder.finish()


@dataclass(slots=True)
class FakeContainer:
    """A container whose output goes to the plugin."""

    docker: FakeDocker
    info: dict[str, Any]
    file: str = ""
    """The FIFO of the session that runs, as the plugin is told it."""
    _fifo: int = -1
    _lock: trio.Lock = field(default_factory=trio.Lock)

    @property
    def container_id(self) -> str:
        return str(self.info["ContainerID"])

    @property
    def fifo(self) -> Path:
        """The FIFO on this side."""
        return self.docker.root / self.file.lstrip("/")

    async def start(self) -> None:
        """Begin a session; also again, after ``stop``."""
        self.file = f"/run/docker/logging/{secrets.token_hex(32)}"
        self.fifo.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.mkfifo(self.fifo, 0o700)
        self._fifo = os.open(self.fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            await self.docker.call_checked(
                "/LogDriver.StartLogging", {"File": self.file, "Info": self.info}
            )
        except PluginError:
            # dockerd leaves the file behind here.
            os.close(self._fifo)
            self._fifo = -1
            raise

    async def log(
        self,
        source: str,
        line: bytes,
        *,
        partial: bool = False,
        partial_last: bool | None = None,
        partial_id: str | None = None,
        partial_ordinal: int | None = None,
        time_ns: int | None = None,
    ) -> Entry:
        """Write one entry, in one write(2) where the FIFO has room."""
        entry = Entry(
            source,
            time.time_ns() if time_ns is None else time_ns,
            line,
            partial=partial,
            partial_last=partial_last,
            partial_id=partial_id,
            partial_ordinal=partial_ordinal,
        )
        await self.log_entry(entry)
        return entry

    async def log_entry(self, entry: Entry) -> None:
        await self.write(encode_frame(entry))

    async def log_pieces(
        self, source: str, data: bytes, *, time_ns: int | None = None
    ) -> list[Entry]:
        """Write a program's whole output as dockerd's copier cuts it: lines, and 16 KiB pieces of long ones."""
        entries = cut_like_copier(source, data, time.time_ns() if time_ns is None else time_ns)
        for entry in entries:
            await self.log_entry(entry)
        return entries

    async def write(self, data: bytes) -> None:
        """Raw bytes into the FIFO; waits like a container does while it is full."""
        async with self._lock:
            rest = memoryview(data)
            while rest:
                try:
                    rest = rest[os.write(self._fifo, rest) :]
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self._fifo)

    def open_logs(
        self,
        *,
        tail: int = -1,
        since_ns: int | None = None,
        until_ns: int | None = None,
        follow: bool = False,
    ) -> contextlib.AbstractAsyncContextManager[LogReading]:
        """``docker logs`` that has begun."""
        return self.docker.open_logs(
            self.info, tail=tail, since_ns=since_ns, until_ns=until_ns, follow=follow
        )

    async def logs(
        self,
        *,
        tail: int = -1,
        since_ns: int | None = None,
        until_ns: int | None = None,
        follow: bool = False,
    ) -> list[Entry]:
        """``docker logs`` up to its end; of a stopped container with the session that dockerd makes for it."""
        async with contextlib.AsyncExitStack() as stack:
            container = self
            if self._fifo < 0:
                container = FakeContainer(self.docker, self.info)
                await container.start()
                stack.push_async_callback(container.stop)
                follow = False
            reading = await stack.enter_async_context(
                container.open_logs(tail=tail, since_ns=since_ns, until_ns=until_ns, follow=follow)
            )
            return await reading.rest()

    async def stop(self) -> None:
        """End the session as dockerd does: StopLogging, close, unlink."""
        await self.docker.call_checked("/LogDriver.StopLogging", {"File": self.file})
        self.abandon()
        self.fifo.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Close the FIFO without a word, as when dockerd dies."""
        if self._fifo >= 0:
            os.close(self._fifo)
            self._fifo = -1


def cut_like_copier(source: str, data: bytes, time_ns: int) -> list[Entry]:
    """A program's output as entries, by the rules of ``daemon/logger/copier.go``."""
    entries: list[Entry] = []
    lines: Sequence[bytes] = data.split(b"\n")
    for number, line in enumerate(lines):
        has_newline = number < len(lines) - 1
        if not has_newline and not line:
            break
        if has_newline and len(line) < LINE_LIMIT_BYTES:
            entries.append(Entry(source, time_ns, line))
            continue
        partial_id = secrets.token_hex(32)
        ordinal = 0
        rest = line
        while True:
            ordinal += 1
            piece, rest = rest[:LINE_LIMIT_BYTES], rest[LINE_LIMIT_BYTES:]
            is_last = has_newline and len(piece) < LINE_LIMIT_BYTES
            if piece or is_last:
                entries.append(
                    Entry(
                        source,
                        time_ns,
                        piece,
                        partial=True,
                        partial_last=is_last,
                        partial_id=partial_id,
                        partial_ordinal=ordinal,
                    )
                )
            if is_last or (not has_newline and not rest):
                break
    return entries
