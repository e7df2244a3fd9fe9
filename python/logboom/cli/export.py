"""``logboom export``: logs for files and other programs."""

import sys
import time
from typing import Final

import click

from logboom._core import Playback
from logboom.cli.containers import list_containers, select
from logboom.cli.merge import Selection, add
from logboom.cli.output import STDOUT, ClosedPipeError, show_bytes, write_all
from logboom.cli.store import data_option, open_view
from logboom.cli.times import read_moment

__all__ = ["export"]

CHUNK_BYTES: Final = 1 << 20
"""About how much is read before it is written."""

TELL_S: Final = 0.5
"""So often the progress is told."""


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each entry.")
@click.option("-t", "--timestamps", is_flag=True, help="Begin lines with their time, in UTC.")
@click.option("--since", metavar="TIME", callback=read_moment, help="As for logs.")
@click.option("--until", metavar="TIME", callback=read_moment, help="As for logs.")
@click.option("--stream", type=click.Choice(["stdout", "stderr"]), help="Only this one.")
@click.option("--last", is_flag=True, help="Of each name only the newest container.")
@click.option(
    "--progress/--no-progress",
    default=None,
    help="Tell on stderr how far it is.  [default: when that is a terminal]",
)
@data_option
def export(
    names: tuple[str, ...],
    as_json: bool,
    timestamps: bool,
    since: int | None,
    until: int | None,
    stream: str | None,
    last: bool,
    progress: bool | None,
    data: str | None,
) -> None:
    """Write logs to stdout, both streams of all containers, by time.

    NAME is as for logs. Text has the lines alone; JSON has all that is known of each.

    \b
    logboom export --json '*' | zstd > all.ndjson.zst
    logboom export -t web > web.txt
    """
    view = open_view(data)
    selection = Selection(
        since_ns=since,
        until_ns=until,
        as_json=as_json,
        times="utc" if timestamps else None,
    )
    only_stderr = None if stream is None else stream == "stderr"
    playback = Playback(view, only_stderr=only_stderr)
    containers = select(list_containers(view), names, last=last)
    entry_count = sum(add(playback, view, container, selection) for container in containers)
    told = Progress(entry_count, is_told=sys.stderr.isatty() if progress is None else progress)
    try:
        while (printed := playback.next(CHUNK_BYTES)).entry_count:
            chunk = b"".join(part for _, part in printed.runs)
            write_all(STDOUT, chunk)
            told.add(printed.entry_count, len(chunk))
    except (KeyboardInterrupt, ClosedPipeError):
        told.end("stopped")
        raise
    told.end("done")


class Progress:
    """How far it is, on one line that is written over.

    Args:
        entry_count: how many entries there are, before any choice.
        is_told: whether it is told at all.
    """

    def __init__(self, entry_count: int, *, is_told: bool) -> None:
        self._all = entry_count
        self._is_told = is_told
        self._entry_count = 0
        self._bytes = 0
        self._told_s = time.monotonic()

    def add(self, entry_count: int, size_bytes: int) -> None:
        """So much more was written."""
        self._entry_count += entry_count
        self._bytes += size_bytes
        if time.monotonic() - self._told_s >= TELL_S:
            self._tell(f"of {self._all:,}", end="\r")
            self._told_s = time.monotonic()

    def end(self, how: str) -> None:
        """Nothing more comes."""
        self._tell(f"- {how}", end="\n")

    def _tell(self, what: str, *, end: str) -> None:
        if self._is_told:
            sys.stderr.write(
                f"{self._entry_count:,} entries, {show_bytes(self._bytes)} {what}{end}"
            )
            sys.stderr.flush()
