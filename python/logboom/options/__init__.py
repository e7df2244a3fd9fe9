"""``--log-opt``: how a container wants its log kept. ``docs/options.md`` documents every option."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from logboom.errors import ValueSyntaxError
from logboom.options.attributes import AttributeChoice, parse_key_list, parse_key_pattern
from logboom.options.tag import TagTemplate, parse_tag
from logboom.quantities import (
    parse_boolean,
    parse_count,
    parse_unlimited_duration_s,
    parse_unlimited_size_bytes,
)

__all__ = ["DOCKERD_OPTIONS", "OPTIONS", "UNKNOWN_LIMIT", "StreamOptions", "parse_options"]

DOCKERD_OPTIONS: Final = (
    "mode",
    "max-buffer-size",
    "cache-disabled",
    "cache-max-size",
    "cache-max-file",
    "cache-compress",
)
"""What dockerd itself reads from the same map, checks and obeys; nothing here does."""

UNKNOWN_LIMIT: Final = 16
"""Unknown options of one container that are told by name, of the others only how many: each takes a moment to word, and a
request has room for hundreds of thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """All options of a container, read and checked."""

    given: Mapping[str, Any] = field(default_factory=dict)
    """How its log is kept, in the words of ``logboom._core.Store.start_session``: what is not in there follows the defaults."""
    attributes: AttributeChoice = field(default_factory=AttributeChoice)
    tag: TagTemplate | None = None


def _parse_optional_tag(text: str) -> TagTemplate | None:
    return parse_tag(text) if text else None


OPTIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "max-size": parse_unlimited_size_bytes,
    "max-file": parse_count,
    "max-age": parse_unlimited_duration_s,
    "compress": parse_boolean,
    "labels": parse_key_list,
    "labels-regex": parse_key_pattern,
    "env": parse_key_list,
    "env-regex": parse_key_pattern,
    "tag": _parse_optional_tag,
}
"""Every option of ours and how its value is read; a test holds ``docs/options.md`` to it."""

_KEEPING: Final = {
    "max-size": "max_size_bytes",
    "max-file": "max_file",
    "max-age": "max_age_s",
    "compress": "compress",
}
"""Those that say how the log is kept, and what the core calls them."""


def parse_options(log_opts: Mapping[str, str]) -> tuple[StreamOptions, list[str]]:
    """Read a container's options.

    Returns:
        the options without those that are mistaken, and a sentence for every mistake, up to ``UNKNOWN_LIMIT``.
    """
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    unknown: list[str] = []
    for key, text in log_opts.items():
        if key in OPTIONS:
            try:
                values[key] = OPTIONS[key](text)
            except ValueSyntaxError as error:
                mistakes.append(f"log-opt {key}: {error}")
        elif key not in DOCKERD_OPTIONS:
            unknown.append(key)
    mistakes += map(_unknown, unknown[:UNKNOWN_LIMIT])
    if len(unknown) > UNKNOWN_LIMIT:
        mistakes.append(f"{len(unknown) - UNKNOWN_LIMIT} more are unknown")
    return StreamOptions(
        given={name: values[key] for key, name in _KEEPING.items() if key in values},
        attributes=AttributeChoice(
            labels=values.get("labels", ()),
            labels_pattern=values.get("labels-regex"),
            environment=values.get("env", ()),
            environment_pattern=values.get("env-regex"),
        ),
        tag=values.get("tag"),
    ), mistakes


def _unknown(key: str) -> str:
    known = [*OPTIONS, *DOCKERD_OPTIONS]
    nearest = difflib.get_close_matches(key[:64].lower(), known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"the options are {', '.join(OPTIONS)}"
    return f"log-opt {key[:64]!r} is unknown; {hint}"
