"""Frames as dockerd writes them, by an encoder of these tests' own, and the entries that must come back of them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from tests.format.reader import Entry

PIECE_BYTES: Final = 16 * 1024
"""dockerd cuts lines here."""

FIRST_TIME_NS: Final = 1_790_000_000_000_000_000


def encode_varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    encoded = b""
    while number > 127:
        encoded += bytes([number % 128 + 128])
        number //= 128
    return encoded + bytes([number])


def encode_field(number: int, value: bytes) -> bytes:
    return bytes([number * 8 + 2]) + encode_varint(len(value)) + value


def encode_message(entry: Entry) -> bytes:
    """Fields in ascending order, without those that have protobuf's default."""
    message = b""
    if entry.source:
        message += encode_field(1, entry.source)
    if entry.time_ns:
        message += b"\x10" + encode_varint(entry.time_ns)
    if entry.line:
        message += encode_field(3, entry.line)
    if entry.partial:
        message += b"\x20\x01"
    if entry.metadata is not None:
        message += encode_field(5, entry.metadata)
    return message + entry.unknown


def encode_frame(entry: Entry) -> bytes:
    message = encode_message(entry)
    return len(message).to_bytes(4, "big") + message


def encode_frames(entries: Iterable[Entry]) -> bytes:
    return b"".join(encode_frame(entry) for entry in entries)


def encode_metadata(ordinal: int, *, last: bool) -> bytes:
    metadata = b"\x08\x01" if last else b""
    return metadata + encode_field(2, b"0123456789abcdef" * 4) + b"\x18" + encode_varint(ordinal)


def make_line(index: int, line: bytes, source: bytes = b"stdout") -> Entry:
    return Entry(source=source, time_ns=FIRST_TIME_NS + index * 1_000, line=line)


def make_piece(index: int, line: bytes, ordinal: int, *, last: bool) -> Entry:
    metadata = encode_metadata(ordinal, last=last)
    return replace(make_line(index, line), partial=True, last=last, metadata=metadata)


def make_pieces(index: int, line: bytes, *, has_newline: bool = True) -> list[Entry]:
    """A long line as dockerd's copier cuts it: the last piece may be empty, and is not marked where no newline came."""
    count = len(line) // PIECE_BYTES + 1 if has_newline else -(-len(line) // PIECE_BYTES)
    return [
        make_piece(
            index,
            line[at * PIECE_BYTES : (at + 1) * PIECE_BYTES],
            at + 1,
            last=has_newline and at + 1 == count,
        )
        for at in range(count)
    ]
