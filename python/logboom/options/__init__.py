"""``--log-opt``: how a container wants its log kept. ``docs/options.md`` documents every option."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from logboom.errors import ValueSyntaxError
from logboom.options.attributes import AttributeChoice, parse_key_list, parse_key_pattern
from logboom.options.tag import TagTemplate, parse_tag
from logboom.quantities import (
    SIZE_LIMIT_BYTES,
    parse_boolean,
    parse_count,
    parse_unlimited_duration_s,
    parse_unlimited_size_bytes,
)
from logboom.settings import Settings

__all__ = ["DOCKERD_OPTIONS", "OPTIONS", "StreamOptions", "default_options", "parse_options"]

SEGMENTS_PER_STREAM: Final = 16
"""A stream at its limit is kept in about so many segments, and loses one when it grows: so that with ``max-file=1``
most of a log is there at any time."""

SEGMENT_MINIMUM_BYTES: Final = 64 * 1024
"""Smaller segments would cost more in files and index than they free early."""

UNLIMITED_SEGMENT_BYTES: Final = 64 * 1000 * 1000
"""The segment size of a stream without a limit: few files, yet age still frees space in steps."""

DOCKERD_OPTIONS: Final = (
    "mode",
    "max-buffer-size",
    "cache-disabled",
    "cache-max-size",
    "cache-max-file",
    "cache-compress",
)
"""What dockerd itself reads from the same map, checks and obeys; nothing here does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """All options of a container, read and checked."""

    max_size_bytes: int | None
    max_file: int
    max_age_s: int | None
    compress: bool
    attributes: AttributeChoice = field(default_factory=AttributeChoice)
    tag: TagTemplate | None = None

    @property
    def stream_bytes(self) -> int | None:
        """The most that the stream may hold on disk; ``None``: no limit."""
        if self.max_size_bytes is None:
            return None
        return min(self.max_size_bytes * self.max_file, SIZE_LIMIT_BYTES)

    @property
    def segment_bytes(self) -> int:
        """The stored size at which a segment is sealed."""
        if self.max_size_bytes is None:
            return UNLIMITED_SEGMENT_BYTES
        wanted_bytes = self.max_size_bytes * self.max_file // SEGMENTS_PER_STREAM
        return min(max(wanted_bytes, SEGMENT_MINIMUM_BYTES), self.max_size_bytes)


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


def default_options(settings: Settings) -> StreamOptions:
    """What a container gets that gives no option."""
    return StreamOptions(
        max_size_bytes=settings.max_size_bytes,
        max_file=settings.max_file,
        max_age_s=settings.max_age_s,
        compress=settings.compress,
    )


def parse_options(
    log_opts: Mapping[str, str], defaults: StreamOptions
) -> tuple[StreamOptions, list[str]]:
    """Read a container's options.

    Returns:
        the options, with the default for each that is missing or mistaken, and a sentence for every mistake.
    """
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for key, text in log_opts.items():
        if key in OPTIONS:
            try:
                values[key] = OPTIONS[key](text)
            except ValueSyntaxError as error:
                mistakes.append(f"log-opt {key}: {error}")
        elif key not in DOCKERD_OPTIONS:
            mistakes.append(_unknown(key))
    return StreamOptions(
        max_size_bytes=values.get("max-size", defaults.max_size_bytes),
        max_file=values.get("max-file", defaults.max_file),
        max_age_s=values.get("max-age", defaults.max_age_s),
        compress=values.get("compress", defaults.compress),
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
