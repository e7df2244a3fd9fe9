"""The command line: ``logboom serve`` and ``logboom --version``.

The heavy imports come after the arguments are known, for dockerd waits while we start.
"""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from logboom.settings import SETTINGS, read_settings
from logboom.telemetry import start_log

__all__ = ["main"]

FAILED: Final = 1
"""The exit code of a service that could not run; the supervisor starts it again, less and less often."""

_log: Final = logging.getLogger("logboom")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code of the process."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.version:
        # It is written down once, in Cargo.toml, so the core knows it.
        from logboom._core import version  # noqa: PLC0415

        sys.stdout.write(f"logboom {version()}\n")
        return 0
    if given.command is None:
        parser.error("a command is missing; the one there is: serve")
    return _serve({"data": given.data, "socket": given.socket, "fifo_root": given.fifo_root})


def _serve(command_line: Mapping[str, str | None]) -> int:
    settings, faults = read_settings(os.environ, command_line)
    start_log(settings.log_level)
    for fault in faults:
        _log.error("setting %s", fault)

    from logboom import _core, app  # noqa: PLC0415
    from logboom.errors import SettingError  # noqa: PLC0415

    code = 0
    try:
        app.run(settings, faults)
    except* (SettingError, _core.LogboomError) as group:
        for error in group.exceptions:
            _log.error("%s", error)
        code = FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    defaults = {
        setting.field: f"{setting.variable}, or {setting.default!r}" for setting in SETTINGS
    }
    parser = argparse.ArgumentParser(prog="logboom", description="A Docker logging plugin.")
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="keep the logs of Docker's containers",
        description="Keep the logs of Docker's containers. All other settings are LOGBOOM_* variables.",
    )
    serve.add_argument(
        "--data", metavar="DIR", help=f"where the logs are kept (default: {defaults['data']})"
    )
    serve.add_argument(
        "--socket",
        metavar="PATH|fd://N",
        help=f"the Unix socket for dockerd, or one that is handed down (default: {defaults['socket']})",
    )
    serve.add_argument(
        "--fifo-root",
        metavar="PREFIX",
        help=f"put before every path that dockerd names (default: {defaults['fifo_root']})",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
