"""Where the store is."""

import json
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from logboom._core import StoreView
from logboom.cli.client import SHORT_ANSWER_S, plugin_name, run_docker

__all__ = [
    "DEFAULT_DATA",
    "Plugin",
    "data_option",
    "find_data",
    "given_data",
    "inspect_plugin",
    "open_view",
]

DEFAULT_DATA: Final = "/var/log/logboom"
"""Where the plugin keeps logs on the host, unless its mount was changed."""

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


def given_data(data: str | None) -> str | None:
    """The data folder that somebody has named, which may be a copy from another host."""
    return data or os.environ.get("LOGBOOM_DATA")


def find_data(data: str | None) -> str:
    """The data folder: what was given, ``LOGBOOM_DATA``, the plugin's, or the default."""
    if given := given_data(data):
        return given
    plugin = inspect_plugin()
    return (plugin and plugin.data) or DEFAULT_DATA


@dataclass(frozen=True, slots=True)
class Plugin:
    """The plugin, as the engine on this host knows it."""

    name: str
    identifier: str
    is_enabled: bool
    data: str | None
    """Its data folder on this host; ``None``: it is in none of the plugin's mounts."""
    data_inside: str
    """The same, in the plugin."""


def inspect_plugin() -> Plugin | None:
    """Ask the engine for the plugin; ``None``: there is none, or no engine."""
    name = plugin_name()
    words = ("plugin", "inspect", "--format={{json .}}", name)
    inspected = run_docker(*words, seconds=SHORT_ANSWER_S)
    if inspected.returncode:
        return None
    plugin: dict[str, Any] = json.loads(inspected.stdout)
    variables = dict(variable.partition("=")[::2] for variable in plugin["Settings"]["Env"])
    # Another plugin has none.
    inside: str = variables.get("LOGBOOM_DATA", "")
    data = None
    # What the engine mounts is in Config: after an upgrade Settings has still what was set before.
    for mount in plugin["Config"]["Mounts"]:
        if inside.startswith(mount["Destination"] + "/"):
            data = str(mount["Source"]) + inside.removeprefix(mount["Destination"])
    return Plugin(name, plugin["Id"], plugin["Enabled"], data, inside)
