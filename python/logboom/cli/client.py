"""The docker client of this host, where there is one: inside the plugin there is neither it nor the engine's socket."""

import os
import subprocess
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

__all__ = [
    "ANSWER_S",
    "SHORT_ANSWER_S",
    "TIMED_OUT",
    "ask_ids",
    "engine_option",
    "error_line",
    "parse_ids",
    "plugin_name",
    "run_docker",
]

ANSWER_S: Final = 60
"""So long the engine may take for one answer."""

SHORT_ANSWER_S: Final = 10
"""The same where the command goes on without it."""

TIMED_OUT: Final = -1
"""In place of an exit code."""

_FAILED: Final = 1

F = TypeVar("F", bound=Callable[..., Any])


def engine_option(command: F) -> F:
    """Add ``--engine``."""
    return click.option(
        "--engine",
        type=click.File(errors="replace"),
        metavar="FILE",
        help="What the engine said, as the host's script writes it; - is stdin.  [default: ask docker]",
    )(command)


def plugin_name() -> str:
    """The plugin that is meant."""
    return os.environ.get("LOGBOOM_PLUGIN") or "logboom"


def run_docker(*words: str, seconds: int = ANSWER_S) -> subprocess.CompletedProcess[str]:
    """Run the docker client; it has failed with a sentence where it cannot be run or takes too long."""
    try:
        return subprocess.run(  # noqa: S603  (words of ours, and ids)
            ["docker", *words],  # noqa: S607
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, TIMED_OUT, "", f"no answer within {seconds} s")
    except OSError as error:
        return subprocess.CompletedProcess(words, _FAILED, "", f"docker: {error.strerror}")


def error_line(word: str, done: subprocess.CompletedProcess[str]) -> str:
    """What is handed on in place of an answer."""
    said = " ".join(done.stderr.split()) or f"docker ended with {done.returncode}"
    return f"{word}-error {said}"


def ask_ids() -> str:
    """Which containers this host's engine has, running or not, as ``parse_ids`` reads it."""
    listed = run_docker("ps", "--all", "--quiet", "--no-trunc", seconds=SHORT_ANSWER_S)
    if listed.returncode:
        return error_line("ids", listed)
    return f"ids {' '.join(listed.stdout.split())}"


def parse_ids(text: str) -> frozenset[str] | None:
    """The ids of the containers that the engine has; ``None``: it was not asked, or has not answered.

    Args:
        text: a line of ``ids`` and all of them, or of ``ids-error`` and a sentence.
    """
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "ids":
            return frozenset(rest.split())
    return None
