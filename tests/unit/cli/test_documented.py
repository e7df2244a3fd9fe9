"""Each command and option is documented, and nothing else is."""

import re
from pathlib import Path

import click
import pytest

from logboom.cli import COMMANDS, FAILED, INTERRUPTED, logboom

TEXT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()


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
