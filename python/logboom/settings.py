"""What the operator sets for the whole service: ``LOGBOOM_*`` in the environment, and the command line over it.

``settings_file.py`` lets some of it change later. A plugin that does not start can keep dockerd from starting. So a setting that cannot be read never stops the start:
its default is used instead, and the fault is handed back to be reported. ``docs/options.md`` documents every setting.
"""

import grp
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from logboom.errors import ValueSyntaxError
from logboom.quantities import (
    parse_boolean,
    parse_count,
    parse_size_bytes,
    parse_unlimited_duration_s,
    parse_unlimited_size_bytes,
)
from logboom.telemetry import LEVELS

__all__ = ["SETTINGS", "SOCKET_FILE", "Setting", "Settings", "read_settings"]

SOCKET_FILE: Final = "api.sock"
"""The API's Unix socket in the data folder."""

BLOCK_SECONDS_LIMIT: Final = 86_400
"""A quiet session's last lines reach a ``.zst`` file within a day at the latest."""

SYNC_VALUES: Final = ("always", "1s", "off")
"""What the core knows."""

SOCKET_PATH_LIMIT_BYTES: Final = 107
"""``sun_path`` has 108 bytes with its final NUL."""

GROUP_ID_LIMIT: Final = 2**32 - 1
"""Group ids have 32 bits, and the highest stands for none."""

METRICS_CONTAINERS_LIMIT: Final = 10_000
"""Each name is two time series in Prometheus, and a scrape of so many takes a tenth of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a service, read and checked."""

    data: str
    """The data folder, an absolute path."""
    socket: str
    """Where to listen: the absolute path of a Unix socket, or ``fd://N`` for one that is handed down."""
    fifo_root: str
    """Put before every path that dockerd names."""
    max_size_bytes: int | None
    max_file: int
    max_age_s: int | None
    compress: bool
    max_bytes: int | None
    """What all streams together may take; the next three are limits over all streams, too."""
    min_free_bytes: int | None
    max_streams: int
    keep_ended_s: int | None
    block_seconds: int
    pipe_budget_bytes: int
    listen: tuple[str, int] | None
    """Where the API listens besides its Unix socket."""
    metrics_listen: tuple[str, int] | None
    """The same for ``/metrics``, ``/healthz`` and ``/readyz`` alone."""
    api_group_id: int | None
    """Who may use the API's Unix socket besides root."""
    metrics_containers: int
    sync: str
    """When entries are made to survive a power cut."""
    log_level: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its variable, the field that it fills, and how it is read."""

    variable: str
    field: str
    default: str
    parse: Callable[[str], Any]
    """Raises ``ValueSyntaxError``."""
    is_changeable: bool = True
    """It may stand in the settings file, too."""

    @property
    def key(self) -> str:
        """Its name there."""
        return self.variable.removeprefix("LOGBOOM_").lower()


def _parse_path(text: str) -> str:
    return os.path.abspath(text)  # noqa: PTH100  (pathlib has no way to do this without the file system)


def _parse_prefix(text: str) -> str:
    return _parse_path(text) if text.strip("/") else ""


def _parse_socket(text: str) -> str:
    if re.fullmatch(r"fd://[0-9]{1,6}", text):
        return text
    if "://" in text:
        raise ValueSyntaxError(f"{text!r} is neither the path of a socket nor fd:// with a number")
    path = _parse_path(text)
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT_BYTES:
        raise ValueSyntaxError(
            f"{path!r} is too long; a socket's path has at most {SOCKET_PATH_LIMIT_BYTES} bytes"
        )
    return path


def _parse_block_seconds(text: str) -> int:
    return parse_count(text, BLOCK_SECONDS_LIMIT)


def _parse_address(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    is_host = bool(host) and (is_bracketed or ":" not in host)
    if not colon or not is_host or re.fullmatch(r"[0-9]{1,5}", port) is None:
        raise ValueSyntaxError(f"{text!r} is no HOST:PORT, such as 127.0.0.1:9323 or [::1]:9323")
    if not 0 < int(port) < 65536:
        raise ValueSyntaxError(f"{text!r} has no port from 1 to 65535")
    return (host[1:-1] if is_bracketed else host), int(port)


def _parse_group(text: str) -> int | None:
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,10}", text):
        if int(text) >= GROUP_ID_LIMIT:
            raise ValueSyntaxError(f"{text!r} is no group's number")
        return int(text)
    try:
        return grp.getgrnam(text).gr_gid
    # ValueError: a name with a NUL in it.
    except (KeyError, ValueError):
        raise ValueSyntaxError(
            f"{text!r} is no group here; a plugin knows none of the host's: give its number"
        ) from None


def _parse_metrics_containers(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text) is None or int(text) > METRICS_CONTAINERS_LIMIT:
        raise ValueSyntaxError(f"{text!r} is no number from 0 to {METRICS_CONTAINERS_LIMIT}")
    return int(text)


def _parse_sync(text: str) -> str:
    if text not in SYNC_VALUES:
        raise ValueSyntaxError(f"{text!r} is not one of {', '.join(SYNC_VALUES)}")
    return text


def _parse_level(text: str) -> str:
    if text not in LEVELS:
        raise ValueSyntaxError(f"{text!r} is not one of {', '.join(LEVELS)}")
    return text


SETTINGS: Final = (
    Setting("LOGBOOM_DATA", "data", "/var/log/logboom", _parse_path, is_changeable=False),
    Setting(
        "LOGBOOM_SOCKET",
        "socket",
        "/run/docker/plugins/logboom.sock",
        _parse_socket,
        is_changeable=False,
    ),
    Setting("LOGBOOM_FIFO_ROOT", "fifo_root", "", _parse_prefix, is_changeable=False),
    Setting("LOGBOOM_MAX_SIZE", "max_size_bytes", "20m", parse_unlimited_size_bytes),
    Setting("LOGBOOM_MAX_FILE", "max_file", "5", parse_count),
    Setting("LOGBOOM_MAX_AGE", "max_age_s", "-1", parse_unlimited_duration_s),
    Setting("LOGBOOM_COMPRESS", "compress", "true", parse_boolean),
    Setting("LOGBOOM_MAX_BYTES", "max_bytes", "-1", parse_unlimited_size_bytes),
    Setting("LOGBOOM_MIN_FREE_BYTES", "min_free_bytes", "1g", parse_unlimited_size_bytes),
    Setting("LOGBOOM_MAX_STREAMS", "max_streams", "100000", parse_count),
    Setting("LOGBOOM_KEEP_ENDED", "keep_ended_s", "30d", parse_unlimited_duration_s),
    Setting(
        "LOGBOOM_BLOCK_SECONDS", "block_seconds", "300", _parse_block_seconds, is_changeable=False
    ),
    Setting(
        "LOGBOOM_PIPE_BUDGET", "pipe_budget_bytes", "32m", parse_size_bytes, is_changeable=False
    ),
    Setting("LOGBOOM_SYNC", "sync", "1s", _parse_sync, is_changeable=False),
    Setting("LOGBOOM_LISTEN", "listen", "", _parse_address, is_changeable=False),
    Setting("LOGBOOM_METRICS_LISTEN", "metrics_listen", "", _parse_address, is_changeable=False),
    Setting("LOGBOOM_API_GROUP", "api_group_id", "", _parse_group, is_changeable=False),
    Setting(
        "LOGBOOM_METRICS_CONTAINERS",
        "metrics_containers",
        "100",
        _parse_metrics_containers,
        is_changeable=False,
    ),
    Setting("LOGBOOM_LOG_LEVEL", "log_level", "info", _parse_level),
)
"""Every setting there is. A test holds ``docs/options.md`` and the plugin's manifest to it."""


def read_settings(
    environment: Mapping[str, str], command_line: Mapping[str, str | None]
) -> tuple[Settings, list[str]]:
    """All settings, and a sentence for each that could not be read.

    Args:
        environment: the process's variables; an empty one counts as not set.
        command_line: what was given there, by field name; ``None`` is not given. It wins.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for setting in SETTINGS:
        given = command_line.get(setting.field)
        source = setting.variable if given is None else f"--{setting.field.replace('_', '-')}"
        text = environment.get(setting.variable, "") if given is None else given
        try:
            values[setting.field] = setting.parse(text or setting.default)
        except ValueSyntaxError as error:
            values[setting.field] = setting.parse(setting.default)
            faults.append(f"{source}: {error}; using {setting.default!r}")
    faults += [
        f"{variable} is no setting of this version and has no effect"
        for variable in sorted(environment)
        if variable.startswith("LOGBOOM_")
        and variable not in {setting.variable for setting in SETTINGS}
    ]
    return Settings(**values), faults
