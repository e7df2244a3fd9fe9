"""The service's own log: short lines on stderr, which in the plugin land in dockerd's log.

A line is dropped rather than waited for: the loop that says it serves all containers, and dockerd may not read its end just now.

What containers print never goes there, nor do request bodies and environment values: dockerd's log is a log of a
container's host, read by others than the container's owner.
"""

import logging
import select
import sys
import traceback
from typing import Final, TextIO

__all__ = ["LEVELS", "LINE_LIMIT", "ROOT", "printable", "set_level", "start_log"]

ROOT: Final = logging.getLogger("logboom")
"""All loggers of the service are children of this one."""

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
"""By the name that ``LOGBOOM_LOG_LEVEL`` takes."""

LINE_LIMIT: Final = 1000
"""Characters in a line; dockerd reads a plugin's stderr line by line, and a name from outside may be of any length. In UTF-8 they
fit into ``PIPE_BUF``, 4096 bytes, for which a pipe has room that polls writable."""


class _Formatter(logging.Formatter):
    """One line for one message: ``level message``, an exception in short after it."""

    # typing.override is younger than Python 3.11
    def format(self, record: logging.LogRecord) -> str:  # type: ignore[explicit-override]
        message = record.getMessage()
        if record.exc_info is not None and record.exc_info[1] is not None:
            message += f": {_describe(record.exc_info[1])}"
        line = f"{record.levelname.lower()} {printable(message)}"
        return line if len(line) <= LINE_LIMIT else line[: LINE_LIMIT - 3] + "..."


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to stderr as long as somebody takes it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:  # type: ignore[explicit-override]
        if self._dropped and _has_room(self.stream):
            told = logging.makeLogRecord(
                {
                    "levelname": "WARNING",
                    "msg": "%d lines were dropped since nobody took them",
                    "args": (self._dropped,),
                }
            )
            self._dropped = 0
            super().emit(told)
        if _has_room(self.stream):
            super().emit(record)
        else:
            self._dropped += 1


def _has_room(stream: TextIO) -> bool:
    try:
        poll = select.poll()
        poll.register(stream, select.POLLOUT)
    except OSError:
        return True  # no file: a test's
    return bool(poll.poll(0))


def start_log(level_name: str) -> None:
    """Send the log to stderr, from this level on.

    Args:
        level_name: one of ``LEVELS``.
    """
    if not any(isinstance(handler.formatter, _Formatter) for handler in ROOT.handlers):
        handler = _Handler(sys.stderr)
        handler.setFormatter(_Formatter())
        ROOT.addHandler(handler)
    ROOT.propagate = False
    set_level(level_name)
    # Nobody may stop the service by closing its stderr, and logging would only tell it to the same stderr.
    logging.raiseExceptions = False


def set_level(level_name: str) -> None:
    """Tell only what is at least so important.

    Args:
        level_name: one of ``LEVELS``.
    """
    ROOT.setLevel(LEVELS[level_name])


def _describe(error: BaseException) -> str:
    """What happened and where, without the many lines of a traceback."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    # Without the source lines, which ``traceback.extract_tb`` would read from the disk.
    frames = list(traceback.walk_tb(error.__traceback__))
    places = " < ".join(
        f"{frame.f_code.co_filename.rpartition('/')[2]}:{line}"
        for frame, line in reversed(frames[-4:])
    )
    return f"{type(error).__name__}: {error} ({places})"


def printable(message: str) -> str:
    """The message with what is not printable written as Python would."""
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in message
    )
