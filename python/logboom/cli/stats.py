"""``logboom stats``: how much there is, whose it is, and when it came."""

import json
import time
from collections.abc import Sequence
from typing import Final

import click

from logboom._core import StorageError, StoreView
from logboom.cli.output import show, show_bytes, show_time, table
from logboom.cli.rows import Row, read_row, warn
from logboom.cli.store import data_option, open_view
from logboom.cli.times import read_moment

__all__ = ["stats"]

SPAN_COUNT: Final = 48
"""Bars of the drawing: half an hour each for a day."""

BUSIEST_COUNT: Final = 10

DEFAULT_SINCE: Final = "24h"

_BARS: Final = " ▁▂▃▄▅▆▇█"

_HEAD: Final = ("NAME", "ID", "ENTRIES", "SIZE", "STORED", "RATIO", "IN SPAN")
_RIGHT: Final = (2, 3, 4, 5, 6)


@click.command()
@click.option(
    "--since",
    metavar="TIME",
    callback=read_moment,
    default=DEFAULT_SINCE,
    show_default=True,
    help="Where the drawing begins; it ends now.",
)
@click.option("--utc", is_flag=True, help="Show times in UTC.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@data_option
def stats(since: int, utc: bool, as_json: bool, data: str | None) -> None:
    """Show how much is stored, which containers printed most, and when.

    The drawing is made of the blocks' indexes: of about a megabyte of lines it knows the first and the last time.

    \b
    logboom stats
    logboom stats --since 7d
    """
    view = open_view(data)
    now_ns = time.time_ns()
    span_ns = max((now_ns - since) // SPAN_COUNT, 1)
    rows = [read_row(view, container) for container in view.containers()]
    activity = {row.container.container_id: _activity(view, row, since, span_ns) for row in rows}
    spans = [sum(bars) for bars in zip(*activity.values(), strict=True)] or [0] * SPAN_COUNT
    busiest = sorted(
        rows,
        key=lambda row: (sum(activity[row.container.container_id]), row.text_bytes),
        reverse=True,
    )[:BUSIEST_COUNT]
    came = {key: sum(bars) for key, bars in activity.items()}
    if as_json:
        show(json.dumps(_document(rows, busiest, came, since, span_ns, spans)) + "\n")
        return
    show(_totals(rows))
    show(_drawing(spans, since, now_ns, span_ns, utc=utc))
    cells = [_cells(row, came[row.container.container_id]) for row in busiest]
    show("\n" + table(_HEAD, cells, right=_RIGHT))


def _activity(view: StoreView, row: Row, since_ns: int, span_ns: int) -> list[int]:
    """Bytes of text in each span; nothing is read where all is older. A log that cannot be read is said on stderr, and keeps none from being drawn."""
    if row.last_ns is None or row.last_ns < since_ns:
        return [0] * SPAN_COUNT
    try:
        return view.activity(
            container_ids=[row.container.container_id],
            from_ns=since_ns,
            span_ns=span_ns,
            span_count=SPAN_COUNT,
        )
    except StorageError as error:
        # What the catalogue tells of it needs none of its files.
        warn(row.container.name, str(error))
        return [0] * SPAN_COUNT


def _ratio(text_bytes: int, stored_bytes: int) -> str:
    return f"{text_bytes / stored_bytes:.1f}" if stored_bytes else "-"


def _totals(rows: Sequence[Row]) -> str:
    entry_count = sum(row.entry_count for row in rows)
    text_bytes = sum(row.text_bytes for row in rows)
    stored_bytes = sum(row.stored_bytes for row in rows)
    active_count = sum(row.container.is_active is True for row in rows)
    return (
        f"{len(rows):,} containers, {active_count:,} of them active: {entry_count:,} entries, "
        f"{show_bytes(text_bytes)} of text in {show_bytes(stored_bytes)} "
        f"(1 : {_ratio(text_bytes, stored_bytes)})\n"
    )


def _drawing(spans: Sequence[int], since_ns: int, now_ns: int, span_ns: int, *, utc: bool) -> str:
    most = max(spans)
    # What is more than nothing is seen.
    heights = [-(-count * (len(_BARS) - 1) // most) if most else 0 for count in spans]
    rate = most * 10**9 // span_ns
    came = sum(spans)
    return (
        f"\n{''.join(_BARS[height] for height in heights)}\n"
        f"{show_bytes(came)} from {show_time(since_ns, utc=utc)} to {show_time(now_ns, utc=utc)}, "
        f"at most {show_bytes(rate)}/s over {span_ns / 10**9:,.0f} s\n"
    )


def _cells(row: Row, came_bytes: int) -> list[str]:
    return [
        row.container.name,
        row.container.short_id,
        f"{row.entry_count:,}",
        show_bytes(row.text_bytes),
        show_bytes(row.stored_bytes),
        _ratio(row.text_bytes, row.stored_bytes),
        show_bytes(came_bytes),
    ]


def _document(
    rows: Sequence[Row],
    busiest: Sequence[Row],
    came: dict[str, int],
    since_ns: int,
    span_ns: int,
    spans: Sequence[int],
) -> dict[str, object]:
    return {
        "containers": len(rows),
        "active": sum(row.container.is_active is True for row in rows),
        "entries": sum(row.entry_count for row in rows),
        "text_bytes": sum(row.text_bytes for row in rows),
        "stored_bytes": sum(row.stored_bytes for row in rows),
        "since_ns": since_ns,
        "span_ns": span_ns,
        "spans_bytes": list(spans),
        "busiest": [
            {
                "name": row.container.name,
                "id": row.container.container_id,
                "entries": row.entry_count,
                "text_bytes": row.text_bytes,
                "stored_bytes": row.stored_bytes,
                "came_bytes": came[row.container.container_id],
            }
            for row in busiest
        ],
    }
