"""The JSON documents that dockerd sends, checked and turned into values.

The names are those of Go's structures (``daemon/logger/plugin.go``, ``loginfo.go``). A key that is not known is
passed over, for later engines send more; a missing key is empty, and so is ``null``, which Go writes for an empty list
or map; only ``Tail`` is then all there is. All else is an error that says what is wrong and where.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeAlias

from logboom.errors import RequestError, ValueSyntaxError
from logboom.instants import parse_instant_ns

__all__ = [
    "CONTAINER_ID_LIMIT",
    "FILE_LIMIT_BYTES",
    "ContainerInfo",
    "ReadLogs",
    "StartLogging",
    "StopLogging",
    "parse_read_logs",
    "parse_start_logging",
    "parse_stop_logging",
]

CONTAINER_ID_LIMIT: Final = 128
"""Characters. Docker's have 64; a file name has room for 255."""

FILE_LIMIT_BYTES: Final = 4095
"""``PATH_MAX`` with its final NUL."""

TAIL_LIMIT: Final = 2**63 - 1
"""More entries than this no stream ever has; a larger ``Tail`` means all of them."""

_CONTAINER_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", re.ASCII)

_Object: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerInfo:
    """``Info``: the container that a session or a read is about. Its ``repr``, which may end in a log, is the id."""

    container_id: str
    name: str = field(repr=False)
    """Without Docker's leading slash."""
    entrypoint: str = field(repr=False)
    arguments: tuple[str, ...] = field(repr=False)
    image_id: str = field(repr=False)
    image_name: str = field(repr=False)
    created: str = field(repr=False)
    environment: tuple[str, ...] = field(repr=False)
    """All of the container's environment, secrets too: nothing may keep or show it that was not asked to."""
    labels: Mapping[str, str] = field(repr=False)
    daemon_name: str = field(repr=False)
    log_opts: Mapping[str, str] = field(repr=False)

    @property
    def command(self) -> str:
        """Path and arguments, with spaces between."""
        return " ".join((self.entrypoint, *self.arguments))


@dataclass(frozen=True, slots=True)
class StartLogging:
    """The request of that name."""

    file: str
    info: ContainerInfo


@dataclass(frozen=True, slots=True)
class StopLogging:
    """The request of that name."""

    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLogs:
    """The request of that name, as far as it matters: the stream is found by the container alone."""

    container_id: str
    tail: int | None
    since_ns: int | None
    until_ns: int | None
    follow: bool


def parse_start_logging(body: bytes) -> StartLogging:
    """Read the body of ``/LogDriver.StartLogging``.

    Raises:
        RequestError: it is not what dockerd sends, or is empty.
    """
    document = _parse(body)
    return StartLogging(_file(document), _info(_object(document, "Info")))


def parse_stop_logging(body: bytes) -> StopLogging:
    """Read the body of ``/LogDriver.StopLogging``.

    Raises:
        RequestError: it is not what dockerd sends, or is empty.
    """
    return StopLogging(_file(_parse(body)))


def parse_read_logs(body: bytes) -> ReadLogs:
    """Read the body of ``/LogDriver.ReadLogs``.

    Raises:
        RequestError: it is not what dockerd sends, or is empty.
    """
    document = _parse(body)
    config = _object(document, "Config")
    tail = _integer(config, "Config.Tail", default=-1)
    return ReadLogs(
        container_id=_container_id(_object(document, "Info")),
        tail=tail if 0 <= tail <= TAIL_LIMIT else None,
        since_ns=_instant_ns(config, "Config.Since"),
        until_ns=_instant_ns(config, "Config.Until"),
        follow=_boolean(config, "Config.Follow"),
    )


def _parse(body: bytes) -> _Object:
    if not body:
        # dockerd sends a request again with an empty body when the connection broke after it had been written; if
        # this were taken for a success, it would believe that a log is kept which nobody keeps.
        raise RequestError(
            400,
            "the plugin ended before it had answered, and dockerd's second request has no body: please try once more",
        )
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        # The error's own text may quote what was sent.
        place = (
            f" (line {error.lineno}, column {error.colno})"
            if isinstance(error, json.JSONDecodeError)
            else ""
        )
        raise RequestError(400, f"the request is not JSON{place}") from None
    if not isinstance(document, dict):
        raise RequestError(400, f"the request must be a JSON object, not {_kind(document)}")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _info(info: _Object) -> ContainerInfo:
    return ContainerInfo(
        container_id=_container_id(info),
        name=_string(info, "Info.ContainerName").removeprefix("/"),
        entrypoint=_string(info, "Info.ContainerEntrypoint"),
        arguments=_strings(info, "Info.ContainerArgs"),
        image_id=_string(info, "Info.ContainerImageID"),
        image_name=_string(info, "Info.ContainerImageName"),
        created=_string(info, "Info.ContainerCreated"),
        environment=_strings(info, "Info.ContainerEnv"),
        labels=_string_map(info, "Info.ContainerLabels"),
        daemon_name=_string(info, "Info.DaemonName"),
        log_opts=_string_map(info, "Info.Config"),
    )


def _file(document: _Object) -> str:
    file = _string(document, "File")
    if not file:
        raise RequestError(400, "File is missing; it is the path of the FIFO to read")
    if len(file.encode()) > FILE_LIMIT_BYTES:
        raise RequestError(400, f"File is over {FILE_LIMIT_BYTES} bytes long")
    if not file.startswith("/") or "\0" in file:
        raise RequestError(400, f"File {file!r} is not an absolute path")
    return file


def _container_id(info: _Object) -> str:
    container_id = _string(info, "Info.ContainerID")
    if not container_id:
        raise RequestError(400, "Info.ContainerID is missing; it says whose log this is")
    if len(container_id) > CONTAINER_ID_LIMIT or not _CONTAINER_ID.fullmatch(container_id):
        raise RequestError(
            400,
            f"Info.ContainerID {container_id[:CONTAINER_ID_LIMIT]!r} cannot name a folder; it may have letters, digits,"
            f" '_', '.' and '-', the first a letter or digit, and at most {CONTAINER_ID_LIMIT} characters",
        )
    return container_id


# --- one value of an object, by its path in the document -----------------------------------------------------------


def _get(values: _Object, path: str) -> object:
    return values.get(path.rpartition(".")[2])


def _object(values: _Object, path: str) -> _Object:
    value = _get(values, path)
    if value is None:
        return {}
    return value if isinstance(value, dict) else _refuse(path, "an object", value)


def _string(values: _Object, path: str) -> str:
    value = _get(values, path)
    if value is None:
        return ""
    return _unicode(value) if isinstance(value, str) else _refuse(path, "a string", value)


def _strings(values: _Object, path: str) -> tuple[str, ...]:
    value = _get(values, path)
    if value is None:
        return ()
    if not isinstance(value, list):
        _refuse(path, "a list of strings", value)
    return tuple(
        _unicode(each) if isinstance(each, str) else _refuse(path, "a list of strings", each)
        for each in value
    )


def _string_map(values: _Object, path: str) -> dict[str, str]:
    return {
        _unicode(key): _unicode(value)
        if isinstance(value, str)
        else _refuse(f"{path}.{key[:64]}", "a string", value)
        for key, value in _object(values, path).items()
    }


def _integer(values: _Object, path: str, *, default: int) -> int:
    value = _get(values, path)
    if value is None:
        return default
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer else _refuse(path, "a whole number", value)  # type: ignore[return-value]


def _boolean(values: _Object, path: str) -> bool:
    value = _get(values, path)
    if value is None:
        return False
    return value if isinstance(value, bool) else _refuse(path, "true or false", value)


def _instant_ns(values: _Object, path: str) -> int | None:
    text = _string(values, path)
    try:
        return parse_instant_ns(text) if text else None
    except ValueSyntaxError as error:
        raise RequestError(400, f"{path}: {error}") from None


def _refuse(path: str, wanted: str, value: object) -> NoReturn:
    raise RequestError(400, f"{path} must be {wanted}, not {_kind(value)}")


def _kind(value: object) -> str:
    """What a value is in JSON, without showing it."""
    if isinstance(value, bool):
        return "true or false"
    if value is None:
        return "null"
    names = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names[type(value)]


def _unicode(text: str) -> str:
    r"""JSON can hold half a surrogate pair (``\ud800``), which no UTF-8 can: it becomes U+FFFD, as in Go."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
