"""``logboom ls``: which containers have a log."""

import fnmatch
import json
from collections.abc import Callable
from typing import Final, TextIO

import click

from logboom.cli.client import ask_ids, engine_option, parse_ids
from logboom.cli.containers import Container, has_id, list_containers, matches
from logboom.cli.output import show, show_bytes, show_time, table
from logboom.cli.rows import Row, read_row
from logboom.cli.store import data_option, given_data, open_view

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
_REMOVED: Final = "removed"

_WANTED: Final = {"active": {"active"}, "ended": {"ended", _REMOVED}}
"""The states that each option lets through."""


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--label",
    "labels",
    metavar="KEY[=VALUE]",
    multiple=True,
    help="Only containers with this label; both parts may be patterns.",
)
@click.option("--active", "wanted", flag_value="active", help="Only containers that run.")
@click.option("--ended", "wanted", flag_value="ended", help="Only containers that do not run.")
@click.option(
    "--sort",
    type=click.Choice(list(SORTS)),
    default="last",
    show_default=True,
    help="By time, newest first; by size, largest first; or by name.",
)
@click.option("--utc", is_flag=True, help="Show times in UTC.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@engine_option
@data_option
def ls(
    names: tuple[str, ...],
    labels: tuple[str, ...],
    wanted: str | None,
    sort: str,
    utc: bool,
    as_json: bool,
    engine: TextIO | None,
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
    named = [
        container
        for container in list_containers(view)
        if _is_named(container, names) and all(_has_label(container, label) for label in labels)
    ]
    existing = parse_ids(_said(engine, data))
    containers = [
        container
        for container in named
        if wanted is None or _state(container, existing) in _WANTED[wanted]
    ]
    rows = sorted((read_row(view, container) for container in containers), key=SORTS[sort])
    if as_json:
        text = "".join(json.dumps(_document(row, existing)) + "\n" for row in rows)
    else:
        text = table(_HEAD, [_cells(row, existing, utc=utc) for row in rows], right=_RIGHT)
    show(text)


def _said(engine: TextIO | None, data: str | None) -> str:
    """What the engine says. That of this host knows nothing of a data folder that was named."""
    if engine is not None:
        return engine.read()
    return "" if given_data(data) else ask_ids()


def _is_named(container: Container, names: tuple[str, ...]) -> bool:
    return not names or any(matches(container, name) or has_id(container, name) for name in names)


def _has_label(container: Container, wanted: str) -> bool:
    key, has_value, value = wanted.partition("=")
    return any(
        fnmatch.fnmatchcase(label, key) and (not has_value or fnmatch.fnmatchcase(text, value))
        for label, text in container.labels.items()
    )


def _is_removed(container: Container, existing: frozenset[str] | None) -> bool | None:
    """Whether the engine no longer has it; ``None``: the engine has not told what it has."""
    if container.is_active:
        return False
    return None if existing is None else container.container_id not in existing


def _state(container: Container, existing: frozenset[str] | None) -> str:
    return _REMOVED if _is_removed(container, existing) else _STATES[container.is_active]


def _cells(row: Row, existing: frozenset[str] | None, *, utc: bool) -> list[str]:
    container = row.container
    return [
        container.name,
        container.short_id,
        container.image or "-",
        _state(container, existing),
        show_time(row.first_ns, utc=utc),
        show_time(row.last_ns, utc=utc),
        f"{row.entry_count:,}",
        show_bytes(row.text_bytes),
        show_bytes(row.stored_bytes),
    ]


def _document(row: Row, existing: frozenset[str] | None) -> dict[str, object]:
    container = row.container
    return {
        "name": container.name,
        "id": container.container_id,
        "image": container.image,
        "labels": container.labels,
        "active": container.is_active,
        "removed": _is_removed(container, existing),
        "first_ns": row.first_ns,
        "last_ns": row.last_ns,
        "entries": row.entry_count,
        "text_bytes": row.text_bytes,
        "stored_bytes": row.stored_bytes,
    }
