"""A container and what its log holds."""

from dataclasses import dataclass

import click

from logboom._core import Container, Description, StorageError, StoreView
from logboom.held import read_held
from logboom.telemetry import printable

__all__ = ["Row", "read_row", "warn"]


@dataclass(frozen=True, slots=True)
class Row:
    """A container and what its stream holds; ``None``: it has printed nothing."""

    container: Container
    held: Description | None

    @property
    def first_ns(self) -> int | None:
        """The time of its oldest entry."""
        return self.held.first_ns if self.held else None

    @property
    def last_ns(self) -> int | None:
        """The time of its newest entry."""
        return self.held.last_ns if self.held else None

    @property
    def entry_count(self) -> int:
        """How many entries it has."""
        return self.held.entry_count if self.held else 0

    @property
    def text_bytes(self) -> int:
        """What its lines take as text."""
        return self.held.text_bytes if self.held else 0

    @property
    def stored_bytes(self) -> int:
        """What its files take."""
        return self.held.stored_bytes if self.held else 0


def read_row(view: StoreView, container: Container) -> Row:
    """Look at a container's log. One that cannot be read is said on stderr, and keeps none from being shown."""
    try:
        held = read_held(view, container)
    except StorageError as error:
        warn(container.name, str(error))
        held = None
    return Row(container, held)


def warn(name: str, error: str) -> None:
    """Say that a container's log cannot be read."""
    click.echo(printable(f"Warning: {name} cannot be read: {error}"), err=True)
