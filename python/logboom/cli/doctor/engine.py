"""What the engine says: asked by the docker client, here or by the host's script (``packaging/logboom``).

Inside the plugin there is neither a docker client nor the engine's socket. So what the engine says is a text, one answer a line, a
word and JSON behind it, which the client itself writes by ``--format``. The script asks the same in the same words; a test holds the two
together.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from logboom.cli.client import TIMED_OUT, error_line, run_docker
from logboom.cli.plugin import Plugin, parse_plugin

__all__ = [
    "Answers",
    "Container",
    "Probe",
    "Unknown",
    "ask_engine",
    "parse_answers",
]

PLUGIN_FORMAT: Final = "plugin {{json .}}"

INFO_FORMAT: Final = 'info {"driver": {{json .LoggingDriver}}}'

CONTAINER_FORMAT: Final = (
    'container {"id": {{json .Id}}, "name": {{json .Name}}, "running": {{and .State.Running (not .State.Restarting)}}, "started": {{json .State.StartedAt}}, '
    '"driver": {{json .HostConfig.LogConfig.Type}}, "options": {{json .HostConfig.LogConfig.Config}}}'
)
"""No environment is in it, for it holds passwords."""

STATE_FORMAT: Final = "{{.State.Running}} {{.State.StartedAt}}"
"""The same twice: the container has run all the time."""

PROBE_S: Final = 33
"""So long ``--probe`` follows a log: longer than the 30 s of ``docker plugin enable``, with room for a slow machine."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unknown:
    """In place of what could not be found out."""

    why: str


@dataclass(frozen=True, slots=True)
class Container:
    """A container that the engine has, and how it logs."""

    container_id: str
    name: str
    is_running: bool
    """And does not wait to be started again."""
    started: str
    """When, the last time, in RFC 3339."""
    driver: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Probe:
    """How long a log could be followed: of the container that was started last, since each keeps the time that was in force then."""

    container_id: str
    """The beginning of it."""
    seconds: int
    has_ended: bool
    """It ended by itself; else it was given up."""
    still_runs: bool
    """The container ran all the time, so that it was the engine who ended it."""


@dataclass(frozen=True, slots=True)
class Answers:
    """All that the engine said."""

    name: str
    """The plugin that was asked for."""
    plugin: Plugin | Unknown | None
    """``None``: there is none of that name."""
    default_driver: str | Unknown
    containers: Sequence[Container] | Unknown
    probe: Probe | Unknown

    def is_ours(self, driver: str) -> bool:
        """Whether a container's or an engine's log driver is the plugin."""
        names = {_tagged(self.name)}
        if isinstance(self.plugin, Plugin):
            names.add(self.plugin.name)
        return _tagged(driver) in names


def _tagged(name: str) -> str:
    """A plugin's name as the engine knows it."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def parse_answers(text: str) -> Answers:
    """Read what the engine said; a line that is of no use is passed over, and what is missing is unknown.

    Args:
        text: lines of a word and JSON, or of ``<word>-error`` and a sentence.
    """
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        found.setdefault(word, []).append(rest)

    def answer(word: str, read: Callable[[Any], T]) -> T | Unknown:
        """The one answer of a kind."""
        if word not in found:
            said = found.get(f"{word}-error", ["the docker client has not answered"])
            return Unknown(said[0])
        try:
            return read(json.loads(found[word][0]))
        except (ValueError, KeyError, TypeError) as error:
            return Unknown(f"the engine's answer ({word}) cannot be read: {error!r}")

    def containers(_: object) -> list[Container]:
        return [_container(json.loads(line)) for line in found.get("container", [])]

    plugin: Plugin | Unknown | None = answer("plugin", parse_plugin)
    if isinstance(plugin, Unknown) and "no such plugin" in plugin.why.lower():
        plugin = None
    is_unlisted = "container-error" in found
    return Answers(
        name=found.get("name", ["logboom"])[0],
        plugin=plugin,
        default_driver=answer("info", lambda info: str(info["driver"])),
        # An engine that has none says nothing of containers, but something of itself.
        containers=answer("container" if is_unlisted else "info", containers),
        probe=answer("probe", _probe) if found.keys() & {"probe", "probe-error"} else Unknown(""),
    )


def _container(told: Mapping[str, Any]) -> Container:
    return Container(
        container_id=told["id"],
        name=told["name"].removeprefix("/"),
        is_running=told["running"],
        started=told["started"],
        driver=told["driver"],
        options=told["options"] or {},
    )


def _probe(told: Mapping[str, Any]) -> Probe:
    return Probe(told["container"], told["seconds"], told["ended"], told["runs"])


def ask_engine(name: str, *, probes: bool) -> str:
    """What the engine of this machine says, as ``parse_answers`` reads it.

    Args:
        name: the plugin's.
        probes: follow a log for ``PROBE_S`` seconds.
    """
    lines = [
        f"name {name}",
        _answer("plugin", "plugin", "inspect", "--format", PLUGIN_FORMAT, name),
        _answer("info", "info", "--format", INFO_FORMAT),
        _containers(),
    ]
    if probes:
        lines.append(_follow(parse_answers("\n".join(lines))))
    return "\n".join(lines)


def _answer(word: str, *words: str) -> str:
    done = run_docker(*words)
    return done.stdout if done.returncode == 0 else error_line(word, done)


def _containers() -> str:
    listed = run_docker("ps", "--all", "--quiet")
    if listed.returncode:
        return error_line("container", listed)
    ids = listed.stdout.split()
    # Those that go meanwhile are told as an error, and matter no more.
    command = ("inspect", "--type", "container", "--format", CONTAINER_FORMAT)
    if not ids:
        return ""
    told = run_docker(*command, *ids)
    return told.stdout or error_line("container", told)


def _follow(answers: Answers) -> str:
    known = answers.containers
    running = [] if isinstance(known, Unknown) else [each for each in known if each.is_running]
    ours = max(
        (each for each in running if answers.is_ours(each.driver)),
        key=lambda each: each.started,
        default=None,
    )
    if ours is None:
        return "probe-error no container runs whose log the plugin keeps"
    state = ("inspect", "--format", STATE_FORMAT, ours.container_id)
    before = run_docker(*state).stdout
    begun_s = time.monotonic()
    done = run_docker("logs", "--follow", "--tail", "0", ours.container_id, seconds=PROBE_S)
    told = {
        "container": ours.container_id,
        "seconds": round(time.monotonic() - begun_s),
        "ended": done.returncode != TIMED_OUT,
        "runs": run_docker(*state).stdout == before,
    }
    return f"probe {json.dumps(told)}"
