"""``logboom verify``: looks whether a store is damaged, and sets aside what is."""

import os
from typing import Final

import click

from logboom import _core
from logboom.cli.store import data_option, find_data
from logboom.telemetry import printable

__all__ = ["DAMAGED", "MENDED", "UNKNOWN", "WELL", "check_store", "verify"]

WELL: Final = 0
"""Nothing is damaged. The exit codes are those of fsck(8)."""

MENDED: Final = 1
"""Something was damaged, and all of it was set aside."""

DAMAGED: Final = 4
"""Something is damaged and still there."""

UNKNOWN: Final = 8
"""The store could not be looked at, or its damage could not be set aside."""

LINE_LIMIT: Final = 1000
"""Characters in a line: names and reasons come out of damaged files."""


def check_store(data: str, fifo_root: str, *, repair: bool) -> int:
    """Look at all files of a store and print what is damaged; returns the exit code.

    Args:
        data: the data folder.
        fifo_root: put before the paths of dockerd's FIFOs; sessions are written down beside them.
        repair: set aside what is damaged. No worker may run.
    """
    try:
        found = _core.verify(data=data, fifo_root=fifo_root, repair=repair)
    except _core.LogboomError as error:
        _say(f"logboom verify: {error}", is_error=True)
        if repair and "held by another process" in str(error):
            _say(
                "Setting damage aside needs a store that nobody writes to: disable the plugin first."
            )
        return UNKNOWN
    for finding in found.findings:
        _say(f"{finding.path}: byte {finding.offset}: {finding.what}")
    for old, new in found.set_aside:
        _say(f"{old}: set aside as {new}")
    _say(
        f"{found.streams} streams, {found.files} files, {found.entries} entries:"
        f" {len(found.findings) or 'no'} {'fault' if len(found.findings) == 1 else 'faults'}"
    )
    if not found.findings:
        return WELL
    return MENDED if repair else DAMAGED


def _say(text: str, *, is_error: bool = False) -> None:
    click.echo(printable(text)[:LINE_LIMIT], err=is_error)


@click.command()
@click.option(
    "--repair",
    is_flag=True,
    help="Set aside what is damaged. The plugin must be disabled meanwhile.",
)
@data_option
def verify(repair: bool, data: str | None) -> int:
    """Look whether a store is damaged.

    Each fault is a line with its file and byte. Nothing is changed, and the plugin may run meanwhile.

    With --repair damaged files are moved to DIR/damaged, under the names that they had; nothing is deleted. What takes their place is
    well, and says what is missing.

    The exit code is 0 when all is well, 1 when all that was damaged has been set aside, 4 when something is damaged, and 8 when the
    store could not be looked at, or is in use.

    \b
    logboom verify                      beside the plugin
    logboom verify --repair --data DIR  while it is disabled
    """
    return check_store(find_data(data), os.environ.get("LOGBOOM_FIFO_ROOT", ""), repair=repair)
