"""The results of a measurement, as a file and as a table."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benches.errors import BenchError

Row: TypeAlias = Mapping[str, Any]
"""A line of a table: numbers, texts and spreads by what they are, with the unit at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a measurement came to."""

    measurement: str
    engine: str | None
    """The version that was asked for; ``None``: the machine's own, or no engine."""
    is_quick: bool
    """Small, to try the harness: no figure of it is to be believed."""
    command: str
    """How to make it again."""
    facts: Mapping[str, Any]
    parameters: Mapping[str, Any]
    summary: Mapping[str, float]
    """The figures that targets are about, by name."""
    rows: Sequence[Row]

    @property
    def name(self) -> str:
        """What it is kept under; results on several engines do not replace each other."""
        return self.measurement if self.engine is None else f"{self.measurement}-{self.engine}"

    def write(self, folder: Path) -> Path:
        """Keep it as ``<name>.json``, in place of an earlier one."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")
        return path


def read_results(folder: Path) -> dict[str, Result]:
    """All results of a folder, by name.

    Raises:
        BenchError: one of them is not a result.
    """
    results = {}
    for path in sorted(folder.glob("*.json")):
        try:
            result = Result(**json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise BenchError(f"{path} is no result of this version: {error}") from None
        results[result.name] = result
    return results


def render_text(rows: Sequence[Row]) -> str:
    """A table for a terminal."""
    header, *cells = _cells(rows)
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = []
    for line in (header, *cells):
        first, *others = line
        padded = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *padded]).rstrip())
    return "\n".join(lines)


def render_markdown(rows: Sequence[Row]) -> str:
    """The same table in Markdown."""
    header, *cells = _cells(rows)
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(rows: Sequence[Row]) -> list[list[str]]:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return [
        [column.replace("_", " ") for column in columns],
        *([_cell(row.get(column)) for column in columns] for row in rows),
    ]


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case {"min": low, "median": middle, "max": high}:
            return f"{show_number(low)} / {show_number(middle)} / {show_number(high)}"
        case bool() | str():
            return str(value)
        case int() | float():
            return show_number(value)
        case _:
            return json.dumps(value)


def show_number(number: float) -> str:
    """Short, and the same for a person in every row."""
    if isinstance(number, int) or number >= 1000:
        return f"{number:,.0f}"
    text = f"{number:.3f}" if number < 10 else f"{number:.1f}"
    return re.sub(r"\.?0+$", "", text) if "." in text else text
