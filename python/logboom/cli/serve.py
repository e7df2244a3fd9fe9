"""``logboom serve``: the service itself, which the plugin runs."""

import logging
import os
from collections.abc import Iterator
from typing import Final

import click

from logboom.settings import SETTINGS, read_settings
from logboom.telemetry import start_log

__all__ = ["FAILED", "serve"]

FAILED: Final = 1
"""The exit code of a service that could not run; the supervisor starts it again, less and less often."""

_log: Final = logging.getLogger("logboom")

_DEFAULTS: Final = {
    setting.field: f"{setting.variable}, or {setting.default!r}" for setting in SETTINGS
}


@click.command()
@click.option("--data", metavar="DIR", help=f"Where logs are kept.  [default: {_DEFAULTS['data']}]")
@click.option(
    "--socket",
    metavar="PATH|fd://N",
    help=f"The Unix socket for dockerd, or one that is handed down.  [default: {_DEFAULTS['socket']}]",
)
@click.option(
    "--fifo-root",
    metavar="PREFIX",
    help=f"Put before every path that dockerd names.  [default: {_DEFAULTS['fifo_root']}]",
)
def serve(data: str | None, socket: str | None, fifo_root: str | None) -> int:
    """Keep the logs of Docker's containers.

    This is what the plugin runs. All other settings are LOGBOOM_* variables: see docs/options.md.

    \b
    logboom serve --data /var/log/logboom
    """
    command_line = {"data": data, "socket": socket, "fifo_root": fifo_root}
    settings, faults = read_settings(os.environ, command_line)
    start_log(settings.log_level)
    for fault in faults:
        _log.error("setting %s", fault)

    # The heavy imports come after the arguments are known, for dockerd waits while we start.
    from logboom import _core, app  # noqa: PLC0415
    from logboom.errors import SettingError  # noqa: PLC0415

    code = 0
    try:
        app.run(settings, faults)
    except* (SettingError, _core.LogboomError) as group:
        for error in _leaves(group):
            _log.error("%s", error)
        code = FAILED
    return code


def _leaves(group: BaseExceptionGroup) -> Iterator[BaseException]:
    """The errors themselves: each nursery that they came through is a group around them."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
