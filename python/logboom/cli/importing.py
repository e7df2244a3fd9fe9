"""``logboom import``: logs that Docker's json-file driver has kept."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from logboom._core import LogboomError, StoreView
from logboom.cli import FAILED
from logboom.cli.containers import SHORT_ID_LENGTH
from logboom.cli.json_logs import (
    Damage,
    JsonLog,
    JsonLogError,
    OtherDriverError,
    find_in_folder,
    of_files,
)
from logboom.cli.output import write_all
from logboom.cli.session import Service, SessionError, find_service, is_unfinished, session
from logboom.telemetry import printable

__all__ = ["import_logs"]


@click.command("import")
@click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--name", metavar="NAME", help="The container's name, for files.")
@click.option("--id", "container_id", metavar="ID", help="Its id, if the files' names have none.")
def import_logs(paths: tuple[Path, ...], name: str | None, container_id: str | None) -> int:
    """Take over logs that Docker's json-file driver has kept.

    PATH is the folder of a container, whose name, image and labels are taken over, or all PATHs are the files of one log. The plugin must
    be enabled, and a container must not run. One that is in the store already is passed over.

    \b
    logboom import /var/lib/docker/containers/*/
    logboom import --name web /backup/3f2a...-json.log*
    """
    for path in paths:
        if not path.exists():
            raise click.UsageError(f"{path} does not exist")
    folders = [path for path in paths if path.is_dir()]
    if len(folders) not in {0, len(paths)}:
        raise click.UsageError("give either folders of containers or files of one log, not both")
    if folders and (name or container_id):
        raise click.UsageError("--name and --id are for files; a folder tells both")
    if not folders and not name:
        raise click.UsageError("files need --name; or give the folder of a container")
    try:
        service = find_service()
    except SessionError as error:
        raise click.ClickException(str(error)) from None
    imports = Imports(service, StoreView.open(data=service.data, fifo_root=None))
    if name:
        is_done = imports.run(name, lambda: of_files(paths, name, container_id))
    else:
        done = [imports.run(str(folder), partial(find_in_folder, folder)) for folder in folders]
        is_done = all(done)
    return 0 if is_done else FAILED


class Imports:
    """Takes over one log after the other, and says what became of each.

    Args:
        service: who keeps them.
        view: its store.
    """

    def __init__(self, service: Service, view: StoreView) -> None:
        self._service = service
        self._view = view

    def run(self, label: str, find: Callable[[], JsonLog]) -> bool:
        """Find a log and take it over; ``False``: something is in the way."""
        damage = Damage()
        log = None
        try:
            log = find()
            label = f"{log.name} ({log.container_id[:SHORT_ID_LENGTH]})"
            said = self._take_over(log, damage)
        except OtherDriverError as error:
            said = f"passed over: {error}"
        except (JsonLogError, SessionError, LogboomError, OSError, KeyboardInterrupt) as error:
            self._say(label, str(error) or "stopped", is_error=True)
            if log and is_unfinished(self._view.folder, log.container_id):
                advice = f"it is not whole: logboom rm {log.container_id}, then import it again"
                self._say(label, advice, is_error=True)
            if isinstance(error, KeyboardInterrupt):
                raise
            return False
        finally:
            for what in damage.told:
                self._say(label, f"passed over: {what}", is_error=True)
            if more := damage.count - len(damage.told):
                self._say(label, f"passed over: {more:,} more", is_error=True)
        self._say(label, said)
        return True

    def _take_over(self, log: JsonLog, damage: Damage) -> str:
        if log.is_running:
            raise JsonLogError("it runs: stop it first, since a log is imported once")
        folder, container_id = self._view.folder, log.container_id
        if self._view.describe(container_id=container_id) is not None:
            if is_unfinished(folder, container_id):
                raise JsonLogError("its import has not come to its end")
            return "passed over: it is in the store"
        entry_count = 0
        with session(self._service, folder, log.info) as fifo:
            for converted in log.read(damage):
                write_all(fifo, converted.frames)
                entry_count += converted.entry_count
        held = self._view.describe(container_id=container_id)
        kept_count = held.entry_count if held else 0
        if kept_count != entry_count:
            raise JsonLogError(
                f"of {entry_count:,} entries {kept_count:,} are in the store; its limits, or a full disk, have taken the others"
            )
        entries = "entry" if entry_count == 1 else "entries"
        files = "file" if len(log.paths) == 1 else "files"
        return f"{entry_count:,} {entries} from {len(log.paths)} {files}"

    def _say(self, label: str, text: str, *, is_error: bool = False) -> None:
        # Names, and reasons that quote files, may hold anything.
        click.echo(printable(f"{label}: {text}"), err=is_error)
