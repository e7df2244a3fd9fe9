"""The stand-in's own encoder and decoder, held to the protobuf package: they must be right for other tests to mean anything."""

from hypothesis import given, strategies as st

from logboom.plugin.entry_pb2 import LogEntry, PartialLogEntryMetadata
from tests.support.fake_docker import (
    LINE_LIMIT_BYTES,
    Entry,
    FrameDecoder,
    cut_like_copier,
    decode_entry,
    encode_entry,
    encode_frame,
)

int64 = st.integers(-(2**63), 2**63 - 1)
plain_entries = st.builds(
    Entry, st.sampled_from(["stdout", "stderr", ""]), int64, st.binary(max_size=300)
)
entries = st.one_of(
    plain_entries,
    st.builds(
        Entry,
        st.sampled_from(["stdout", "stderr"]),
        int64,
        st.binary(max_size=300),
        partial=st.just(True),
        partial_last=st.booleans(),
        partial_id=st.text(max_size=70),
        partial_ordinal=st.integers(-(2**31), 2**31 - 1),
    ),
)


def as_protobuf(entry: Entry) -> LogEntry:
    message = LogEntry(
        source=entry.source, time_nano=entry.time_ns, line=entry.line, partial=entry.partial
    )
    if entry.partial_id is not None:
        metadata = PartialLogEntryMetadata(
            last=bool(entry.partial_last), id=entry.partial_id, ordinal=entry.partial_ordinal or 0
        )
        message.partial_log_metadata.CopyFrom(metadata)
    return message


@given(entries)
def test_an_entry_is_encoded_as_protobuf_does_it(entry: Entry) -> None:
    assert encode_entry(entry) == as_protobuf(entry).SerializeToString()


@given(entries)
def test_an_entry_comes_back(entry: Entry) -> None:
    assert decode_entry(encode_entry(entry)) == entry


@given(st.lists(entries, max_size=5), st.integers(1, 50))
def test_frames_come_back_however_the_stream_is_cut(written: list[Entry], size: int) -> None:
    stream = b"".join(encode_frame(entry) for entry in written)
    decoder = FrameDecoder()
    read = [
        entry
        for start in range(0, len(stream), size)
        for entry in decoder.feed(stream[start : start + size])
    ]
    decoder.finish()
    assert read == written


@given(
    st.lists(
        st.sampled_from(
            [
                b"",
                b"x",
                b"line",
                b"y" * (LINE_LIMIT_BYTES - 1),
                b"z" * LINE_LIMIT_BYTES,
                b"w" * 40_000,
            ]
        )
    ),
    st.booleans(),
)
def test_the_copier_loses_no_byte(lines: list[bytes], ends_with_newline: bool) -> None:
    data = b"\n".join(lines) + (b"\n" if ends_with_newline else b"")
    cut = cut_like_copier("stdout", data, 1)
    assert b"".join(entry.as_shown().line for entry in cut) == data
    assert all(len(entry.line) <= LINE_LIMIT_BYTES for entry in cut)


def test_a_newline_on_the_boundary_arrives_as_an_empty_last_piece() -> None:
    whole, last = cut_like_copier("stdout", b"z" * LINE_LIMIT_BYTES + b"\n", 1)
    assert (len(whole.line), whole.partial, whole.partial_last, whole.partial_ordinal) == (
        LINE_LIMIT_BYTES,
        True,
        False,
        1,
    )
    assert (last.line, last.partial, last.partial_last, last.partial_ordinal) == (
        b"",
        True,
        True,
        2,
    )
    assert whole.partial_id == last.partial_id


def test_a_rest_without_newline_is_a_piece_that_nothing_follows() -> None:
    (rest,) = cut_like_copier("stdout", b"no newline", 1)
    assert (rest.partial, rest.partial_last) == (True, False)
    assert rest.as_shown().line == b"no newline"
