"""The plugin, as ``docker plugin inspect`` tells it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from logboom.cli.client import SHORT_ANSWER_S, plugin_name, run_docker

__all__ = ["Plugin", "inspect_plugin", "parse_plugin"]


@dataclass(frozen=True, slots=True)
class Plugin:
    """What the engine on this host knows of it."""

    identifier: str
    name: str
    """With its tag."""
    is_enabled: bool
    variables: Mapping[str, str]
    """Its settings."""
    mounts: Sequence[tuple[str, str, str]]
    """Name, source and destination of each, as an engine uses them (``Config``): after an upgrade ``Settings`` has still what was
    set before."""
    propagated: str
    """The destination of the propagated mount, which outlives an upgrade as the others do; empty: there is none."""
    set_sources: Mapping[str, str]
    """The sources that were asked for (``Settings``), by name."""

    @property
    def data_inside(self) -> str:
        """Its data folder, as it is named in the plugin; empty: it is another plugin."""
        return self.variables.get("LOGBOOM_DATA", "")

    def on_host(self, path: str) -> str | None:
        """How a path in the plugin is named on this host; ``None``: it is in none of the plugin's mounts."""
        for _, source, destination in self.mounts:
            if f"{path}/".startswith(f"{destination}/"):
                return source + path.removeprefix(destination)
        return None


def parse_plugin(told: Mapping[str, Any]) -> Plugin:
    """Read what the engine told.

    Raises:
        KeyError, TypeError: it is not what an engine tells.
    """
    settings, config = told["Settings"], told["Config"]
    return Plugin(
        identifier=told["Id"],
        name=told["Name"],
        is_enabled=told["Enabled"],
        variables=dict(variable.partition("=")[::2] for variable in settings["Env"] or ()),
        mounts=[
            (mount["Name"], mount["Source"] or "", mount["Destination"])
            for mount in config["Mounts"] or ()
        ],
        propagated=config["PropagatedMount"] or "",
        set_sources={mount["Name"]: mount["Source"] or "" for mount in settings["Mounts"] or ()},
    )


def inspect_plugin() -> Plugin | None:
    """Ask the engine for the plugin; ``None``: there is none, or no engine."""
    words = ("plugin", "inspect", "--format={{json .}}", plugin_name())
    inspected = run_docker(*words, seconds=SHORT_ANSWER_S)
    return None if inspected.returncode else parse_plugin(json.loads(inspected.stdout))
