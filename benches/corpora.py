"""Logs to measure with: real ones, or lines made by ``logboom-bench generate`` where there are none."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benches.errors import BenchError
from benches.programs import Programs
from benches.progress import say

SUFFIXES = (".txt", ".log")

USUAL_LINE_BYTES = range(94, 121)
"""The length of the lines that containers print flat out, without the newline."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """One log."""

    name: str
    text: bytes
    """Its lines, each with its newline."""


@dataclass(frozen=True, slots=True)
class Corpora:
    """The logs of a run."""

    logs: Sequence[Corpus]
    is_made: bool
    """The lines are made by us."""

    @property
    def origin(self) -> str:
        """Which lines these are, for a result."""
        names = ", ".join(corpus.name for corpus in self.logs)
        return f"lines made here: {names}" if self.is_made else names

    def usual_lines(self) -> bytes:
        """All lines of a usual length, in order.

        Raises:
            BenchError: there is none.
        """
        lines = [
            line
            for corpus in self.logs
            for line in corpus.text.splitlines(keepends=True)
            if len(line) - 1 in USUAL_LINE_BYTES
        ]
        if not lines:
            raise BenchError(
                f"no log has a line of {USUAL_LINE_BYTES[0]} to {USUAL_LINE_BYTES[-1]} bytes"
            )
        return b"".join(lines)


def load_corpora(folder: Path | None, programs: Programs) -> Corpora:
    """The logs of a folder; without one, lines made here, and that is said.

    Raises:
        BenchError: there is no log in the folder.
    """
    if folder is not None:
        return Corpora(_load(folder), is_made=False)
    say("no folder with real logs was given (--corpora): measuring with lines made here")
    with tempfile.TemporaryDirectory() as made:
        subprocess.run([programs.bench, "generate", made], check=True)
        return Corpora(_load(Path(made)), is_made=True)


def _load(folder: Path) -> list[Corpus]:
    logs = []
    for path in sorted(folder.iterdir()):
        plain = Path(path.name.removesuffix(".zst"))
        # A README beside the logs is none.
        if plain.suffix in SUFFIXES and path.is_file():
            text = _read_text(path)
            logs.append(Corpus(plain.stem, text if text.endswith(b"\n") else text + b"\n"))
    if not logs:
        raise BenchError(
            f"{folder} has no log: a file .txt or .log, or one of these with .zst behind it"
        )
    return logs


def _read_text(path: Path) -> bytes:
    if path.suffix != ".zst":
        return path.read_bytes()
    result = subprocess.run(["zstdcat", path], stdout=subprocess.PIPE, check=False)
    if result.returncode:
        raise BenchError(f"zstd cannot read {path}")
    return result.stdout
