"""Where the store is."""

import json
import os
import resource
import subprocess
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from logboom._core import StoreView

__all__ = ["data_option", "find_data", "open_view"]

DEFAULT_DATA: Final = "/var/log/logboom"
"""Where the plugin keeps logs on the host, unless its mount was changed."""

DOCKER_TIMEOUT_S: Final = 10
"""So long an engine may take to say where the plugin's data is."""

F = TypeVar("F", bound=Callable[..., Any])


def data_option(command: F) -> F:
    """Add ``--data``."""
    return click.option(
        "--data",
        metavar="DIR",
        help="The data folder.  [default: LOGBOOM_DATA, or the plugin's, or /var/log/logboom]",
    )(command)


def open_view(data: str | None) -> StoreView:
    """The store in the data folder that is meant.

    Which containers run can be seen where dockerd's FIFOs are: in the plugin, which knows LOGBOOM_FIFO_ROOT.
    """
    # Each container that is read at the same time takes some files.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return StoreView.open(data=find_data(data), fifo_root=os.environ.get("LOGBOOM_FIFO_ROOT"))


def find_data(data: str | None) -> str:
    """The data folder: what was given, ``LOGBOOM_DATA``, the plugin's, or the default."""
    return data or os.environ.get("LOGBOOM_DATA") or _plugin_data() or DEFAULT_DATA


def _plugin_data() -> str | None:
    """Where the plugin's data folder is on this host, if there is a plugin."""
    plugin = os.environ.get("LOGBOOM_PLUGIN", "logboom")
    try:
        inspected = subprocess.run(  # noqa: S603
            ["docker", "plugin", "inspect", "--format={{json .Settings}}", plugin],  # noqa: S607
            capture_output=True,
            timeout=DOCKER_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    settings: dict[str, Any] = json.loads(inspected.stdout)
    variables = dict(variable.partition("=")[::2] for variable in settings["Env"])
    inside: str = variables["LOGBOOM_DATA"]
    for mount in settings["Mounts"]:
        if inside.startswith(mount["Destination"] + "/"):
            return str(mount["Source"]) + inside.removeprefix(mount["Destination"])
    return None
