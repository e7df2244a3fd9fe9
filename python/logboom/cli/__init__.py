"""The command line, one module a command. ``docs/cli.md`` documents it.

A command's module is imported when the command is used: ``logboom ls`` needs neither trio nor a server.
"""

import importlib
from collections.abc import Sequence
from typing import Final

import click

from logboom._core import InvalidArgumentError, LogboomError, version
from logboom.cli.output import ClosedPipeError

__all__ = ["COMMANDS", "FAILED", "INTERRUPTED", "main"]

FAILED: Final = 1
"""The exit code when something could not be done; messages say what. Of a command line that makes no sense it is 2."""

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C, as shells have it: 128 and the number of SIGINT."""

COMMANDS: Final = {
    "ls": "logboom.cli.ls:ls",
    "logs": "logboom.cli.logs:logs",
    "export": "logboom.cli.export:export",
    "import": "logboom.cli.importing:import_logs",
    "stats": "logboom.cli.stats:stats",
    "rm": "logboom.cli.rm:rm",
    "doctor": "logboom.cli.doctor:doctor",
    "serve": "logboom.cli.serve:serve",
    "verify": "logboom.cli.verify:verify",
}
"""Each command and where it is."""


class Commands(click.Group):
    """A group that imports a command when it is wanted."""

    # typing.override is younger than Python 3.11
    def list_commands(self, ctx: click.Context) -> list[str]:  # type: ignore[explicit-override]  # noqa: ARG002
        return list(COMMANDS)

    def get_command(  # type: ignore[explicit-override]
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version(), message="%(prog)s %(version)s")
def logboom() -> None:
    """The logs of Docker's containers, as Logboom keeps them.

    \b
    logboom ls                     all containers with a log, those that are gone too
    logboom logs -f --tail 10 web  as docker logs
    logboom logs 'web-*' db        several at once, in the order of time
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code of the process."""
    try:
        code = logboom.main(arguments, prog_name="logboom", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except ClosedPipeError:
        return 0
    except (LogboomError, OSError) as error:
        click.echo(f"Error: {_describe(error)}", err=True)
        return FAILED
    return code if isinstance(code, int) else 0


def _describe(error: LogboomError | OSError) -> str:
    match error:
        case InvalidArgumentError():
            return str(error).partition(": ")[2] or str(error)
        # What was written, for one, did not go where stdout goes: to a file on a full disk.
        case OSError(filename=str() as name, strerror=str() as reason):
            return f"{name}: {reason}"
        case OSError(strerror=str() as reason):
            return reason
    return str(error)
