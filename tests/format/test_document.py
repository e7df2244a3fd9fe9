"""The worked example of ``docs/format.md`` is true."""

import re
import subprocess
from pathlib import Path

from tests.format.reader import Entry, Stream, read_index, walk_blocks

DOCUMENT = Path(__file__).parents[2] / "docs" / "format.md"
SHOWN = re.compile(r"^([0-9a-f]{4})  ((?:[0-9a-f]{2} )*[0-9a-f]{2})(?:  |$)")


def shown_files() -> list[tuple[int, bytes]]:
    """Each run of shown bytes: where it begins, and the bytes, zeros between them put in."""
    example = DOCUMENT.read_text().split("## A worked example")[1]
    files = []
    for fenced in example.split("```")[1::2]:
        lines = [SHOWN.match(line) for line in fenced.strip().splitlines()]
        shown = [(int(line[1], 16), bytes.fromhex(line[2])) for line in lines if line]
        assert len(shown) == len(lines)
        begin = shown[0][0]
        content = b""
        for offset, part in shown:
            assert offset - begin >= len(content)
            content = content.ljust(offset - begin, b"\0") + part
        files.append((begin, content))
    return files


def test_the_worked_example_holds_what_it_says(tmp_path: Path) -> None:
    (_, journal), (_, segment), (index_at, index) = shown_files()
    (tmp_path / "00000000000000000000.journal").write_bytes(journal)
    path = tmp_path / "00000000000000000000.zst"
    path.write_bytes(segment)
    entries = [
        Entry(source=b"stdout", time_ns=1000, line=b"hello"),
        Entry(source=b"stderr", time_ns=1010, line=b"no newline", partial=True),
        Entry(source=b"stdout", time_ns=1005, line=b"later"),
    ]
    assert list(Stream(tmp_path)) == list(enumerate(entries))
    assert index_at == len(segment)
    assert read_index(segment) is None
    assert read_index(segment + index) == walk_blocks(segment)
    path.write_bytes(segment + index)
    assert list(Stream(tmp_path)) == list(enumerate(entries))
    shown = subprocess.run(["zstdcat", path], check=True, capture_output=True)
    assert shown.stdout == b"hello\nno newline"
