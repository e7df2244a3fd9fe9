"""What the core writes is what ``docs/format.md`` says: a reader made from that page alone finds every entry."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.format.frames import (
    FIRST_TIME_NS,
    PIECE_BYTES,
    encode_frame,
    encode_message,
    make_line,
    make_piece,
    make_pieces,
)
from tests.format.host import MANY, Host, run_host, wait_until
from tests.format.reader import (
    BLOCK_PREFIX_BYTES,
    HEADER_PAGE_BYTES,
    PREAMBLE,
    Damage,
    Entry,
    FormatError,
    Stream,
    SyncItem,
    crc32c,
    decode_block,
    decode_block_header,
    decode_entry,
    decode_generation,
    read_block,
    read_index,
    read_sync_log,
    walk_blocks,
    walk_frames,
)

FIXTURES = Path(__file__).parents[1] / "fixtures" / "format"

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@pytest.fixture
def host(folder: Path) -> Iterator[Host]:
    with run_host(folder) as host:
        yield host


def zstdcat(host: Host) -> bytes:
    paths = [host.folder / name for name in host.names(".zst")]
    return subprocess.run(["zstdcat", *paths], check=True, capture_output=True).stdout


def random_lines(count: int) -> list[Entry]:
    """Nothing that compresses."""
    chance = random.Random(count)
    return [
        make_line(
            index, chance.randbytes(chance.randrange(300)), chance.choice([b"stdout", b"stderr"])
        )
        for index in range(count)
    ]


SEQUENCES: dict[str, list[Entry]] = {
    "plain": [make_line(index, b"line %d" % index) for index in range(1_000)],
    "blank lines": [make_line(index, b"") for index in range(20)],
    "NUL": [make_line(0, b"\0"), make_line(1, b"a\0b\0"), make_line(2, b"\0" * 5_000)],
    "invalid UTF-8": [
        make_line(0, bytes(range(256)).replace(b"\n", b"")),
        make_line(1, b"\xff\xc0\x80"),
    ],
    "carriage return": [make_line(0, b"\r"), make_line(1, b"progress 1 %\rprogress 2 %\r")],
    "newlines within": [make_line(0, b"\n"), make_line(1, b"\n\n\n"), make_line(2, b"a\nb")],
    "zstd's magic": [
        make_line(0, ZSTD_MAGIC),
        make_line(1, ZSTD_MAGIC * 100),
        make_line(2, b"\x5b\x2a\x4d\x18\x00\x00\x00\x00"),
        make_line(3, PREAMBLE + b"LOGBLOCK LOGINDEX LOGJRNL1"),
    ],
    "frames within a line": [make_line(0, encode_frame(make_line(7, b"not an entry")))],
    "pieces": [*make_pieces(0, b"x" * (3 * PIECE_BYTES + 5)), make_line(9, b"and on")],
    "newline on the boundary": [
        *make_pieces(0, b"y" * PIECE_BYTES),
        *make_pieces(1, b"z" * PIECE_BYTES),
    ],
    "last line without newline": [make_line(0, b"one"), *make_pieces(1, b"two", has_newline=False)],
    "long last line without newline": make_pieces(0, b"w" * (PIECE_BYTES + 100), has_newline=False),
    "a megabyte on a line": make_pieces(0, random.Random(5).randbytes(1 << 20)),
    "both streams": [
        make_line(index, b"line %d" % index, (b"stdout", b"stderr")[index % 3 == 0])
        for index in range(500)
    ],
    "pieces of both streams": [
        piece
        for pair in zip(
            make_pieces(0, b"o" * (4 * PIECE_BYTES)),
            (
                replace(piece, source=b"stderr")
                for piece in make_pieces(1, b"e" * (4 * PIECE_BYTES))
            ),
            strict=True,
        )
        for piece in pair
    ],
    "times that go backwards": [make_line(-index, b"line %d" % index) for index in range(100)],
    "odd times": [
        Entry(source=b"stdout", time_ns=time_ns, line=b"at %d" % time_ns)
        for time_ns in (
            0,
            1,
            -1,
            (1 << 63) - 1,
            -(1 << 63),
            FIRST_TIME_NS,
            0,
            -(1 << 63),
            (1 << 63) - 1,
        )
    ],
    "attributes and unknown fields": [
        replace(make_line(0, b"attrs"), unknown=b"\x32\x0a\x0a\x03key\x12\x03val" * 2),
        replace(make_line(1, b"number"), unknown=b"\x78\x96\x01"),
        replace(make_line(2, b"fixed"), unknown=b"\x79" + bytes(8) + b"\x7d" + bytes(4)),
        replace(make_line(3, b"high number"), unknown=b"\xfa\xff\xff\xff\x0f\x01x"),
        make_line(4, b"plain again"),
    ],
    "other sources": [
        make_line(0, b"none", b""),
        make_line(1, b"other", b"journal"),
        make_line(2, b"not text", b"\xff\xfe"),
        make_line(3, b"long", b"s" * 1_000),
        make_line(4, b"nearly", b"stdouT"),
    ],
    "variants of metadata": [
        replace(make_line(0, b"partial alone"), partial=True),
        replace(make_line(1, b"empty metadata"), metadata=b""),
        replace(make_line(2, b"empty metadata of a piece"), partial=True, metadata=b""),
        replace(make_line(3, b"last alone"), metadata=b"\x08\x01", last=True),
        replace(make_line(4, b"last false"), partial=True, metadata=b"\x08\x00"),
        replace(make_line(5, b"last twice"), partial=True, metadata=b"\x08\x00\x08\x02", last=True),
        replace(
            make_line(6, b"unknown inside"), partial=True, metadata=b"\x08\x01\x22\x01x", last=True
        ),
        make_piece(7, b"", 1, last=False),
        make_piece(8, b"", -1, last=True),
    ],
    "nothing that compresses": random_lines(2_000),
}


@pytest.mark.parametrize("compress", [True, False], ids=["compressed", "as it is"])
@pytest.mark.parametrize("name", SEQUENCES)
def test_every_entry_comes_back(host: Host, name: str, compress: bool) -> None:
    entries = SEQUENCES[name]
    session = host.start(compress=compress)
    half = len(entries) // 2
    session.print(entries[:half])
    host.read_by_core()
    if half:
        assert host.read_by_reader() == entries[:half]
    # Now the first half lies in a block, and in the journal still.
    host.restart()
    session.print(entries[half:])
    shown = [(entry.source, entry.time_ns, entry.text) for entry in entries]
    assert host.read_by_core() == shown
    assert host.read_by_reader() == entries
    host.stop(session)
    host.wait_until_cut()
    assert host.read_by_core() == shown
    assert host.read_by_reader() == entries
    assert zstdcat(host) == b"".join(entry.text for entry in entries)


@pytest.mark.parametrize("compress", [True, False], ids=["compressed", "as it is"])
def test_segments_are_sealed_with_an_index(host: Host, compress: bool) -> None:
    entries = []
    session = host.start(compress=compress, segment_bytes=30_000)
    for part in range(12):
        lines = [replace(line, time_ns=line.time_ns - part) for line in random_lines(30 + part)]
        session.print(lines)
        entries += lines
        host.read_by_core()
        host.restart()
    host.stop(session)
    host.wait_until_cut()
    assert host.read_by_reader() == entries
    contents = [(host.folder / name).read_bytes() for name in host.names(".zst")]
    assert len(contents) >= 3
    sequence = 0
    for name, content in zip(host.names(".zst"), contents, strict=True):
        assert content.startswith(PREAMBLE)
        assert name == f"{sequence:020}.zst"
        places = walk_blocks(content)
        is_sealed = content != contents[-1]
        assert read_index(content) == (places if is_sealed else None)
        for place in places:
            header, block = read_block(content, place)
            assert place.first_sequence == sequence
            assert header.min_time_ns == min(entry.time_ns for entry in block)
            assert header.max_time_ns == max(entry.time_ns for entry in block)
            sequence += len(block)


def test_two_sessions_at_once_keep_all_entries_of_both(host: Host) -> None:
    sessions = [host.start(), host.start()]
    printed: list[list[Entry]] = [[], []]
    arrived = []
    for turn in range(60):
        which = turn // 2 % 2
        lines = [make_line(turn, b"turn %d, line %d" % (turn, at)) for at in range(turn % 5)]
        sessions[which].print(lines)
        printed[which] += lines
        arrived += lines
        # Draining by a reader makes the order that of this test.
        assert len(host.read_by_core()) == len(arrived)
    assert host.read_by_reader() == arrived
    for session in sessions:
        host.stop(session)
    host.wait_until_cut()
    assert host.read_by_reader() == arrived
    assert zstdcat(host) == b"".join(entry.text for entry in arrived)


def test_a_frame_that_another_session_tears_is_whole_in_the_end(host: Host) -> None:
    first, second = host.start(), host.start()
    torn = make_line(1, b"t" * 9_000)
    frame = encode_frame(torn)
    before, between, after = (make_line(index, b"line %d" % index) for index in (2, 3, 4))
    first.print([before])
    first.write(frame[:5_000])
    host.read_by_core()
    second.print([between])
    host.read_by_core()
    assert host.read_by_reader() == [before, between]
    first.write(frame[5_000:])
    first.print([after])
    host.read_by_core()
    assert host.read_by_reader() == [before, between, torn, after]
    host.stop(first)
    host.stop(second)
    host.wait_until_cut()
    assert host.read_by_reader() == [before, between, torn, after]


DAMAGES: dict[str, bytes] = {
    "one byte": b"\xff",
    "ones": b"\xff" * 300,
    "zeros": bytes(1_000),
    "text": b"2026-01-01 this is no frame\n" * 40,
    "an impossible length": (1_000_001).to_bytes(4, "big") + b"x" * 50,
    "a mark without a checksum": b"\x80\x00\x00\x04abcd",
    "a wrong checksum": b"\x80\x00\x00\x10" + bytes(4) + b"\x0a\x06stderr\x10\x01\x1a\x00",
    "a message that is none": b"\x00\x00\x00\x05\x0b\x0b\x0b\x0b\x0b",
    "a source alone": b"\x00\x00\x00\x20\x0a\x06stdout",
    "a field with a wrong type": b"\x00\x00\x00\x02\x08\x01",
    "a strict frame that does not decode": b"\xff\x00\x00\x00\x0d\x0a\x06stdout\x10\x01\x1a\x20\x00",
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_one_entry_and_its_bytes_are_kept(host: Host, name: str) -> None:
    damage = DAMAGES[name]
    before = [make_line(index, b"before %d" % index) for index in range(3)]
    after = [make_line(index, b"after %d" % index) for index in range(3, 6)]
    session = host.start()
    session.print(before)
    session.write(damage)
    session.print(after)
    shown = host.read_by_core()
    found = host.read_by_reader()
    assert [(entry.source, entry.time_ns, entry.text) for entry in found] == shown
    own = [entry for entry in found if entry.is_own]
    assert len(own) == 1
    assert [entry for entry in found if not entry.is_own][:3] == before
    assert found[-1] == after[-1]
    host.stop(session)
    host.wait_until_cut()
    assert host.read_by_reader() == found
    assert host.read_by_core() == shown
    [kept] = host.names(".damaged")
    assert own[0].line.endswith(b"they are kept in " + kept.encode())
    lost = b"".join(encode_frame(entry) for entry in after if entry not in found)
    assert (host.folder / kept).read_bytes() == damage + lost


def test_a_frame_torn_at_the_end_of_its_session_is_damage(host: Host) -> None:
    session = host.start()
    whole = make_line(0, b"whole")
    session.print([whole])
    torn = encode_frame(make_line(1, b"torn"))[:-2]
    session.write(torn)
    host.read_by_core()
    assert host.read_by_reader() == [whole]
    host.stop(session)
    ended = host.read_by_reader()
    assert [entry.is_own for entry in ended] == [False, True]
    [kept] = host.names(".damaged")
    assert ended[1].line.endswith(b"they are kept in " + kept.encode())
    assert (host.folder / kept).read_bytes() == torn
    host.wait_until_cut()
    assert host.read_by_reader() == ended


def test_frames_behind_a_damaged_length_are_found_when_the_session_ends(host: Host) -> None:
    session = host.start()
    damage = (900_000).to_bytes(4, "big") + b"never so many bytes"
    behind = [make_line(index, b"behind %d" % index) for index in range(3)]
    session.write(damage)
    session.print(behind)
    host.read_by_core()
    assert host.read_by_reader() == []
    host.stop(session)
    found = host.read_by_reader()
    assert found[0].is_own
    assert found[1:] == behind
    host.wait_until_cut()
    assert host.read_by_reader() == found


@pytest.mark.slow
def test_dropped_entries_leave_one_that_tells_of_them(host: Host) -> None:
    containers = host.folder.parent
    containers.parent.mkdir(exist_ok=True)
    shutil.rmtree(containers, ignore_errors=True)
    containers.write_bytes(b"in the way")
    session = host.start()
    session.print([make_line(index, b"dropped") for index in range(5)])
    wait_until(lambda: host.store.statistics()["dropped_entries_total"] == 5)
    containers.unlink()
    kept = make_line(9, b"kept")

    def is_taken() -> bool:
        # A line that comes while the store still refuses is dropped as well.
        session.print([kept])
        return bool(host.names(".journal"))

    wait_until(is_taken)
    host.read_by_core()
    found = host.read_by_reader()
    assert found[0].is_own
    assert found[0].line.startswith(b"logboom: ")
    assert b" entries (" in found[0].line
    assert set(found[1:]) == {kept}
    host.stop(session)
    host.wait_until_cut()
    assert host.read_by_reader() == found


def test_a_reader_beside_a_busy_core_misses_nothing(host: Host) -> None:
    """Entries move from journals to segments, and generations and segments come and go, while the folder is read."""
    session = host.start(segment_bytes=65_536)
    lines = [make_line(index, b"line %d " % index + b"x" * 400) for index in range(20_000)]
    read = 0
    for at in range(0, len(lines), 1_000):
        session.print(lines[at : at + 1_000])
        if at % 4_000 == 0 and host.folder.exists():
            found = [entry for _, entry in Stream(host.folder)]
            assert found == lines[: len(found)]
            assert len(found) >= read
            read = len(found)
    host.stop(session)
    host.wait_until_cut()
    assert host.read_by_reader() == lines


@pytest.mark.slow
def test_the_sync_log_holds_what_lies_in_no_block(host: Host) -> None:
    session = host.start()
    lines = [make_line(index, b"line %d" % index) for index in range(10)]
    session.print(lines[:6])
    host.read_by_core()

    machine_start = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    found: list[SyncItem] = []

    def holds(count: int) -> bool:
        found.clear()
        for path in sorted((host.data / "sync").iterdir()):
            boot_id, items = read_sync_log(path.read_bytes())
            assert boot_id.hex() == machine_start
            found.extend(items)
        return sum(len(list(walk_frames(item.frames))) for item in found) == count

    wait_until(lambda: holds(6))
    session.print(lines[6:])
    host.read_by_core()
    wait_until(lambda: holds(10))
    generation = decode_generation((host.folder / host.names(".journal")[0]).read_bytes())
    assert generation is not None
    assert b"".join(item.frames for item in found) == generation.frames
    position = sequence = 0
    for item in found:
        assert (item.number, item.session) == (generation.number, generation.session)
        assert (item.created_ns, item.container_id) == (generation.created_ns, "web")
        assert (item.position, item.first_sequence) == (position, sequence)
        position += len(item.frames)
        sequence += len(list(walk_frames(item.frames)))
    host.stop(session)
    host.store.close()
    assert list((host.data / "sync").iterdir()) == []


def test_the_small_files_are_as_documented(host: Host) -> None:
    session = host.start(compress=False)
    [record] = (host.root / "run/docker/logboom").iterdir()
    content = record.read_bytes()
    facts = json.loads(content)
    summed, _, _ = content.rpartition(b",")
    assert facts.pop("crc32c") == crc32c(summed)
    assert record.name == facts["session"] + ".json"
    assert facts["file"] == session.file
    assert facts["facts"] == {"name": "/web"}
    assert facts["given"] == {"max_size_bytes": 4 << 20, "max_file": MANY, "compress": False}
    assert facts["limits"] == {
        "segment_bytes": 4 << 20,
        "stream_bytes": (4 << 20) * MANY,
        "max_age_s": None,
        "compress": False,
    }
    session.print([make_line(0, b"line")])
    host.read_by_core()
    wait_until((host.folder / "container.json").exists)
    content = (host.folder / "container.json").read_bytes()
    container = json.loads(content)
    summed, _, _ = content.rpartition(b",")
    assert container == {
        "format": 1,
        "container_id": "web",
        "next_sequence": 0,
        "power_cuts": 0,
        "last_block": None,
        "sessions": [facts],
        "crc32c": crc32c(summed),
    }
    generation = decode_generation((host.folder / host.names(".journal")[0]).read_bytes())
    assert generation is not None
    assert f"{generation.session:016x}" == facts["session"]
    host.stop(session)
    wait_until(lambda: not record.exists())
    assert (host.data / "format").read_bytes() == b"logboom store 1\n"
    assert (host.data / "lock").read_bytes() == b""
    for path in [host.data, *host.data.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


# --- files of this and later versions -----------------------------------------------------------------------------------


def expected_of(version: str) -> list[tuple[int, Entry]]:
    entries = json.loads((FIXTURES / version / "expected.json").read_bytes())["entries"]
    return [
        (
            entry["sequence"],
            Entry(
                source=bytes.fromhex(entry["source"]),
                time_ns=entry["time_ns"],
                line=bytes.fromhex(entry["line"]),
                partial=entry["partial"],
                last=entry["last"],
                metadata=None if entry["metadata"] is None else bytes.fromhex(entry["metadata"]),
                unknown=bytes.fromhex(entry["unknown"]),
                is_own=entry["is_own"],
            ),
        )
        for entry in entries
    ]


@pytest.mark.parametrize("version", sorted(path.name for path in FIXTURES.iterdir()))
def test_kept_files_of_every_version_are_read(version: str) -> None:
    stream = Stream(FIXTURES / version / "web")
    assert list(stream) == expected_of(version)
    assert stream.losses == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the files of version 1."""
    return Path(shutil.copytree(FIXTURES / "v1" / "web", tmp_path / "web"))


def test_a_damaged_block_costs_its_own_entries(copy: Path) -> None:
    expected = dict(expected_of("v1"))
    for path in sorted(copy.glob("*.zst")):
        whole = path.read_bytes()
        places = walk_blocks(whole)
        for offset in range(len(PREAMBLE), len(whole), 7):
            path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x20]) + whole[offset + 1 :])
            hit = {
                sequence
                for place in places
                if place.offset <= offset < place.offset + place.block_bytes
                for sequence in range(
                    place.first_sequence, place.first_sequence + place.entry_count
                )
            }
            found = dict(Stream(copy))
            assert all(expected[sequence] == entry for sequence, entry in found.items())
            # Without an index and with a damaged header, what follows in the same segment is not found.
            is_header = any(
                place.offset <= offset < place.offset + BLOCK_PREFIX_BYTES for place in places
            )
            if read_index(path.read_bytes()) is not None or not is_header:
                assert found.keys() == expected.keys() - hit
        path.write_bytes(whole)


def test_a_segment_cut_at_any_byte_gives_the_blocks_before(copy: Path) -> None:
    expected = dict(expected_of("v1"))
    path = max(copy.glob("*.zst"))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found = dict(Stream(copy))
        assert all(expected[sequence] == entry for sequence, entry in found.items())
        # The journal still has what the block held.
        assert found.keys() == expected.keys()


def test_a_journal_cut_at_any_byte_gives_the_entries_before(copy: Path) -> None:
    expected = expected_of("v1")
    path = max(copy.glob("*.journal"))
    whole = path.read_bytes()
    for length in [*range(0, HEADER_PAGE_BYTES, 64), *range(HEADER_PAGE_BYTES, len(whole))]:
        path.write_bytes(whole[:length])
        found = list(Stream(copy))
        assert found == expected[: len(found)]
        assert len(found) >= len(expected) - 3


def with_section(block: bytes, kind: int, codec: int, content: bytes) -> bytes:
    """A block with one more section, and all lengths and checksums in order."""
    header = decode_block_header(block[:BLOCK_PREFIX_BYTES])
    sections = block[BLOCK_PREFIX_BYTES : BLOCK_PREFIX_BYTES + header.sections_bytes]
    text = block[BLOCK_PREFIX_BYTES + header.sections_bytes :]
    sections += kind.to_bytes(2, "little") + codec.to_bytes(2, "little")
    sections += len(content).to_bytes(4, "little") * 2 + content
    prefix = bytearray(block[: BLOCK_PREFIX_BYTES - 4])
    prefix[4:8] = (128 + len(sections)).to_bytes(4, "little")
    prefix[20:24] = len(sections).to_bytes(4, "little")
    prefix[96:100] = crc32c(sections).to_bytes(4, "little")
    return bytes(prefix) + crc32c(bytes(prefix)).to_bytes(4, "little") + sections + text


def test_sections_of_later_versions_are_passed_over() -> None:
    segment = min((FIXTURES / "v1" / "web").glob("*.zst")).read_bytes()
    place = walk_blocks(segment)[0]
    block = segment[place.offset : place.offset + place.block_bytes]
    for codec in (0, 1, 77):
        later = with_section(block, 300, codec, b"counts of entries by level")
        header = decode_block_header(later[:BLOCK_PREFIX_BYTES])
        body = later[BLOCK_PREFIX_BYTES:]
        assert decode_block(header, body) == read_block(segment, place)[1]
    unknown_codec = with_section(block, 4, 77, b"")
    header = decode_block_header(unknown_codec[:BLOCK_PREFIX_BYTES])
    with pytest.raises(FormatError, match="codec"):
        decode_block(header, unknown_codec[BLOCK_PREFIX_BYTES:])


# --- the core reads what is changed here ---------------------------------------------------------------------------------


def test_the_core_passes_over_sections_of_later_versions(host: Host) -> None:
    lines = [make_line(index, b"line %d" % index) for index in range(10)]
    session = host.start()
    session.print(lines)
    host.stop(session)
    host.wait_until_cut()
    host.store.close()
    [path] = host.folder.glob("*.zst")
    segment = path.read_bytes()
    path.write_bytes(segment[:9] + with_section(segment[9:], 5, 0, b"of a later version"))
    host.restart()
    assert host.read_by_core() == [(line.source, line.time_ns, line.text) for line in lines]
    assert host.read_by_reader() == lines


def test_crc32c_is_that_of_the_document() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_an_entry_is_decoded_as_protobuf_demands() -> None:
    twice = encode_message(make_line(0, b"first")) + encode_message(make_line(1, b"second"))
    assert decode_entry(twice) == make_line(1, b"second")
    joined = decode_entry(b"\x2a\x02\x08\x01\x2a\x03\x12\x01x")
    assert (joined.metadata, joined.last) == (b"\x08\x01\x12\x01x", True)
    for bad in (
        b"\x08\x01",
        b"\x0b",
        b"\x02\x00",
        b"\x10" + b"\xff" * 10,
        b"\x0a\x05abc",
        b"\x2a\x01\x0b",
    ):
        with pytest.raises(FormatError):
            decode_entry(bad)


def test_a_walk_finds_the_same_in_pieces_and_at_once() -> None:
    chance = random.Random(1)
    for _ in range(200):
        data = b"".join(
            chance.choice(
                [
                    encode_frame(make_line(1, chance.randbytes(chance.randrange(20)))),
                    chance.randbytes(chance.randrange(30)),
                    encode_frame(make_line(1, b"torn"))[: chance.randrange(30)],
                ]
            )
            for _ in range(8)
        )
        at_once = list(walk_frames(data, is_final=True))
        in_pieces: list[tuple[Entry | Damage, int]] = []
        for length in range(len(data)):
            offset = in_pieces[-1][1] if in_pieces else 0
            in_pieces += walk_frames(data[:length], offset)
        offset = in_pieces[-1][1] if in_pieces else 0
        in_pieces += walk_frames(data, offset, is_final=True)
        assert in_pieces == at_once
        assert sum(item.length for item, _ in at_once if isinstance(item, Damage)) <= len(data)


def test_the_reader_prints_a_folder(copy: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "tests.format.reader", str(copy)]
    shown = subprocess.run(command, check=True, capture_output=True, env=environment)
    assert len(shown.stdout.splitlines()) == len(expected_of("v1"))
