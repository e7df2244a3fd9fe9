"""Frames, as the plugin answers them, and the records of moby's ``local`` driver."""

from collections.abc import Iterator

LINE_FIELD = 3
TIME_FIELD = 2
PARTIAL_FIELD = 4
METADATA_FIELD = 5


def split_frames(data: bytes) -> Iterator[bytes]:
    """The messages of whole frames."""
    position = 0
    while position < len(data):
        end = position + 4 + int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : end]
        position = end


def encode_varint(number: int) -> bytes:
    """As protobuf does."""
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _decode_varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of a message that has only what dockerd writes."""
    position = 0
    while position < len(message):
        tag, position = _decode_varint(message, position)
        if tag & 7 == 2:
            length, position = _decode_varint(message, position)
            yield tag >> 3, message[position : position + length]
            position += length
        else:
            number, position = _decode_varint(message, position)
            yield tag >> 3, number


def local_record(message: bytes) -> bytes:
    """The record that ``local`` keeps of an entry that ``ReadLogs`` has given: there, the line has no newline."""
    record = bytearray()
    for number, value in fields(message):
        if isinstance(value, int):
            record += encode_varint(number << 3) + encode_varint(value)
        else:
            if number == LINE_FIELD:
                value = value.removesuffix(b"\n")  # noqa: PLW2901
            record += encode_varint(number << 3 | 2) + encode_varint(len(value)) + value
    length = len(record).to_bytes(4, "big")
    return length + record + length
