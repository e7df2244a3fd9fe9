"""Containers as people name them: by name, by pattern, by id."""

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import click

from logboom._core import Container

__all__ = [
    "SHORT_ID_LENGTH",
    "NoContainerError",
    "has_id",
    "is_pattern",
    "named",
    "select",
]

SHORT_ID_LENGTH: Final = 12
"""As docker shows ids."""

_PATTERN_CHARACTERS: Final = frozenset("*?[")

_NEAR_COUNT: Final = 3


class NoContainerError(click.ClickException):
    """Nothing in the store bears a name that was given."""


def select(containers: Sequence[Container], names: Iterable[str], *, last: bool) -> list[Container]:
    """Those that are meant, oldest first, each once.

    A name means all containers that bore it, or with ``last`` the newest of them; a pattern all names that match; anything
    else is the beginning of an id.

    Raises:
        NoContainerError: a name means nothing, or an id's beginning more than one.
    """
    chosen: set[str] = set()
    for name in names:
        found = _find(containers, name)
        if last:
            newest = {container.name: container for container in found}
            found = list(newest.values())
        chosen.update(container.container_id for container in found)
    return [container for container in containers if container.container_id in chosen]


def is_pattern(name: str) -> bool:
    """Whether a name stands for several."""
    return not _PATTERN_CHARACTERS.isdisjoint(name)


def named(name: str) -> Callable[[Container], bool]:
    """Tells whether a name or a pattern means a container; ids are not looked at. It is made once for all of a large store."""
    if is_pattern(name):
        match = re.compile(fnmatch.translate(name)).match
        return lambda container: match(container.name) is not None
    return lambda container: container.name == name


def has_id(container: Container, beginning: str) -> bool:
    """Whether a container's id begins so. Every id begins with nothing, which is what a variable that is not set gives ``rm``."""
    return bool(beginning) and container.container_id.startswith(beginning)


def _find(containers: Sequence[Container], name: str) -> list[Container]:
    found = list(filter(named(name), containers))
    if found:
        return found
    if is_pattern(name):
        raise NoContainerError(f"no name in the store matches {name!r}; logboom ls shows them")
    found = [container for container in containers if has_id(container, name)]
    if len(found) > 1:
        ids = ", ".join(container.short_id for container in found[:_NEAR_COUNT])
        raise NoContainerError(f"{name!r} begins {len(found)} ids, such as {ids}: write more of it")
    if not found:
        known = {container.name for container in containers}
        near = difflib.get_close_matches(name, known, n=_NEAR_COUNT)
        advice = f"did you mean {' or '.join(near)}?" if near else "logboom ls shows what there is"
        raise NoContainerError(f"no container {name!r} in the store; {advice}")
    return found
