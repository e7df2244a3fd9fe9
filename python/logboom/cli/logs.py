"""``logboom logs``: what containers printed."""

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from logboom._core import Container, Playback, Printed, StoreView
from logboom.cli.containers import is_pattern, named, select
from logboom.cli.merge import Selection, add, tails
from logboom.cli.output import STDERR, STDOUT, Prefixes, has_colour, write_all
from logboom.cli.store import data_option, open_view
from logboom.cli.times import read_moment
from logboom.until import seconds_to_wait

__all__ = ["logs"]

CHUNK_BYTES: Final = 1 << 20
"""About how much is read before it is written."""

POLL_S: Final = 0.1
"""So often a follower looks at the files: at most this much later than the plugin it shows a line."""

NEW_CONTAINERS_S: Final = 1.0
"""So often a follower looks for new containers."""

SETTLED_NS: Final = 2 * 10**9
"""A folder that was changed longer ago has the time of its last change."""


def read_tail(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    """The callback of ``--tail``: a number of entries, or all of them as ``None``. For dockerd a negative number is all, too.

    Raises:
        click.BadParameter: it is neither.
    """
    if value == "all":
        return None
    if not re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
        raise click.BadParameter(f"{value!r} is neither a number nor all", ctx, param)
    return int(value) if int(value) >= 0 else None


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "-n",
    "--tail",
    metavar="NUMBER",
    callback=read_tail,
    default="all",
    show_default=True,
    help="Only so many entries from the end, of each name.",
)
@click.option(
    "--since",
    metavar="TIME",
    callback=read_moment,
    help="Begin with the first entry that is not older (10m, a time).",
)
@click.option(
    "--until",
    metavar="TIME",
    callback=read_moment,
    help="End before the first entry that is newer (10m, a time).",
)
@click.option("-t", "--timestamps", is_flag=True, help="Begin lines with their time.")
@click.option("--details", is_flag=True, help="Begin lines with the container's attributes.")
@click.option(
    "--stream", type=click.Choice(["stdout", "stderr"]), help="Only what was printed there."
)
@click.option("--last", is_flag=True, help="Of each name only the newest container.")
@click.option("--utc", is_flag=True, help="Times in UTC, not in the local zone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each entry.")
@data_option
def logs(
    names: tuple[str, ...],
    follow: bool,
    tail: int | None,
    since: int | None,
    until: int | None,
    timestamps: bool,
    details: bool,
    stream: str | None,
    last: bool,
    utc: bool,
    as_json: bool,
    data: str | None,
) -> None:
    """Show what containers printed, as docker logs does, of removed ones too.

    NAME is a container's name, a pattern such as 'web-*', or the beginning of an id. A name means all containers that bore
    it, oldest first. Several names are merged by time.

    \b
    logboom logs web                       what docker logs shows, and what was before it
    logboom logs -f --tail 10 'web-*'      new containers come in as they start
    logboom logs --since 10m --stream stderr web db
    logboom logs --json web | jq .line
    """
    view = open_view(data)
    selection = Selection(
        since_ns=since,
        until_ns=until,
        as_json=as_json,
        times=None if not timestamps else "utc" if utc else "local",
        has_details=details,
    )
    only_stderr = None if stream is None else stream == "stderr"
    shown = Shown(view, Playback(view, only_stderr=only_stderr), selection, names)
    shown.begin(last=last, tail=tail, follow=follow)
    shown.write()
    if follow:
        shown.follow()


class Shown:
    """Logs on their way to the terminal."""

    def __init__(
        self, view: StoreView, playback: Playback, selection: Selection, names: Sequence[str]
    ) -> None:
        self._view = view
        self._playback = playback
        self._selection = selection
        self._names = names
        self._named = [named(name) for name in names]
        self._known: set[str] = set()
        self._prefixes: Prefixes | None = None
        self._folder = Path(view.folder, "containers")
        self._changed_ns = 0
        self._has_unnamed = False

    def begin(self, *, last: bool, tail: int | None, follow: bool) -> None:
        """Choose the containers that there are."""
        containers = self._list()
        try:
            chosen = select(containers, self._names, last=last)
        except click.ClickException:
            # A follower may wait for the first of them.
            if not (follow and all(map(is_pattern, self._names))):
                raise
            chosen = []
        counts = {} if tail is None else tails(self._view, chosen, tail)
        has_more = follow and any(map(is_pattern, self._names))
        shown = {container.name: None for container in chosen}
        if has_more or len(shown) > 1:
            self._prefixes = Prefixes(shown, colour=has_colour(sys.stdout))
        self._add(chosen, counts)

    def write(self) -> None:
        """Write all that there is."""
        while (printed := self._playback.next(CHUNK_BYTES)).entry_count:
            self._write(printed)

    def follow(self) -> None:
        """Write what comes, of new containers too."""
        looked_at = time.monotonic()
        while not self._is_over():
            time.sleep(POLL_S)
            if time.monotonic() - looked_at >= NEW_CONTAINERS_S:
                looked_at = time.monotonic()
                self._take_in_new()
            self._playback.look_again()
            self.write()

    def _is_over(self) -> bool:
        """Whether nothing more will come before ``--until``. As long as there is no container the clock alone tells."""
        until_ns = self._selection.until_ns
        if until_ns is None:
            return False
        is_past = seconds_to_wait(until_ns, time.time_ns()) <= 0
        return is_past or (bool(self._known) and self._playback.is_over())

    def _list(self) -> list[Container]:
        # ORDER: the time first, so that what comes while the folder is listed is seen the next time.
        self._changed_ns = self._folder.stat().st_mtime_ns if self._folder.exists() else 0
        containers = self._view.containers()
        self._has_unnamed = not all(container.is_named for container in containers)
        return containers

    def _take_in_new(self) -> None:
        if not self._has_unnamed and not self._is_changed():
            return
        new = [
            container
            for container in self._list()
            if container.container_id not in self._known
            and any(is_named(container) for is_named in self._named)
        ]
        self._add(new, {})

    def _is_changed(self) -> bool:
        """Whether a container may have come. Two that come within one tick of the file system's clock leave one time."""
        if not self._folder.exists():
            return False
        changed_ns = self._folder.stat().st_mtime_ns
        return changed_ns != self._changed_ns or time.time_ns() - changed_ns < SETTLED_NS

    def _add(self, containers: Sequence[Container], counts: dict[str, int]) -> None:
        for container in containers:
            self._known.add(container.container_id)
            add(
                self._playback,
                self._view,
                container,
                self._selection,
                tail=counts.get(container.container_id),
                prefix=self._prefixes.of(container.name) if self._prefixes else b"",
            )

    def _write(self, printed: Printed) -> None:
        for is_stderr, data in printed.runs:
            to_stderr = is_stderr and not self._selection.as_json
            write_all(STDERR if to_stderr else STDOUT, data)
