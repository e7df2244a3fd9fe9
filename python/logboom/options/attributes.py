"""The options ``labels``, ``labels-regex``, ``env`` and ``env-regex``: what of a container is kept beside its log.

As moby's ``loginfo.go`` does it (``ExtraAttributes``): the lists name keys, the patterns are looked for in keys, and
an environment variable wins over a label of the same name. No environment value leaves here that was not asked for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from logboom import _core
from logboom.errors import ValueSyntaxError

__all__ = [
    "PATTERN_LIMIT",
    "SEARCH_LIMIT",
    "AttributeChoice",
    "parse_key_list",
    "parse_key_pattern",
]

PATTERN_LIMIT: Final = 4096
"""Characters in a pattern, as in a template for a tag. The limit on what it compiles to is met only when all of it has been read, and a request has room
for one of megabytes, which takes seconds, with the interpreter held."""

SEARCH_LIMIT: Final = 64 * 1024
"""Characters of keys through which a pattern is looked for, all labels or all variables together. A pattern can take long over each, and
what it chooses from more could not be kept either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeChoice:
    """Which labels and environment variables become attributes."""

    labels: tuple[str, ...] = ()
    labels_pattern: _core.Pattern | None = field(default=None, repr=False)
    environment: tuple[str, ...] = ()
    environment_pattern: _core.Pattern | None = field(default=None, repr=False)

    def choose(self, labels: Mapping[str, str], environment: Iterable[str]) -> dict[str, str]:
        """The attributes of a container.

        Args:
            labels: all its labels.
            environment: all its variables, each ``NAME=value``.
        """
        variables = dict(each.split("=", 1) for each in environment if "=" in each)
        return {
            **_chosen(labels, self.labels, self.labels_pattern),
            **_chosen(variables, self.environment, self.environment_pattern),
        }


def parse_key_list(text: str) -> tuple[str, ...]:
    """Keys with commas between them, taken as they are, spaces too."""
    return tuple(key for key in text.split(",") if key)


def parse_key_pattern(text: str) -> _core.Pattern | None:
    """A regular expression over keys; none when it is empty.

    Raises:
        ValueSyntaxError: it is over ``PATTERN_LIMIT``, or cannot be compiled.
    """
    if not text:
        return None
    if len(text) > PATTERN_LIMIT:
        raise ValueSyntaxError(
            f"the pattern has {len(text)} characters; the limit is {PATTERN_LIMIT}"
        )
    try:
        return _core.Pattern(text)
    except _core.InvalidArgumentError as error:
        raise ValueSyntaxError(str(error)) from None


def _chosen(
    values: Mapping[str, str], keys: tuple[str, ...], pattern: _core.Pattern | None
) -> dict[str, str]:
    named = frozenset(keys)
    chosen = {}
    searched = 0
    for key, value in values.items():
        if pattern is not None:
            searched += len(key)
        if key in named or (
            pattern is not None and searched <= SEARCH_LIMIT and pattern.search(key)
        ):
            chosen[key] = value
    return chosen
