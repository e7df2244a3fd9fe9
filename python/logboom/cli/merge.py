"""Several containers read as one log."""

import json
import urllib.parse
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from logboom._core import Container, Description, Playback, StorageError, StoreView
from logboom.held import read_held

__all__ = ["Selection", "add", "encode_details", "tails"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries, and how they are written."""

    since_ns: int | None
    until_ns: int | None
    as_json: bool
    times: Literal["local", "utc"] | None = None
    has_details: bool = False


def add(
    playback: Playback,
    view: StoreView,
    container: Container,
    selection: Selection,
    *,
    tail: int | None = None,
    prefix: bytes = b"",
) -> int:
    """Add a container's log; returns how many entries it has, before any choice but ``tail``."""
    held = _describe(view, container)
    begins_ns = held.first_ns if held and held.first_ns is not None else 0
    entry_count = held.entry_count if held else 0
    if selection.as_json:
        playback.add_json(
            container_id=container.container_id,
            begins_ns=begins_ns,
            tail=tail,
            since_ns=selection.since_ns,
            until_ns=selection.until_ns,
            members=[("name", container.name), ("id", container.container_id)],
        )
    else:
        playback.add_text(
            container_id=container.container_id,
            begins_ns=begins_ns,
            tail=tail,
            since_ns=selection.since_ns,
            until_ns=selection.until_ns,
            times=selection.times,
            details=encode_details(json.loads(container.attributes))
            if selection.has_details
            else None,
            prefix=prefix,
        )
    return entry_count if tail is None else min(tail, entry_count)


def encode_details(attributes: dict[str, str]) -> bytes:
    """Attributes as ``docker logs --details`` has them; moby, ``api/server/httputils/write_log_stream.go``."""
    quote = urllib.parse.quote_plus
    pairs = [f"{quote(key)}={quote(value)}" for key, value in sorted(attributes.items())]
    return ",".join(pairs).encode()


def tails(view: StoreView, containers: Sequence[Container], tail: int) -> dict[str, int]:
    """How many of its last entries each container has among the last ``tail`` of its name, by id.

    Args:
        view: where they are.
        containers: oldest first.
        tail: for each name.
    """
    left: defaultdict[str, int] = defaultdict(lambda: tail)
    found = {}
    for container in reversed(containers):
        held = _describe(view, container)
        count = min(left[container.name], held.entry_count if held else 0)
        found[container.container_id] = count
        left[container.name] -= count
    return found


def _describe(view: StoreView, container: Container) -> Description | None:
    """What a log holds; of one that cannot be read an entry of the playback says why."""
    with suppress(StorageError):
        return read_held(view, container)
    return None
