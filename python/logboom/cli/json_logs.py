"""Logs of Docker's json-file driver: where they are, whose they are, and their entries as frames.

Sources: moby, ``container/container.go`` (``config.v2.json``, ``hostconfig.json``), ``daemon/logger/jsonfilelog`` and
``daemon/logger/loggerutils/logfile.go`` (rotation: ``ID-json.log``, ``.1``, ``.2.gz``, the highest number is the oldest).
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, Final

from logboom._core import Converted, convert_json_file

__all__ = [
    "Damage",
    "Info",
    "JsonLog",
    "JsonLogError",
    "OtherDriverError",
    "find_in_folder",
    "of_files",
]

CHUNK_BYTES: Final = 4 << 20
"""So much is converted at a time, at most."""

LINE_LIMIT_BYTES: Final = 16 << 20
"""A longer line than this is none; the longest entry takes six times its bytes in JSON."""

DAMAGE_TOLD_LIMIT: Final = 20
"""So many places where a log is damaged are told; all are counted."""

CONFIG_LIMIT_BYTES: Final = 16 << 20
"""Docker's own file has some KiB, and each label and variable of the container."""

_LOG_NAME = re.compile(r"(?P<id>.+)-json\.log(?:\.(?P<number>\d+))?(?P<gz>\.gz)?", re.ASCII)

_DRIVER: Final = "json-file"

_LEFT_OUT_OPTION: Final = "compress"
"""With json-file it is about rotated files, which are not compressed by default; here it is about all."""

Info = dict[str, Any]
"""What dockerd tells a plugin of a container; ``Info`` of ``logboom.plugin.documents``."""


class JsonLogError(Exception):
    """A log cannot be imported; the message says why."""


class OtherDriverError(JsonLogError):
    """A container's log is another driver's."""


@dataclass(slots=True)
class Damage:
    """What of a log is no entry."""

    count: int = 0
    """Runs of bytes."""
    told: list[str] = field(default_factory=list)
    """A sentence for each of the first ones."""

    def add(self, count: int, sentences: Iterable[str]) -> None:
        """There is so much more, of which this is known."""
        self.count += count
        self.told.extend(islice(sentences, DAMAGE_TOLD_LIMIT - len(self.told)))


@dataclass(frozen=True, slots=True)
class JsonLog:
    """The log of one container."""

    info: Info
    paths: Sequence[Path]
    """Its files, oldest first."""
    is_running: bool

    @property
    def container_id(self) -> str:
        """Whose it is."""
        return str(self.info["ContainerID"])

    @property
    def name(self) -> str:
        """The container's name, or its id."""
        return str(self.info["ContainerName"]).removeprefix("/") or self.container_id

    def read(self, damage: Damage) -> Iterator[Converted]:
        """All entries as frames, some at a time.

        Args:
            damage: gets what is passed over.

        Raises:
            JsonLogError: a file cannot be read.
        """
        for path in self.paths:
            yield from _read_file(path, damage)


def find_in_folder(folder: Path) -> JsonLog:
    """The log in a container's own folder, which is ``/var/lib/docker/containers/ID`` on most hosts.

    Raises:
        OtherDriverError: the container's log is another driver's.
        JsonLogError: it is no such folder.
    """
    config = _read_document(folder / "config.v2.json")
    host = _read_document(folder / "hostconfig.json")
    container_id = _text(config, "ID")
    if not container_id:
        raise JsonLogError(f"{folder / 'config.v2.json'} names no container")
    info: Info = {
        "Config": {
            option: value
            for option, value in _texts_by_name(host, "LogConfig", "Config").items()
            if option != _LEFT_OUT_OPTION
        },
        "ContainerID": container_id,
        "ContainerName": _text(config, "Name"),
        "ContainerEntrypoint": _text(config, "Path"),
        "ContainerArgs": _texts(config, "Args"),
        "ContainerImageID": _text(config, "Image"),
        "ContainerImageName": _text(config, "Config", "Image"),
        "ContainerCreated": _text(config, "Created"),
        "ContainerEnv": _texts(config, "Config", "Env"),
        "ContainerLabels": _texts_by_name(config, "Config", "Labels"),
        "DaemonName": "docker",
    }
    driver = _text(host, "LogConfig", "Type")
    if driver != _DRIVER:
        raise OtherDriverError(f"its log driver is {driver or 'unknown'}, not {_DRIVER}")
    found = [
        path
        for path in folder.iterdir()
        if (match := _LOG_NAME.fullmatch(path.name)) and match["id"] == container_id
    ]
    is_running = _get(config, "State", "Running") is True
    return JsonLog(info, _oldest_first(found), is_running)


def of_files(paths: Sequence[Path], name: str, container_id: str | None) -> JsonLog:
    """The log that is in some files.

    Args:
        paths: in any order, if they are named as Docker names them; those that are not come last, as they were given.
        name: that of the container.
        container_id: ``None``: the files' names have it.

    Raises:
        JsonLogError: nothing tells the id, or a file cannot be read.
    """
    matches = [_LOG_NAME.fullmatch(path.name) for path in paths]
    ids = {match["id"] for match in matches if match}
    if container_id is None:
        if len(ids) != 1:
            raise JsonLogError("the names of the files do not tell the container's id: give --id")
        (container_id,) = ids
    ordered = _oldest_first(paths)
    info: Info = {
        "ContainerID": container_id,
        "ContainerName": name,
        "ContainerCreated": _first_time(ordered),
    }
    return JsonLog(info, ordered, is_running=False)


def _oldest_first(paths: Sequence[Path]) -> list[Path]:
    numbers: dict[Path, int] = {}
    for path in paths:
        match = _LOG_NAME.fullmatch(path.name)
        # Docker removes a file once it is compressed: where there are both, the compressed one may not be whole.
        if match and match["gz"] and path.with_suffix("") in paths:
            continue
        numbers[path] = int(match["number"] or 0) if match else 0
    return sorted(numbers, key=lambda path: -numbers[path])


def _first_time(paths: Sequence[Path]) -> str:
    """When the first entry was printed, as its line has it; ``""`` where no line can be read."""
    for path in paths:
        with _opened(path) as file:
            for line in _read_some(file).splitlines():
                try:
                    return str(json.loads(line)["time"])
                except (ValueError, LookupError, TypeError):
                    continue
    return ""


def _read_some(file: gzip.GzipFile | BufferedReader) -> bytes:
    try:
        return file.read1(CHUNK_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return b""


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    try:
        return gzip.open(path) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise JsonLogError(f"cannot open {path}: {error.strerror}") from None


def _read_file(path: Path, damage: Damage) -> Iterator[Converted]:
    with _opened(path) as file:
        rest, offset = b"", 0
        while True:
            try:
                # Of a compressed file that was cut, what came before the cut is given first.
                piece = file.read1(CHUNK_BYTES)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                damage.add(1, [f"{path}: byte {offset + len(rest)}, unpacked: {error}"])
                piece = b""
            except OSError as error:
                raise JsonLogError(f"cannot read {path}: {error.strerror}") from None
            lines = rest + piece
            # The last line may have no newline, or go on in the next piece.
            end = lines.rfind(b"\n") + 1 if piece else len(lines)
            if not end and len(lines) > LINE_LIMIT_BYTES:
                end = len(lines)
            converted = convert_json_file(lines[:end])
            damage.add(
                converted.damage_count,
                [f"{path}: byte {offset + at}: {what}" for at, what in converted.damage],
            )
            yield converted
            rest = lines[end:]
            offset += end
            if not piece:
                return


# --- Docker's own documents: whatever is not as expected counts as missing ------------------------------------------------


def _read_document(path: Path) -> object:
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_LIMIT_BYTES + 1)
    except OSError as error:
        raise JsonLogError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > CONFIG_LIMIT_BYTES:
        raise JsonLogError(f"{path} is over {CONFIG_LIMIT_BYTES} bytes long")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise JsonLogError(f"{path} is damaged: it is not JSON") from None


def _get(document: object, *path: str) -> object:
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _text(document: object, *path: str) -> str:
    value = _get(document, *path)
    return value if isinstance(value, str) else ""


def _texts(document: object, *path: str) -> list[str]:
    value = _get(document, *path)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _texts_by_name(document: object, *path: str) -> dict[str, str]:
    value = _get(document, *path)
    pairs = value.items() if isinstance(value, dict) else ()
    return {name: text for name, text in pairs if isinstance(text, str)}
