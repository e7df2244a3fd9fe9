"""Containers as people name them: by name, by pattern, by id."""

import difflib
import fnmatch
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import click

from logboom._core import StoreView, Stream
from logboom.errors import ValueSyntaxError
from logboom.instants import parse_instant_ns

__all__ = [
    "SHORT_ID_LENGTH",
    "Container",
    "NoContainerError",
    "has_id",
    "is_pattern",
    "list_containers",
    "matches",
    "select",
]

SHORT_ID_LENGTH: Final = 12
"""As docker shows ids."""

_PATTERN_CHARACTERS: Final = frozenset("*?[")

_NEAR_COUNT: Final = 3


class NoContainerError(click.ClickException):
    """Nothing in the store bears a name that was given."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container whose log is in the store, or that runs and has printed nothing."""

    container_id: str
    name: str
    """Its short id where no name is known."""
    image: str
    labels: dict[str, str]
    attributes: dict[str, str]
    is_active: bool | None
    """``None``: that cannot be seen from here."""
    begun_ns: int
    """When it was created, or else first seen; 0: not known."""
    is_named: bool
    """Something is known of it; of a container that has just begun that may come later."""

    @property
    def short_id(self) -> str:
        """As docker shows it."""
        return self.container_id[:SHORT_ID_LENGTH]


def list_containers(view: StoreView) -> list[Container]:
    """All of them, oldest first."""
    containers = [_container(stream) for stream in view.streams()]
    return sorted(containers, key=lambda container: (container.begun_ns, container.container_id))


def _container(stream: Stream) -> Container:
    facts: dict[str, Any] = json.loads(stream.facts) if stream.facts else {}
    return Container(
        container_id=stream.container_id,
        name=str(facts.get("name", "")).removeprefix("/") or stream.container_id[:SHORT_ID_LENGTH],
        image=str(facts.get("image", "")),
        # Too large ones are left out of the facts.
        labels=facts.get("labels") or {},
        attributes=facts.get("attributes") or {},
        is_active=stream.is_active,
        begun_ns=_created_ns(facts) or stream.first_started_ns or 0,
        is_named=stream.facts is not None,
    )


def _created_ns(facts: dict[str, Any]) -> int | None:
    """When a container was created: of an imported log that is long before it came here."""
    with suppress(ValueSyntaxError):
        return parse_instant_ns(str(facts.get("created", "")))
    return None


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


def matches(container: Container, name: str) -> bool:
    """Whether a name or a pattern means a container; ids are not looked at."""
    if is_pattern(name):
        return fnmatch.fnmatchcase(container.name, name)
    return container.name == name


def has_id(container: Container, beginning: str) -> bool:
    """Whether a container's id begins so. Every id begins with nothing, which is what a variable that is not set gives ``rm``."""
    return bool(beginning) and container.container_id.startswith(beginning)


def _find(containers: Sequence[Container], name: str) -> list[Container]:
    found = [container for container in containers if matches(container, name)]
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
