"""Where the store is."""

import os
import resource
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from logboom._core import StoreView
from logboom.cli.plugin import inspect_plugin

__all__ = [
    "DEFAULT_DATA",
    "data_option",
    "find_data",
    "given_data",
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
    return (plugin and plugin.on_host(plugin.data_inside)) or DEFAULT_DATA
