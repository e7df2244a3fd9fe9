"""What the checks go by, and how it is found out. Nothing here judges, and nothing is changed."""

import json
import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from logboom._core import InvalidArgumentError, LogboomError, StorageError, StoreView
from logboom.cli.doctor.engine import Answers, Unknown
from logboom.cli.plugin import Plugin
from logboom.cli.worker import WorkerGoneError, ask
from logboom.settings import Settings, read_settings
from logboom.settings_file import SettingsFile

__all__ = ["Disk", "Facts", "Fifo", "PipeLimits", "Started", "Worker", "gather"]

FIFO_FOLDER: Final = "run/docker/logging"
"""Where dockerd makes FIFOs, below the FIFO root."""

RECORD_FOLDER: Final = "run/docker/logboom"
"""Where sessions are written down (``docs/format.md``)."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker says of itself."""

    faults: Sequence[tuple[str, str]]
    """Names and sentences of ``/readyz``."""
    warnings: Sequence[tuple[str, str]]
    metrics: Mapping[str, float]
    """Those without labels."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system of the data folder."""

    folder: str
    """The data folder, as an operator on the host has it."""
    file_system: str
    """Its type, as in ``/proc/self/mountinfo``."""
    free_bytes: int
    """Without what is reserved for root."""


@dataclass(frozen=True, slots=True)
class Fifo:
    """A FIFO that dockerd has made."""

    name: str
    age_s: float
    """Since something was written to it."""
    is_known: bool
    """A session of it is written down."""


@dataclass(frozen=True, slots=True)
class PipeLimits:
    """The kernel's limits for pipes (``pipe(7)``)."""

    max_bytes: int
    user_soft_pages: int
    """What all of root's pipes may have together; 0: no limit."""


@dataclass(frozen=True, slots=True)
class Started:
    """A stream, and when its container was last started and has last printed."""

    container_id: str
    is_active: bool | None
    started_ns: int | None
    last_ns: int | None
    """``None``, too, where it was not looked at, since only those of containers that run are, or cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the checks go by; what could not be found out is ``Unknown``."""

    now_ns: int
    answers: Answers
    worker: Worker | Unknown
    settings: Settings
    disk: Disk | Unknown
    fifos: Sequence[Fifo] | Unknown
    pipes: PipeLimits | Unknown
    streams: Sequence[Started] | Unknown


def gather(answers: Answers, data: str, fifo_root: str | None) -> Facts:
    """Find out all that can be found out from here.

    Args:
        answers: what the engine said.
        data: the data folder.
        fifo_root: put before every path that dockerd names; ``None``: FIFOs cannot be reached.
    """
    # ORDER: before anybody could have waited for the worker or the disk.
    now_ns = time.time_ns()
    view = _view(data, fifo_root)
    return Facts(
        now_ns=now_ns,
        answers=answers,
        worker=_worker(data if isinstance(view, Unknown) else view.folder),
        settings=_settings(answers, data),
        disk=_disk(data, data if fifo_root is None else _on_host(answers, data)),
        fifos=_fifos(fifo_root, now_ns),
        pipes=_pipes(),
        streams=view if isinstance(view, Unknown) else _streams(view),
    )


def _view(data: str, fifo_root: str | None) -> StoreView | Unknown:
    try:
        return StoreView.open(data=data, fifo_root=fifo_root)
    except InvalidArgumentError as error:
        return Unknown(str(error).partition(": ")[2])
    except LogboomError as error:
        return Unknown(str(error))


def _streams(view: StoreView) -> Sequence[Started] | Unknown:
    try:
        return [
            Started(
                container_id=stream.container_id,
                is_active=stream.is_active,
                started_ns=stream.last_started_ns,
                last_ns=_last_ns(view, stream.container_id) if stream.is_active else None,
            )
            for stream in view.streams()
        ]
    except LogboomError as error:
        return Unknown(str(error))


def _last_ns(view: StoreView, container_id: str) -> int | None:
    try:
        held = view.describe(container_id=container_id)
    except StorageError:
        # A damaged log must not hide that nobody reads another one.
        return None
    return held.last_ns if held else None


def _worker(folder: str) -> Worker | Unknown:
    # Some 20 ms, which no other command needs.
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    try:
        # ORDER: a scrape first; whether the engine's metrics can be had is known by the last one.
        metrics = ask(folder, "GET", "/metrics")
        ready = ask(folder, "GET", "/readyz")
    except WorkerGoneError as error:
        return Unknown(str(error))
    for reply, is_told in ((metrics, metrics.status == 200), (ready, b'"faults"' in ready.body)):
        if not is_told:
            return Unknown(f"the worker has no answer now: {reply.document['detail']}")
    told = ready.document
    return Worker(
        faults=_conditions(told["faults"]),
        warnings=_conditions(told["warnings"]),
        metrics={
            sample.name: sample.value
            for family in text_string_to_metric_families(metrics.body.decode(errors="replace"))
            for sample in family.samples
            if not sample.labels
        },
    )


def _conditions(told: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(each["name"], each["detail"]) for each in told]


def _settings(answers: Answers, data: str) -> Settings:
    """Those in force; mistakes among them, and a file that cannot be read, the worker tells."""
    variables = answers.plugin.variables if isinstance(answers.plugin, Plugin) else os.environ
    settings, _ = read_settings(variables, {"data": data})
    file = SettingsFile(settings)
    file.read()
    return file.settings


def _on_host(answers: Answers, data: str) -> str:
    """A folder in the plugin, as it is named on the host; the same where nothing tells what is mounted there."""
    plugin = answers.plugin
    return (isinstance(plugin, Plugin) and plugin.on_host(data)) or data


def _disk(data: str, shown: str) -> Disk | Unknown:
    try:
        held = os.statvfs(data)
        mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError as error:
        return Unknown(f"{data}: {error.strerror}")
    return Disk(
        folder=shown,
        file_system=_file_system(mounts, os.path.realpath(data)),
        free_bytes=held.f_bavail * held.f_frsize,
    )


def _file_system(mounts: str, folder: str) -> str:
    """The type of what is mounted at a folder or the nearest one above it (``proc_pid_mountinfo(5)``); the last one covers the others."""
    found = ("", "")
    for line in mounts.splitlines():
        place, _, source = line.partition(" - ")
        point = place.split(" ")[4].replace("\\040", " ").rstrip("/")
        if f"{folder}/".startswith(f"{point}/") and len(point) >= len(found[0]):
            found = point, source.split(" ")[0]
    return found[1]


def _fifos(fifo_root: str | None, now_ns: int) -> Sequence[Fifo] | Unknown:
    if fifo_root is None:
        return Unknown("FIFOs can be seen in the plugin alone")
    root = Path("/", fifo_root)
    try:
        # ORDER: a session that begins between the two looks has a young FIFO, and one that ends has none.
        known = {_fifo_of(record) for record in _files(root / RECORD_FOLDER)}
        return [
            Fifo(
                name=path.name,
                age_s=(now_ns - status.st_mtime_ns) / 10**9,
                is_known=path.name in known,
            )
            for path in _files(root / FIFO_FOLDER)
            if (status := _status(path)) and stat.S_ISFIFO(status.st_mode)
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        # Damaged records are told by the worker.
        return Unknown(f"sessions cannot be looked at: {error}")


def _files(folder: Path) -> list[Path]:
    """What is in a folder, which need not be there."""
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _fifo_of(record: Path) -> str:
    """The name of a session's FIFO; empty: the session has ended at this moment."""
    try:
        return Path(json.loads(record.read_bytes())["file"]).name
    except FileNotFoundError:
        return ""


def _pipes() -> PipeLimits | Unknown:
    limits = Path("/proc/sys/fs")
    try:
        return PipeLimits(
            max_bytes=int((limits / "pipe-max-size").read_text()),
            user_soft_pages=int((limits / "pipe-user-pages-soft").read_text()),
        )
    except OSError as error:
        return Unknown(str(error))
