"""``logboom ls``: which containers have a log."""

import fnmatch
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TextIO

import click

from logboom._core import Container
from logboom.cli.client import ask_ids, engine_option, parse_ids
from logboom.cli.containers import has_id, is_pattern, named
from logboom.cli.output import STDOUT, show, write_all
from logboom.cli.rows import warn
from logboom.cli.store import data_option, given_data, open_view

__all__ = ["ls"]


SORTS: Final = ("last", "first", "name", "entries", "size", "stored")
"""By what can be sorted; times and sizes with the newest and the largest first."""

_STATES: Final = {"active": ["active"], "ended": ["ended", "removed"]}
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
    type=click.Choice(SORTS),
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
    tests = [_meant(name) for name in names]
    containers = [
        container
        for container in view.containers()
        if (not tests or any(is_meant(container) for is_meant in tests))
        and (not labels or _has_labels(container.labels, labels))
    ]
    listing = view.listing(
        containers,
        existing=parse_ids(_said(engine, data)),
        states=_STATES[wanted] if wanted else None,
        sort=sort,
    )
    for name, fault in listing.faults():
        warn(name, fault)
    if as_json:
        write_all(STDOUT, listing.json())
    else:
        show(listing.table(utc=utc))


def _said(engine: TextIO | None, data: str | None) -> str:
    """What the engine says. That of this host knows nothing of a data folder that was named."""
    if engine is not None:
        return engine.read()
    return "" if given_data(data) else ask_ids()


def _meant(name: str) -> Callable[[Container], bool]:
    """Tells whether a container is meant by its name, a pattern, or the beginning of its id."""
    is_named = named(name)
    if is_pattern(name):
        return is_named
    return lambda container: is_named(container) or has_id(container, name)


# Containers that come from the same place have the same labels.
@lru_cache
def _has_labels(labels_json: str, wanted: tuple[str, ...]) -> bool:
    """Whether a container has all labels that are wanted, each as ``KEY[=VALUE]``."""
    labels: dict[str, str] = json.loads(labels_json)
    return all(_has_label(labels, label) for label in wanted)


def _has_label(labels: dict[str, str], wanted: str) -> bool:
    key, has_value, value = wanted.partition("=")
    return any(
        fnmatch.fnmatchcase(label, key) and (not has_value or fnmatch.fnmatchcase(text, value))
        for label, text in labels.items()
    )
