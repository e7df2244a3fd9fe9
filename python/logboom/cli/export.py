"""``logboom export``: logs for files and other programs."""

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from logboom._core import Playback
from logboom.cli.containers import select
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
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write a file, which is there once it is whole.  [default: stdout]",
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
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
    output: Path | None,
    force: bool,
    progress: bool | None,
    data: str | None,
) -> None:
    """Write logs to stdout or a file, both streams of all containers, by time.

    NAME is as for logs. Text has the lines alone; JSON has all that is known of each.

    \b
    logboom export --json '*' | zstd > all.ndjson.zst
    logboom export -t -o web.txt web
    """
    if force and output is None:
        raise click.UsageError("--force is for --output")
    view = open_view(data)
    selection = Selection(
        since_ns=since,
        until_ns=until,
        as_json=as_json,
        times="utc" if timestamps else None,
    )
    only_stderr = None if stream is None else stream == "stderr"
    playback = Playback(view, only_stderr=only_stderr)
    containers = select(view.containers(), names, last=last)
    entry_count = sum(add(playback, view, container, selection) for container in containers)
    told = Progress(entry_count, is_told=sys.stderr.isatty() if progress is None else progress)
    try:
        with _destination(output, is_forced=force) as destination:
            while (printed := playback.next(CHUNK_BYTES)).entry_count:
                chunk = b"".join(part for _, part in printed.runs)
                write_all(destination, chunk)
                told.add(printed.entry_count, len(chunk))
    except (KeyboardInterrupt, ClosedPipeError):
        told.end("stopped")
        raise
    told.end("done")


@contextmanager
def _destination(output: Path | None, *, is_forced: bool) -> Iterator[int]:
    """A descriptor to write to: stdout, or that of a file which gets its name when all is in it and has been synced.

    Raises:
        click.ClickException: there is such a file already, or it cannot be written.
    """
    if output is None:
        yield STDOUT
        return
    # A link stays one; what it names is replaced.
    path = output.resolve()
    if path.exists() and not path.is_file():
        raise click.ClickException(f"{output} is no file that could be replaced")
    if path.exists() and not is_forced:
        raise click.ClickException(f"{output} is there already; --force replaces it")
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        # ORDER: its name is known before it is made, so that it goes even when Ctrl-C comes at this moment.
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                yield descriptor
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}") from None


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
