"""What commands write: bytes at once, tables, sizes and times for people."""

import os
from collections.abc import Iterable
from typing import IO, Final

from logboom._core import show_bytes, show_time, table
from logboom.telemetry import printable

__all__ = [
    "STDERR",
    "STDOUT",
    "ClosedPipeError",
    "Prefixes",
    "has_colour",
    "show",
    "show_bytes",
    "show_time",
    "table",
    "write_all",
]

STDOUT: Final = 1
STDERR: Final = 2

_COLOURS: Final = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
"""Cyan, yellow, green, magenta, blue, and the bright ones, as compose takes them. Red is for errors."""


class ClosedPipeError(Exception):
    """Whoever read has had enough, as head has. It is no error; and no OSError, of which click makes one."""


def write_all(descriptor: int, data: bytes) -> None:
    """Write to a descriptor, past Python's buffers: what goes to stdout and to stderr must keep its order.

    Raises:
        ClosedPipeError: whoever read has gone.
    """
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except BrokenPipeError:
        raise ClosedPipeError from None


def show(text: str) -> None:
    """Write a text to stdout.

    Raises:
        ClosedPipeError: whoever read has gone.
    """
    write_all(STDOUT, text.encode(errors="surrogateescape"))


def has_colour(stream: IO[str]) -> bool:
    """Whether colours are welcome: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


class Prefixes:
    """What stands before each line of several logs: equally wide, each name in its colour.

    Args:
        names: those that are known; others may come.
        colour: whether there are colours.
    """

    def __init__(self, names: Iterable[str], *, colour: bool) -> None:
        self._places = {name: place for place, name in enumerate(names)}
        self._width = max(map(len, self._places), default=0)
        self._colour = colour

    def of(self, name: str) -> bytes:
        """The prefix of a name."""
        place = self._places.setdefault(name, len(self._places))
        text = f"{printable(name):{self._width}} | ".encode()
        if not self._colour:
            return text
        return b"\x1b[%dm%s\x1b[0m" % (_COLOURS[place % len(_COLOURS)], text)
