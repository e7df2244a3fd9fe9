"""Reads a stream's folder: every entry, with its sequence number.

Written from ``docs/format.md`` alone; it shares nothing with the core. Besides the standard library it needs the package
``zstandard``. As a program it prints what a folder holds::

    python tests/format/reader.py DATA/containers/<container id>

The rooms are those of the document, from the smallest thing up: numbers, entries, frames and damage, blocks, segments,
journal generations, the stream, the sync log.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import zstandard

MAX_ENTRY_BYTES: Final = 1_000_000
STRICT_MIN_BYTES: Final = 10
STRICT_MAX_BYTES: Final = 64 * 1024
DAMAGE_WINDOW_BYTES: Final = 2_000_000
MAX_COLUMN_BYTES: Final = 4 << 20
MAX_INDEX_BYTES: Final = 64 << 20
MAX_RECORD_BYTES: Final = 8 << 20

SKIPPABLE_MAGIC: Final = 0x184D2A5B
PREAMBLE: Final = bytes.fromhex("28b52ffd2000010000")
BLOCK_PREFIX_BYTES: Final = 136
INDEX_ROW_BYTES: Final = 56
INDEX_TRAILER_BYTES: Final = 24
HEADER_PAGE_BYTES: Final = 4096
SYNC_HEADER_BYTES: Final = 64
SYNC_WINDOW_BYTES: Final = 128 << 10


class FormatError(Exception):
    """Bytes are not what the format says."""


# --- numbers -------------------------------------------------------------------------------------------------------------


def _make_crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC_TABLE: Final = _make_crc_table()


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def to_signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


class Fields:
    """Takes numbers and bytes off the front of a run of bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def __bool__(self) -> bool:
        return self.position < len(self._data)

    def take(self, length: int) -> bytes:
        end = self.position + length
        if end > len(self._data):
            raise FormatError("it ends within a field")
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def unsigned(self, length: int) -> int:
        return int.from_bytes(self.take(length), "little")

    def signed(self, length: int) -> int:
        return int.from_bytes(self.take(length), "little", signed=True)

    def varint(self) -> int:
        number = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number & ((1 << 64) - 1)
        raise FormatError("a varint has more than ten bytes")


# --- entries -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """One line, or a piece of one; ``metadata`` and ``unknown`` as they are encoded."""

    source: bytes = b""
    time_ns: int = 0
    line: bytes = b""
    partial: bool = False
    last: bool = False
    metadata: bytes | None = None
    unknown: bytes = b""
    is_own: bool = False

    @property
    def is_continued(self) -> bool:
        return self.partial and not self.last

    @property
    def text(self) -> bytes:
        """As ``zstdcat`` shows it."""
        return self.line if self.is_continued else self.line + b"\n"


def _take_tag(fields: Fields) -> tuple[int, int]:
    """A field's number and wire type."""
    tag = fields.varint()
    number, wire_type = tag >> 3, tag & 7
    if tag >= 1 << 32 or number == 0:
        raise FormatError("a field number is impossible")
    return number, wire_type


def _skip_value(fields: Fields, wire_type: int) -> None:
    match wire_type:
        case 0:
            fields.varint()
        case 1:
            fields.take(8)
        case 2:
            fields.take(fields.varint())
        case 5:
            fields.take(4)
        case _:
            raise FormatError("a wire type is impossible")


def _decode_last(metadata: bytes) -> bool:
    fields, last = Fields(metadata), False
    while fields:
        number, wire_type = _take_tag(fields)
        if (number, wire_type) == (1, 0):
            last = fields.varint() != 0
        else:
            _skip_value(fields, wire_type)
    return last


def decode_entry(message: bytes, *, is_own: bool = False) -> Entry:
    """Raises FormatError where the bytes are no LogEntry."""
    fields = Fields(message)
    source, time_ns, line, partial, last = b"", 0, b"", False, False
    metadata: bytes | None = None
    unknown = b""
    while fields:
        start = fields.position
        number, wire_type = _take_tag(fields)
        if number <= 5 and wire_type != (0 if number in {2, 4} else 2):
            raise FormatError("a field has a wrong wire type")
        match number:
            case 1:
                source = fields.take(fields.varint())
            case 2:
                time_ns = to_signed(fields.varint())
            case 3:
                line = fields.take(fields.varint())
            case 4:
                partial = fields.varint() != 0
            case 5:
                metadata = (metadata or b"") + fields.take(fields.varint())
                last = _decode_last(metadata)
            case _:
                _skip_value(fields, wire_type)
                unknown += message[start : fields.position]
    return Entry(source, time_ns, line, partial, last, metadata, unknown, is_own)


# --- frames and damage ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Damage:
    length: int


_Found = tuple[Entry, int] | Literal["wait", "bad"]
"""An entry and the offset behind it; more bytes are needed to know; no frame."""


def _frame_at(data: bytes, offset: int, end: int) -> _Found:
    body = offset + 4
    if body > end:
        return "wait"
    word = int.from_bytes(data[offset:body], "big")
    is_marked, length = bool(word >> 31), word & 0x7FFFFFFF
    if length == 0 or length > MAX_ENTRY_BYTES or (is_marked and length <= 4):
        return "bad"
    behind = body + length
    if behind > end:
        return "wait"
    message = data[body + 4 : behind] if is_marked else data[body:behind]
    if is_marked and int.from_bytes(data[body : body + 4], "big") != crc32c(message):
        return "bad"
    try:
        return decode_entry(message, is_own=is_marked), behind
    except FormatError:
        return "bad"


def _strict_frame_at(data: bytes, offset: int, end: int) -> _Found:
    length = int.from_bytes(data[offset : offset + 4], "big")
    start = data[offset + 4 : min(offset + 13, end)]
    forms = (b"\x0a\x06stdout\x10", b"\x0a\x06stderr\x10")
    is_form = any(form.startswith(start) for form in forms)
    if not is_form or not STRICT_MIN_BYTES <= length <= STRICT_MAX_BYTES:
        return "bad"
    return _frame_at(data, offset, end)


def _damage_end(data: bytes, offset: int, *, is_final: bool) -> int | None:
    """Where damage ends that begins at an offset; ``None``: not known yet."""
    end = min(len(data), offset + DAMAGE_WINDOW_BYTES)
    may_wait = not is_final and end - offset < DAMAGE_WINDOW_BYTES
    search_from = offset + 5
    while (found := data.find(b"\x0a\x06std", search_from, end)) >= 0:
        match _strict_frame_at(data, found - 4, end):
            case "bad":
                pass
            case "wait":
                if may_wait:
                    return None
            case _:
                return found - 4
        search_from = found + 1
    return None if may_wait else end


def walk_frames(
    data: bytes, offset: int = 0, stop: int | None = None, *, is_final: bool = False
) -> Iterator[tuple[Entry | Damage, int]]:
    """Entries and damage, each with the offset behind it. It ends at ``stop``, or where nothing is complete."""
    while offset < (len(data) if stop is None else stop):
        frame = _frame_at(data, offset, len(data))
        if frame == "wait" and not is_final:
            return
        if isinstance(frame, tuple):
            entry, offset = frame
            yield entry, offset
            continue
        end = _damage_end(data, offset, is_final=is_final)
        if end is None:
            return
        yield Damage(end - offset), end
        offset = end


# --- blocks --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BlockHeader:
    sections_bytes: int
    text_stored_bytes: int
    text_bytes: int
    entry_count: int
    first_sequence: int
    min_time_ns: int
    max_time_ns: int
    session: int
    generation: int
    position_from: int
    position_to: int
    sections_crc: int
    text_crc: int

    @property
    def block_bytes(self) -> int:
        return BLOCK_PREFIX_BYTES + self.sections_bytes + self.text_stored_bytes


def decode_block_header(prefix: bytes) -> BlockHeader:
    fields = Fields(prefix)
    if len(prefix) != BLOCK_PREFIX_BYTES:
        raise FormatError("a block header is cut short")
    if fields.unsigned(4) != SKIPPABLE_MAGIC:
        raise FormatError("no block begins here")
    length = fields.unsigned(4)
    if fields.take(8) != b"LOGBLOCK" or fields.unsigned(4) != 1:
        raise FormatError("no block of version 1 begins here")
    sections_bytes, text_stored_bytes, text_bytes = (fields.unsigned(4) for _ in range(3))
    entry_count = fields.unsigned(4)
    fields.take(4)
    first_sequence = fields.unsigned(8)
    min_time_ns, max_time_ns = fields.signed(8), fields.signed(8)
    session, generation, position_from, position_to = (fields.unsigned(8) for _ in range(4))
    sections_crc, text_crc = fields.unsigned(4), fields.unsigned(4)
    fields.take(28)
    if fields.unsigned(4) != crc32c(prefix[:-4]):
        raise FormatError("the checksum of a block header is wrong")
    if length != 128 + sections_bytes or entry_count == 0 or text_bytes > MAX_COLUMN_BYTES:
        raise FormatError("a block header is impossible")
    return BlockHeader(
        sections_bytes,
        text_stored_bytes,
        text_bytes,
        entry_count,
        first_sequence,
        min_time_ns,
        max_time_ns,
        session,
        generation,
        position_from,
        position_to,
        sections_crc,
        text_crc,
    )


def _decompress(stored: bytes, raw_bytes: int) -> bytes:
    if raw_bytes > MAX_COLUMN_BYTES:
        raise FormatError("a column is too large")
    try:
        raw = zstandard.ZstdDecompressor().decompress(stored, max_output_size=raw_bytes or 1)
    except zstandard.ZstdError as error:
        raise FormatError("a column does not decompress") from error
    if len(raw) != raw_bytes:
        raise FormatError("a column has another length than its header says")
    return raw


def _unpack_sections(sections: bytes) -> dict[int, bytes]:
    columns = {}
    fields = Fields(sections)
    while fields:
        kind, codec = fields.unsigned(2), fields.unsigned(2)
        raw_bytes, stored_bytes = fields.unsigned(4), fields.unsigned(4)
        content = fields.take(stored_bytes)
        if kind not in {1, 2, 3, 4}:
            continue
        match codec:
            case 0:
                columns[kind] = content
            case 1:
                columns[kind] = _decompress(content, raw_bytes)
            case _:
                raise FormatError("a section has a codec of a later version")
    return columns


def _take_line(text: Fields, lengths: Fields, flags: int, newline: int) -> bytes:
    """``newline``: where the text has its next newline, from where it stands."""
    length = lengths.varint() if flags & 0x80 else newline
    if length < 0:
        raise FormatError("a line has no end")
    line = text.take(length)
    if flags & 0x0C != 0x04 and text.take(1) != b"\n":
        raise FormatError("a line has no newline")
    return line


def decode_block(header: BlockHeader, body: bytes) -> list[Entry]:
    """``body``: what follows the header's 136 bytes."""
    sections, text = body[: header.sections_bytes], body[header.sections_bytes :]
    if len(body) != header.sections_bytes + header.text_stored_bytes:
        raise FormatError("a block is cut short")
    if crc32c(sections) != header.sections_crc or crc32c(text) != header.text_crc:
        raise FormatError("the checksum of a block is wrong")
    columns = _unpack_sections(sections)
    all_flags = columns.get(1, b"")
    if len(all_flags) != header.entry_count:
        raise FormatError("a block has another number of entries than its header says")
    times, lengths, extras = (Fields(columns.get(kind, b"")) for kind in (2, 3, 4))
    raw_text = _decompress(text, header.text_bytes)
    lines = Fields(raw_text)
    entries = []
    time_ns = 0
    for flags in all_flags:
        zigzag = times.varint()
        time_ns = to_signed((time_ns + (zigzag >> 1 ^ -(zigzag & 1))) & ((1 << 64) - 1))
        newline = raw_text.find(b"\n", lines.position) - lines.position
        line = _take_line(lines, lengths, flags, newline)
        source = {0: b"", 1: b"stdout", 2: b"stderr"}[flags & 3]
        if flags & 3 == 0:
            source = extras.take(extras.varint())
        metadata = extras.take(extras.varint()) if flags & 0x10 else None
        unknown = extras.take(extras.varint()) if flags & 0x20 else b""
        partial, last, is_own = bool(flags & 4), bool(flags & 8), bool(flags & 0x40)
        entries.append(Entry(source, time_ns, line, partial, last, metadata, unknown, is_own))
    if times or lengths or extras or lines:
        raise FormatError("the columns of a block contradict each other")
    return entries


# --- segments ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BlockPlace:
    """A row of the index, or what the header says of the same."""

    offset: int
    block_bytes: int
    first_sequence: int
    entry_count: int
    text_bytes: int
    min_time_ns: int
    max_time_ns: int


def read_index(segment: bytes) -> list[BlockPlace] | None:
    """``None``: there is none, or it is damaged."""
    if len(segment) < INDEX_TRAILER_BYTES:
        return None
    trailer = Fields(segment[-INDEX_TRAILER_BYTES:])
    count, version, length, crc = (trailer.unsigned(4) for _ in range(4))
    is_index = trailer.take(8) == b"LOGINDEX" and version == 1
    if not is_index or length != 8 + INDEX_ROW_BYTES * count + INDEX_TRAILER_BYTES:
        return None
    if length > min(len(segment), MAX_INDEX_BYTES):
        return None
    frame = segment[-length:]
    if crc32c(frame[:-12]) != crc:
        return None
    fields = Fields(frame)
    if (fields.unsigned(4), fields.unsigned(4)) != (SKIPPABLE_MAGIC, length - 8):
        return None
    places: list[BlockPlace] = []
    for _ in range(count):
        offset, block_bytes, first_sequence = (fields.unsigned(8) for _ in range(3))
        entry_count, text_bytes = fields.unsigned(4), fields.unsigned(4)
        times = fields.signed(8), fields.signed(8)
        fields.take(8)
        places.append(
            BlockPlace(offset, block_bytes, first_sequence, entry_count, text_bytes, *times)
        )
    return places


def walk_blocks(segment: bytes) -> list[BlockPlace]:
    """The blocks by their headers; where none stands, the walk goes on at the next that can be read."""
    places: list[BlockPlace] = []
    offset = len(PREAMBLE)
    while place := _place_at(segment, offset) or _next_place(segment, offset + 1):
        places.append(place)
        offset = place.offset + place.block_bytes
    return places


def _place_at(segment: bytes, offset: int) -> BlockPlace | None:
    header = _known_header(segment[offset : offset + BLOCK_PREFIX_BYTES])
    if header is None or offset + header.block_bytes > len(segment):
        return None
    return BlockPlace(
        offset,
        header.block_bytes,
        header.first_sequence,
        header.entry_count,
        header.text_bytes,
        header.min_time_ns,
        header.max_time_ns,
    )


def _next_place(segment: bytes, offset: int) -> BlockPlace | None:
    magic = SKIPPABLE_MAGIC.to_bytes(4, "little")
    while (offset := segment.find(magic, offset)) >= 0:
        place = _place_at(segment, offset)
        if place is not None:
            try:
                read_block(segment, place)
            except FormatError:
                pass
            else:
                return place
        offset += 1
    return None


def read_block(segment: bytes, place: BlockPlace) -> tuple[BlockHeader, list[Entry]]:
    block = segment[place.offset : place.offset + place.block_bytes]
    header = decode_block_header(block[:BLOCK_PREFIX_BYTES])
    if (header.first_sequence, header.entry_count) != (place.first_sequence, place.entry_count):
        raise FormatError("a block is not the one that the index names")
    return header, decode_block(header, block[BLOCK_PREFIX_BYTES:])


# --- journal generations -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Generation:
    number: int
    session: int
    start: int
    first_sequence: int
    created_ns: int
    initial_bytes: int
    boot_id: bytes
    frames: bytes
    """All bytes behind the header page."""


def decode_generation(content: bytes) -> Generation | None:
    """``None``: its start is not whole, so it holds nothing."""
    page, frames = content[:HEADER_PAGE_BYTES], content[HEADER_PAGE_BYTES:]
    if len(page) < HEADER_PAGE_BYTES:
        return None
    fields = Fields(page)
    magic = fields.take(8)
    number, session, start, first_sequence = (fields.unsigned(8) for _ in range(4))
    created_ns, initial_bytes, boot_id = fields.signed(8), fields.unsigned(8), fields.take(16)
    is_whole = magic == b"LOGJRNL1" and fields.unsigned(4) == crc32c(page[:72])
    if not is_whole or initial_bytes > len(frames):
        return None
    return Generation(
        number, session, start, first_sequence, created_ns, initial_bytes, boot_id, frames
    )


def damage_entry(generation: Generation, damage: Damage, end: int) -> Entry:
    """The entry that stands for damaged bytes."""
    line = (
        f"logboom: {damage.length} bytes from dockerd are no log entry; "
        f"they are kept in {generation.number:020}-{end}.damaged"
    )
    return Entry(source=b"stderr", time_ns=generation.created_ns, line=line.encode(), is_own=True)


# --- the stream ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Loss:
    """Entries that cannot be read."""

    first_sequence: int
    entry_count: int
    why: str


@dataclass(frozen=True, slots=True)
class LastBlock:
    """How far the journal lies in blocks."""

    session: int
    generation: int
    position_to: int
    end_sequence: int


def _removed_block(folder: Path) -> LastBlock | None:
    """The newest block of a stream whose last segment was removed."""
    try:
        content = (folder / "container.json").read_bytes()
        facts = json.loads(content)
    except (FileNotFoundError, ValueError):
        return None
    if not content.endswith(b"]}") and facts.get("crc32c") != crc32c(content.rpartition(b",")[0]):
        return None
    block = facts.get("last_block")
    if block is None:
        return None
    return LastBlock(
        block["session"], block["generation"], block["position_to"], block["end_sequence"]
    )


def _last_block(header: BlockHeader) -> LastBlock:
    end_sequence = header.first_sequence + header.entry_count
    return LastBlock(header.session, header.generation, header.position_to, end_sequence)


def _files(folder: Path, suffix: str) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix == suffix and len(path.stem) == 20 and path.stem.isdecimal()
    )


def _contents(paths: list[Path]) -> list[bytes]:
    """What files hold; those that are gone are passed over."""
    contents = []
    for path in paths:
        try:
            contents.append(path.read_bytes())
        except FileNotFoundError:
            continue
    return contents


class Stream:
    """What a folder holds at the moment when this is made; ``losses`` has what could not be read, once all was."""

    def __init__(self, folder: Path) -> None:
        # In this order, so that a cutter at work moves nothing from what is yet to be read to what was.
        generations = [
            decode_generation(content) for content in _contents(_files(folder, ".journal"))
        ]
        self.generations = [generation for generation in generations if generation is not None]
        self.segments = _contents(_files(folder, ".zst"))
        self._removed_block = _removed_block(folder)
        self.losses: list[Loss] = []

    def __iter__(self) -> Iterator[tuple[int, Entry]]:
        self.losses.clear()
        last_block = self._removed_block
        for segment in self.segments:
            for place in read_index(segment) or walk_blocks(segment):
                try:
                    header, entries = read_block(segment, place)
                except FormatError as error:
                    self.losses.append(Loss(place.first_sequence, place.entry_count, str(error)))
                    prefix = segment[place.offset : place.offset + BLOCK_PREFIX_BYTES]
                    known = _known_header(prefix)
                    last_block = last_block if known is None else _last_block(known)
                    continue
                last_block = _last_block(header)
                yield from enumerate(entries, place.first_sequence)
        yield from self._uncut(last_block)

    def _uncut(self, last_block: LastBlock | None) -> Iterator[tuple[int, Entry]]:
        """Entries that lie in no block."""
        for index, generation in enumerate(self.generations):
            offset, sequence = 0, generation.first_sequence
            if last_block is not None and generation.first_sequence < last_block.end_sequence:
                if generation.number < last_block.generation:
                    continue
                if generation.session != last_block.session:
                    continue
                offset = last_block.position_to - generation.start
                sequence = last_block.end_sequence
                if offset <= 0:
                    offset, sequence = 0, generation.first_sequence
            followers = (
                later
                for later in self.generations[index + 1 :]
                if later.session == generation.session
            )
            follower = next(followers, None)
            stop = len(generation.frames)
            if follower is not None:
                stop = min(stop, follower.start - generation.start)
            for item, end in walk_frames(generation.frames, offset, stop):
                entry = damage_entry(generation, item, end) if isinstance(item, Damage) else item
                yield sequence, entry
                sequence += 1


def _known_header(prefix: bytes) -> BlockHeader | None:
    try:
        return decode_block_header(prefix)
    except FormatError:
        return None


# --- the sync log --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SyncItem:
    number: int
    session: int
    position: int
    first_sequence: int
    created_ns: int
    container_id: str
    frames: bytes


def read_sync_log(content: bytes) -> tuple[bytes, list[SyncItem]]:
    """The machine start, and the items of the records that are whole."""
    fields = Fields(content)
    magic, boot_id = fields.take(8), fields.take(16)
    if magic != b"LOGSYNC1" or fields.unsigned(4) != crc32c(content[:24]):
        raise FormatError("this is no sync log")
    layout = fields.unsigned(4)
    if layout == 0:
        return boot_id, list(_first_sync_items(fields))
    fields.take(8)
    life = fields.take(8)
    if layout != 1 or fields.unsigned(4) != crc32c(content[:48]):
        raise FormatError("this is no sync log")
    fields.take(SYNC_HEADER_BYTES - fields.position)
    return boot_id, list(_packed_sync_items(fields, life))


def _first_sync_items(fields: Fields) -> Iterator[SyncItem]:
    while fields:
        try:
            length, crc = fields.unsigned(4), fields.unsigned(4)
            item = fields.take(length)
        except FormatError:
            return
        if length > MAX_RECORD_BYTES or crc != crc32c(item):
            return
        yield _sync_item(item)


def _packed_sync_items(fields: Fields, life: bytes) -> Iterator[SyncItem]:
    unpacker = zstandard.ZstdDecompressor(max_window_size=SYNC_WINDOW_BYTES).decompressobj()
    while fields:
        try:
            known = fields.take(16)
            crc = fields.unsigned(4)
            prefix = Fields(known)
            its_life, stored_bytes, packed_bytes = (
                prefix.take(8),
                prefix.unsigned(4),
                prefix.unsigned(4),
            )
            stored = fields.take(stored_bytes)
        except FormatError:
            return
        if its_life != life or not 0 < stored_bytes <= MAX_RECORD_BYTES:
            return
        if crc != crc32c(known + stored) or packed_bytes > MAX_RECORD_BYTES:
            return
        content = unpacker.decompress(stored) if packed_bytes else stored
        if packed_bytes not in {0, len(content)}:
            return
        items = Fields(content)
        while items:
            yield _sync_item(items.take(items.unsigned(4)))


def _sync_item(content: bytes) -> SyncItem:
    fields = Fields(content)
    number, session, position, first_sequence = (fields.unsigned(8) for _ in range(4))
    created_ns = fields.signed(8)
    container_id = fields.take(fields.unsigned(2)).decode()
    frames = content[fields.position :]
    return SyncItem(number, session, position, first_sequence, created_ns, container_id, frames)


def main(arguments: list[str]) -> int:
    """Prints sequence number, time, source and line of each entry."""
    if len(arguments) != 1:
        sys.stderr.write("usage: reader.py FOLDER_OF_A_STREAM\n")
        return 2
    stream = Stream(Path(arguments[0]))
    for sequence, entry in stream:
        source = entry.source.decode(errors="replace")
        line = entry.line.decode(errors="replace")
        sys.stdout.write(f"{sequence} {entry.time_ns} {source} {line!r}\n")
    for loss in stream.losses:
        sys.stderr.write(f"{loss.entry_count} entries from {loss.first_sequence} on: {loss.why}\n")
    return 1 if stream.losses else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
