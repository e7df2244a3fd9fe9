"""``logboom ls``: which containers have a log."""

import fnmatch
import json
from collections.abc import Callable
from typing import Final

import click

from logboom.cli.containers import Container, has_id, list_containers, matches
from logboom.cli.output import show, show_bytes, show_time, table
from logboom.cli.rows import Row, read_row
from logboom.cli.store import data_option, open_view

__all__ = ["ls"]


SORTS: Final[dict[str, Callable[[Row], tuple[int, str]]]] = {
    "last": lambda row: (-(row.last_ns or 0), row.container.name),
    "first": lambda row: (row.first_ns or 0, row.container.name),
    "name": lambda row: (0, row.container.name),
    "entries": lambda row: (-row.entry_count, row.container.name),
    "size": lambda row: (-row.text_bytes, row.container.name),
    "stored": lambda row: (-row.stored_bytes, row.container.name),
}
"""By what can be sorted; times and sizes with the newest and the largest first."""

_HEAD: Final = ("NAME", "ID", "IMAGE", "STATE", "FIRST", "LAST", "ENTRIES", "SIZE", "STORED")
_RIGHT: Final = (6, 7, 8)

_STATES: Final = {True: "active", False: "ended", None: "-"}


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--label",
    "labels",
    metavar="KEY[=VALUE]",
    multiple=True,
    help="Only containers with this label; both parts may be patterns.",
)
@click.option("--active", "state", flag_value="active", help="Only containers that run.")
@click.option("--ended", "state", flag_value="ended", help="Only containers that do not run.")
@click.option(
    "--sort",
    type=click.Choice(list(SORTS)),
    default="last",
    show_default=True,
    help="By time, newest first; by size, largest first; or by name.",
)
@click.option("--utc", is_flag=True, help="Show times in UTC.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@data_option
def ls(
    names: tuple[str, ...],
    labels: tuple[str, ...],
    state: str | None,
    sort: str,
    utc: bool,
    as_json: bool,
    data: str | None,
) -> None:
    """List the containers that have a log, those that were removed too.

    NAME is a container's name, a pattern such as 'web-*', or the beginning of an id.

    \b
    logboom ls                            all, the one that printed last first
    logboom ls 'web-*' --sort stored      the largest first
    logboom ls --label com.docker.compose.project=shop
    logboom ls --ended --json
    """
    view = open_view(data)
    containers = [
        container
        for container in list_containers(view)
        if _is_named(container, names)
        and all(_has_label(container, label) for label in labels)
        and (state is None or state == _STATES[container.is_active])
    ]
    rows = sorted((read_row(view, container) for container in containers), key=SORTS[sort])
    if as_json:
        text = "".join(json.dumps(_document(row)) + "\n" for row in rows)
    else:
        text = table(_HEAD, [_cells(row, utc=utc) for row in rows], right=_RIGHT)
    show(text)


def _is_named(container: Container, names: tuple[str, ...]) -> bool:
    return not names or any(matches(container, name) or has_id(container, name) for name in names)


def _has_label(container: Container, wanted: str) -> bool:
    key, has_value, value = wanted.partition("=")
    return any(
        fnmatch.fnmatchcase(label, key) and (not has_value or fnmatch.fnmatchcase(text, value))
        for label, text in container.labels.items()
    )


def _cells(row: Row, *, utc: bool) -> list[str]:
    container = row.container
    return [
        container.name,
        container.short_id,
        container.image or "-",
        _STATES[container.is_active],
        show_time(row.first_ns, utc=utc),
        show_time(row.last_ns, utc=utc),
        f"{row.entry_count:,}",
        show_bytes(row.text_bytes),
        show_bytes(row.stored_bytes),
    ]


def _document(row: Row) -> dict[str, object]:
    container = row.container
    return {
        "name": container.name,
        "id": container.container_id,
        "image": container.image,
        "labels": container.labels,
        "active": container.is_active,
        "first_ns": row.first_ns,
        "last_ns": row.last_ns,
        "entries": row.entry_count,
        "text_bytes": row.text_bytes,
        "stored_bytes": row.stored_bytes,
    }
