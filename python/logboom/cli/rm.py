"""``logboom rm``: the end of logs of containers that have ended."""

import sys
from collections.abc import Sequence
from typing import Final

import click

from logboom._core import Container
from logboom.cli import FAILED
from logboom.cli.containers import select
from logboom.cli.output import show, show_bytes, show_time, table
from logboom.cli.rows import Row, read_row
from logboom.cli.session import forget
from logboom.cli.store import data_option, open_view
from logboom.cli.worker import WorkerGoneError, ask, stream_path
from logboom.telemetry import printable

__all__ = ["rm"]

_HEAD: Final = ("NAME", "ID", "IMAGE", "LAST", "ENTRIES", "STORED")
_RIGHT: Final = (4, 5)

_UNKNOWN: Final = "Whether a container itself was removed only the engine knows. Of one that still exists, docker logs shows nothing any more.\n"

_NO_WORKER: Final = (
    "Only a worker removes logs, since it holds the store. Enable the plugin: docker plugin enable --timeout 0 logboom.\n"
    "For a copy that no plugin uses, run one meanwhile: logboom serve --data DIR --socket DIR/plugin.sock"
)


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@data_option
def rm(names: tuple[str, ...], force: bool, data: str | None) -> int:
    """Remove the logs of containers that have ended, for good.

    NAME is as for logs: a name means all containers that bore it. Logs of containers that run stay.

    \b
    logboom rm web             asks
    logboom rm -f 'test-*'     asks nothing
    """
    view = open_view(data)
    chosen = select(view.containers(), names, last=False)
    running = [container for container in chosen if container.is_active]
    rows = [read_row(view, container) for container in chosen if not container.is_active]
    for container in running:
        _warn(container, "it runs; its log stays")
    if not rows or not (force or _is_wanted(rows)):
        return FAILED
    kept_count = sum(not _remove(view.folder, row.container) for row in rows)
    return FAILED if running or kept_count else 0


def _is_wanted(rows: Sequence[Row]) -> bool:
    """Ask whoever sits there.

    Raises:
        click.ClickException: nobody does.
    """
    if not sys.stdin.isatty():
        raise click.ClickException(
            "rm asks before it removes anything, and there is no terminal to ask at; --force removes without a question"
        )
    show(table(_HEAD, [_cells(row) for row in rows], right=_RIGHT) + _UNKNOWN)
    is_wanted = click.confirm(f"Remove {'this log' if len(rows) == 1 else 'these logs'} for good?")
    if not is_wanted:
        click.echo("Nothing was removed.", err=True)
    return is_wanted


def _cells(row: Row) -> list[str]:
    return [
        row.container.name,
        row.container.short_id,
        row.container.image or "-",
        show_time(row.last_ns, utc=False),
        f"{row.entry_count:,}",
        show_bytes(row.stored_bytes),
    ]


def _remove(folder: str, container: Container) -> bool:
    """Whether it is gone.

    Raises:
        click.ClickException: there is no worker.
    """
    try:
        reply = ask(folder, "DELETE", stream_path(container.container_id))
    except WorkerGoneError as error:
        raise click.ClickException(f"{error}\n{_NO_WORKER}") from None
    if reply.status == 200:
        forget(folder, container.container_id)
        show(printable(f"removed {container.name} ({container.short_id})") + "\n")
        return True
    _warn(container, str(reply.document["detail"]))
    return False


def _warn(container: Container, what: str) -> None:
    click.echo(printable(f"Warning: {container.name} ({container.short_id}): {what}"), err=True)
