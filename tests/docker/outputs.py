"""What containers print, to be read back byte for byte."""

import os
import random
import subprocess
import zlib
from collections.abc import Mapping
from pathlib import Path

PIECE_BYTES = 16 * 1024
"""dockerd cuts a line here."""

ZSTD_MAGIC = (0xFD2FB528).to_bytes(4, "little")
SKIPPABLE_MAGIC = (0x184D2A50).to_bytes(4, "little")

CORPORA = Path(os.environ.get("LOGBOOM_TEST_CORPORA", Path(__file__).parents[3] / "shared/corpora"))
"""Real logs, as ``*.zst``; they are not part of the repository."""


def _random_bytes(count: int) -> bytes:
    return random.Random(count).randbytes(count)


def _log_lines(count: int) -> bytes:
    """Alike, and no two the same."""
    lines = [
        f"2026-01-31T12:00:{number % 60:02}.{number:06}Z level={('info', 'warn')[number % 9 == 0]}"
        f' request={zlib.crc32(b"%d" % number):08x} path="/river/{number % 41}/log" took={number % 997}ms\n'
        for number in range(count)
    ]
    return "".join(lines).encode()


NASTY: Mapping[str, bytes] = {
    "blank lines": b"\n\n\nbetween\n\n\n",
    "blanks at the ends": b"  lead\ntrail  \n\ttab\t\n",
    "NUL": b"\0\nwith\0in\n\0\0\0\n" + b"\0" * 5000 + b"\n",
    "invalid UTF-8": bytes(range(128, 256)) + b"\n\xc3(\n\xf0\x9f\n\xed\xa0\x80\n",
    "all bytes": bytes(range(256)) * 3 + b"\n",
    "carriage returns": b"first\r\nsecond\r\nover\rwritten\r\n\r\r\r\n",
    "colours": b"\x1b[31mred\x1b[0m\n\x1b[2K\x1b[1Gagain\n",
    "zstd's magic": ZSTD_MAGIC + b"\n" + ZSTD_MAGIC * 5 + b" in a line\n",
    "zstd's skippable magic": SKIPPABLE_MAGIC + b"\x08\0\0\0" + b"x" * 8 + b"\n",
    "a segment in a line": subprocess.run(
        ["zstd", "-c"], input=b"hello\n", check=True, capture_output=True
    ).stdout.replace(b"\n", b"")
    + b"\n",
    "no newline at the end": b"first\nlast without newline",
    "nothing but no newline": b"x",
    "one newline": b"\n",
    "a line one shorter than a piece": b"a" * (PIECE_BYTES - 1) + b"\nnext\n",
    "a newline on the boundary": b"b" * PIECE_BYTES + b"\nnext\n",
    "a line one longer than a piece": b"c" * (PIECE_BYTES + 1) + b"\nnext\n",
    "newlines on many boundaries": (b"d" * PIECE_BYTES + b"\n") * 20,
    "a newline on the second boundary": b"e" * (2 * PIECE_BYTES) + b"\nnext\n",
    "a piece without newline at the end": b"first\n" + b"f" * PIECE_BYTES,
    "pieces without newline at the end": b"first\n" + b"g" * (3 * PIECE_BYTES + 5),
    "a megabyte on a line": b"h" * 1_000_000 + b"\nnext\n",
    "a megabyte of noise on a line": _random_bytes(1_000_000).replace(b"\n", b"\r") + b"\nnext\n",
    "noise": _random_bytes(500_000),
    "short lines": b"".join(b"%d\n" % number for number in range(100_000)),
    "equal lines": b"the same\n" * 50_000,
    "log lines": _log_lines(30_000),
    "long and short lines": b"".join(
        b"i" * (number * 331 % 40_000) + b"\n" for number in range(300)
    ),
}


def corpora() -> dict[str, bytes]:
    """Those that are there."""
    return {
        path.name: subprocess.run(["zstdcat", path], check=True, capture_output=True).stdout
        for path in sorted(CORPORA.glob("*.zst"))
    }
