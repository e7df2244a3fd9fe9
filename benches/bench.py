"""What every measurement is given, and what it gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benches.corpora import Corpora
from benches.programs import Programs
from benches.results import Row
from engines.private import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a run measures with."""

    programs: Programs
    corpora: Corpora
    build: Path
    """The plugin's folder, with ``config.json`` and ``rootfs``."""
    scratch: Path
    """Where stores are made."""
    engine: Version | None
    """Which engine; ``None``: the machine's own version."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a part of a measurement is, as an option of the command line."""

    name: str
    full: int
    quick: int
    """In a run that only tries the harness."""
    help: str


Sizes = Mapping[str, int]
"""The chosen sizes, by name."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a measurement came to, without where and of what it was made."""

    rows: Sequence[Row]
    summary: Mapping[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Facts that only the measurement knows, as the engine's version."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One of the measurements that can be run."""

    name: str
    help: str
    """What it measures, in a sentence."""
    group: str
    """``engine``, ``service`` or ``core``: what it runs."""
    sizes: Sequence[Size]
    measure: Callable[[Bench, Sizes], Measured]
