"""Each command and option is documented, and nothing else is."""

import itertools
import re
import shlex
from pathlib import Path

import click
import pytest

from logboom.cli import COMMANDS, FAILED, INTERRUPTED, logboom

ROOT = Path(__file__).parents[3]

TEXT = (ROOT / "docs" / "cli.md").read_text()


def section(heading: str) -> str:
    """What stands under a heading, up to the next one."""
    _, found, rest = TEXT.partition(f"\n## {heading}\n")
    assert found, f"docs/cli.md has no heading {heading!r}"
    return rest.split("\n## ")[0]


def command_named(name: str) -> click.Command:
    command = logboom.get_command(click.Context(logboom), name)
    assert command is not None
    return command


def options_of(command: click.Command) -> set[str]:
    return {
        option
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_row_and_no_other_has_one(name: str) -> None:
    rows = re.findall(r"^\| (`-[^|]+) \|", section(name), re.MULTILINE)
    documented = {option.split()[0] for row in rows for option in re.findall(r"`(-[^`]+)`", row)}
    assert documented == options_of(command_named(name))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_a_first_line_and_examples(name: str) -> None:
    told = command_named(name).get_help(click.Context(command_named(name), info_name=name))
    assert f"logboom {name}" in told.partition("Options:")[0]
    assert f"[`{name}`](#{name})" in TEXT


@pytest.mark.parametrize("code", [0, FAILED, click.UsageError.exit_code, INTERRUPTED])
def test_every_exit_code_has_a_row(code: int) -> None:
    assert f"| {code} |" in section("Exit codes")


def examples() -> list[str]:
    """Lines that call a command: in blocks of all pages, and in what the commands say of themselves. No synopses."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
    texts = [path.read_text() for path in pages]
    contexts = [(command_named(name), name) for name in COMMANDS]
    texts += [
        command.get_help(click.Context(command, info_name=name)) for command, name in contexts
    ]
    texts.append(logboom.get_help(click.Context(logboom)))
    found = re.findall(r"^ *logboom ([a-z]+ .*)$", "\n".join(texts), re.MULTILINE)
    return sorted({example for example in found if "..." not in example and "[-" not in example})


@pytest.mark.parametrize("example", examples())
def test_every_example_is_understood(example: str) -> None:
    words = shlex.split(example.partition("  ")[0], comments=True)
    name, *arguments = itertools.takewhile(lambda word: word not in {"|", ">"}, words)
    command_named(name).make_context(name, arguments)
