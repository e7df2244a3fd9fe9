"""What goes wrong on real hosts: each check is a function from facts to findings.

``docs/cli.md`` has a row for each, and a test holds it to that.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from logboom.cli.doctor.engine import Answers, Container, Unknown
from logboom.cli.doctor.facts import Facts
from logboom.cli.output import show_bytes
from logboom.cli.plugin import Plugin
from logboom.options import parse_options
from logboom.settings import read_settings

__all__ = ["CHECKS", "Finding", "NotCheckedError", "Report", "examine"]

STALE_FIFO_S: Final = 3600
"""A FIFO of no session is left alone for so long; the core's own rule (``ORPHAN_AGE``)."""

CLOCK_SLACK_S: Final = 60
"""Entries may be so much newer than this clock: two machines, or a leap of NTP."""

PAGE_BYTES: Final = 4096

DEFAULT_PIPE_BYTES: Final = 65_536
"""What the kernel gives a new FIFO (``pipe(7)``)."""

GROWN_PIPE_BYTES: Final = 1 << 20
"""What a busy FIFO grows to."""

_TIMEOUT_WHY: Final = (
    "the plugin was enabled without --timeout 0, so the engine ends each of its answers after 30 s, or the time that was given; a"
    " container keeps what was in force when it started"
)

_SHOWN_LIMIT: Final = 5

_MEMORY: Final = frozenset({"tmpfs", "ramfs"})

_WITHOUT_RESERVATION: Final = frozenset({"btrfs", "zfs", "bcachefs"})
"""They write anew what is changed, so that reserved room does not stay so."""

_ELSEWHERE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "glusterfs"}
)

T = TypeVar("T")


class NotCheckedError(Exception):
    """A check could not be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that an operator should know."""

    what: str
    why: str
    mend: str
    """Commands or settings; words where there is no command."""
    is_wrong: bool = True
    """Else it is worth knowing, and may be meant so."""


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks have said, by their names."""

    findings: Mapping[str, list[Finding]]
    """Of each check that was made; none where all is well."""
    not_checked: Mapping[str, str]
    """Why the others were not made."""

    @property
    def is_wrong(self) -> bool:
        """Whether anything is."""
        return any(each.is_wrong for found in self.findings.values() for each in found)


def examine(facts: Facts) -> Report:
    """Make all checks. Each takes its facts before it finds anything, so that nothing found is lost with one that is missing."""
    findings: dict[str, list[Finding]] = {}
    not_checked: dict[str, str] = {}
    for name, check in CHECKS.items():
        try:
            findings[name] = list(check(facts))
        except NotCheckedError as error:
            not_checked[name] = str(error)
    return Report(findings, not_checked)


def _known(fact: T | Unknown) -> T:
    """A fact.

    Raises:
        NotCheckedError: it is unknown.
    """
    if isinstance(fact, Unknown):
        raise NotCheckedError(fact.why)
    return fact


def _plugin(facts: Facts) -> Plugin:
    plugin = _known(facts.answers.plugin)
    if plugin is None:
        raise NotCheckedError(f"the engine has no plugin {facts.answers.name}")
    return plugin


def _ours(facts: Facts) -> list[Container]:
    return [each for each in _known(facts.answers.containers) if facts.answers.is_ours(each.driver)]


def _restart(answers: Answers, between: str = "") -> str:
    """The commands that disable and enable the plugin, under running containers."""
    return f"docker plugin disable -f {answers.name}; {between}docker plugin enable --timeout 0 {answers.name}"


def _names(containers: Sequence[Container]) -> str:
    return _listed([each.name for each in containers])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_LIMIT} more" if len(names) > _SHOWN_LIMIT else ""
    return ", ".join(names[:_SHOWN_LIMIT]) + more


def _check_plugin(facts: Facts) -> Iterator[Finding]:
    answers, plugin = facts.answers, _known(facts.answers.plugin)
    if plugin is None:
        yield Finding(
            f"the engine has no plugin {answers.name}",
            "no container can have it as its log driver; LOGBOOM_PLUGIN names it if it has another name",
            "make install",
        )
    elif not plugin.is_enabled:
        yield Finding(
            f"the plugin {answers.name} is disabled",
            "no container that uses it can start or end in order, and those that run wait when their FIFOs are full",
            f"docker plugin enable --timeout 0 {answers.name}",
        )


def _check_default_driver(facts: Facts) -> Iterator[Finding]:
    answers = facts.answers
    if not answers.is_ours(_known(answers.default_driver)):
        return
    plugin = _known(answers.plugin)
    if plugin is not None and plugin.is_enabled:
        yield Finding(
            f"{answers.name} is the default driver of the engine",
            "a dockerd that starts while the plugin is disabled, as in the midst of an upgrade, does not come up",
            "upgrade as docs/operating.md has it, and restart no dockerd meanwhile; way out: dockerd --log-driver json-file",
            is_wrong=False,
        )
    else:
        yield Finding(
            f"{answers.name} is the default driver of the engine, and cannot be used",
            "dockerd will not come up when it is started the next time",
            f"docker plugin enable --timeout 0 {answers.name}; where dockerd is down already: dockerd --log-driver json-file",
        )


def _check_enable_timeout(facts: Facts) -> Iterator[Finding]:
    probe, worker = facts.answers.probe, facts.worker
    if not isinstance(probe, Unknown):
        if not probe.has_ended:
            return
        followed = _names(
            [each for each in _ours(facts) if each.container_id.startswith(probe.container_id)]
        )
        if not probe.still_runs or probe.seconds == 0:
            raise NotCheckedError(
                f"the log of {followed} could not be followed, or it did not run all the time; try again"
            )
        yield Finding(
            f"docker logs -f of {followed} ends after {probe.seconds} s",
            _TIMEOUT_WHY,
            f"{_restart(facts.answers)}; docker restart {followed}",
        )
    elif isinstance(worker, Unknown):
        raise NotCheckedError(probe.why or worker.why)
    elif worker.metrics.get("logboom_followers_cut_at_30s_total", 0):
        yield Finding(
            "docker logs -f has ended after 30 s since the worker started",
            _TIMEOUT_WHY,
            f"{_restart(facts.answers)}; docker restart CONTAINER, of all that were started before",
        )
    else:
        raise NotCheckedError(
            probe.why
            or "no follower has ended at 30 s since the worker started, which proves nothing; --probe finds out"
        )


def _check_mounts(facts: Facts) -> Iterator[Finding]:
    plugin = _plugin(facts)
    for name, source, _ in plugin.mounts:
        wanted = plugin.set_sources.get(name, source)
        if wanted != source:
            yield Finding(
                f"the mount {name} is set to {wanted}, and the engine mounts {source}",
                "docker plugin upgrade puts mounts back to their defaults, and says nothing; logs are kept in another folder since then",
                _restart(
                    facts.answers,
                    f"docker plugin set {facts.answers.name} {name}.source={wanted}; ",
                ),
            )
    data = read_settings(plugin.variables, {})[0].data
    kept = [destination for _, _, destination in plugin.mounts] + [plugin.propagated]
    if not any(f"{data}/".startswith(f"{folder}/") for folder in kept if folder):
        yield Finding(
            f"the data folder {data} is in no mount",
            "it is in the plugin's own root folder, which an upgrade deletes",
            _restart(
                facts.answers,
                f"docker plugin set {facts.answers.name} LOGBOOM_DATA=/data/logboom; ",
            ),
        )


def _check_worker(facts: Facts) -> Iterator[Finding]:
    if not isinstance(facts.worker, Unknown):
        return
    if not _plugin(facts).is_enabled:
        raise NotCheckedError(f"the plugin {facts.answers.name} is disabled")
    yield Finding(
        "the plugin is enabled, and its worker does not answer",
        f"its first process was killed or could not be started anew, which no engine tells, or the API cannot listen there: {facts.worker.why}",
        f"look why in the plugin's log (journalctl -u docker | grep plugin=); {_restart(facts.answers)}",
    )


def _check_readiness(facts: Facts) -> Iterator[Finding]:
    worker = _known(facts.worker)
    for name, sentence in worker.faults:
        yield Finding(
            f"{name}: {sentence}",
            "entries wait, are dropped, or may be lost by the next restart",
            "mend what it says; nothing needs a restart (docs/operating.md)",
        )
    for name, sentence in worker.warnings:
        if name != "engine-metrics":
            yield Finding(
                f"{name}: {sentence}",
                "logs are kept, but not as it was asked for",
                "mend what it says (docs/api.md)",
            )


def _check_dropped(facts: Facts) -> Iterator[Finding]:
    count = int(_known(facts.worker).metrics.get("logboom_dropped_entries_total", 0))
    if count:
        yield Finding(
            f"{count:,} entries were dropped since the worker started",
            "the store could not take them; an entry in each log says how many and why",
            "free or mend the disk; see the check readiness",
        )


def _check_metrics_socket(facts: Facts) -> Iterator[Finding]:
    for name, sentence in _known(facts.worker).warnings:
        if name == "engine-metrics":
            yield Finding(
                f"the engine's metrics cannot be had: {sentence}",
                "a dockerd that was restarted with live-restore has another socket than the one that is mounted in the plugin; nothing but these metrics is missing",
                _restart(facts.answers),
            )


def _check_other_drivers(facts: Facts) -> Iterator[Finding]:
    others = [
        each
        for each in _known(facts.answers.containers)
        if not facts.answers.is_ours(each.driver) and each.driver != "none"
    ]
    if others:
        counts = Counter(each.driver for each in others)
        drivers = ", ".join(f"{count} {driver}" for driver, count in counts.most_common())
        yield Finding(
            f"containers log elsewhere ({drivers}): {_names(others)}",
            "a container keeps the driver that it was created with, whatever the default is now",
            f"create them anew with --log-driver {facts.answers.name}, if their logs are wanted here",
            is_wrong=False,
        )


def _check_non_blocking(facts: Facts) -> Iterator[Finding]:
    found = [each for each in _ours(facts) if each.options.get("mode") == "non-blocking"]
    if found:
        yield Finding(
            f"mode=non-blocking: {_names(found)}",
            "dockerd drops their newest lines when they print faster than it hands on (max-buffer-size), and nobody counts them",
            "create them anew with --log-opt mode=blocking",
        )


def _check_log_options(facts: Facts) -> Iterator[Finding]:
    for container in _ours(facts):
        for mistake in parse_options(container.options)[1]:
            yield Finding(
                f"{container.name}: {mistake}",
                "the option has no effect, and the container does not start unless it has a log already",
                "create it anew without the option, or with the right one (docs/options.md)",
            )


def _check_sessions(facts: Facts) -> Iterator[Finding]:
    _known(facts.fifos)
    active = {each.container_id for each in _known(facts.streams) if each.is_active}
    lost = [each for each in _ours(facts) if each.is_running and each.container_id not in active]
    if lost:
        yield Finding(
            f"nobody reads what running containers print: {_names(lost)}",
            "their FIFOs went with an earlier plugin (disable -f; rm; create), or what was known of them is damaged; they wait when the FIFO is full",
            f"docker restart {' '.join(each.name for each in lost)}",
        )


def _check_stale_fifos(facts: Facts) -> Iterator[Finding]:
    stale = [
        each for each in _known(facts.fifos) if not each.is_known and each.age_s > STALE_FIFO_S
    ]
    if stale:
        yield Finding(
            f"FIFOs of no session: {_listed([each.name for each in stale])}",
            "dockerd leaves one when it is refused or killed; one that somebody still writes to makes its container wait",
            f"{_restart(facts.answers)} removes those that nobody writes to; the check sessions names containers that wait",
        )


def _check_disk_space(facts: Facts) -> Iterator[Finding]:
    disk, settings = _known(facts.disk), facts.settings
    least = settings.min_free_bytes
    if least is not None and disk.free_bytes < least:
        yield Finding(
            f"{show_bytes(disk.free_bytes)} are free at {disk.folder}, and LOGBOOM_MIN_FREE_BYTES is {show_bytes(least)}",
            "old logs go to make room, as far as the store holds more than that; when the disk is full, new lines are dropped",
            f"free the disk, or write max_bytes or min_free_bytes into {disk.folder}/logboom.toml",
        )


def _check_budget(facts: Facts) -> Iterator[Finding]:
    disk, settings = _known(facts.disk), facts.settings
    if settings.max_bytes is None:
        return
    held = int(_known(facts.worker).metrics.get("logboom_store_bytes", 0))
    room = held + disk.free_bytes - (settings.min_free_bytes or 0)
    if settings.max_bytes > room:
        yield Finding(
            f"LOGBOOM_MAX_BYTES is {show_bytes(settings.max_bytes)}, and the disk has room for {show_bytes(max(room, 0))}",
            "the disk is full before the limit is reached",
            f'max_bytes = "{max(room, 0) * 9 // 10 // 10**6}m" in {disk.folder}/logboom.toml',
        )


def _check_file_system(facts: Facts) -> Iterator[Finding]:
    disk = _known(facts.disk)
    kind = disk.file_system
    elsewhere = "mount a local disk there, or: " + _restart(
        facts.answers, f"docker plugin set {facts.answers.name} data.source=/another/folder; "
    )
    if kind in _MEMORY:
        yield Finding(
            f"{disk.folder} is on {kind}", "all logs are gone with the next boot", elsewhere
        )
    elif kind in _WITHOUT_RESERVATION:
        yield Finding(
            f"{disk.folder} is on {kind}",
            "it promises room that it may not have, so that more may be dropped when the disk gets full",
            f"leave room: LOGBOOM_MIN_FREE_BYTES, or min_free_bytes in {disk.folder}/logboom.toml",
            is_wrong=False,
        )
    elif kind in _ELSEWHERE or kind.startswith("fuse"):
        yield Finding(
            f"{disk.folder} is on {kind}",
            "containers wait as long as it does not answer, and it may reserve no room and lose what was synced",
            elsewhere,
            is_wrong=False,
        )


def _check_pipe_limits(facts: Facts) -> Iterator[Finding]:
    pipes, settings, worker = _known(facts.pipes), facts.settings, _known(facts.worker)
    if pipes.max_bytes < GROWN_PIPE_BYTES:
        yield Finding(
            f"fs.pipe-max-size is {pipes.max_bytes}",
            f"FIFOs of containers that print much cannot grow to {GROWN_PIPE_BYTES} bytes, which costs speed alone",
            f"sysctl -w fs.pipe-max-size={GROWN_PIPE_BYTES}",
        )
    sessions = worker.metrics.get("logboom_sessions", 0)
    wanted = settings.pipe_budget_bytes + int(sessions) * DEFAULT_PIPE_BYTES
    if 0 < pipes.user_soft_pages * PAGE_BYTES < wanted:
        yield Finding(
            f"fs.pipe-user-pages-soft is {pipes.user_soft_pages}, and FIFOs may want {wanted // PAGE_BYTES} pages",
            "FIFOs of containers that print much cannot grow, and other programs of root get tiny pipes",
            f"sysctl -w fs.pipe-user-pages-soft={2 * wanted // PAGE_BYTES}, or a smaller LOGBOOM_PIPE_BUDGET",
        )


def _check_clock(facts: Facts) -> Iterator[Finding]:
    latest = facts.now_ns + CLOCK_SLACK_S * 10**9
    ahead = [
        max(each.started_ns or 0, each.last_ns or 0) - facts.now_ns
        for each in _known(facts.streams)
        if max(each.started_ns or 0, each.last_ns or 0) > latest
    ]
    if ahead:
        yield Finding(
            f"logs are ahead of the clock ({len(ahead)} of them, by up to {max(ahead) // 10**9:,} s)",
            "the clock was set back since: --since, --until and limits of age go by times that are not to be trusted there, and docker logs --until ends early",
            "let the clock be set once, at boot, and then only slewed (chronyd, systemd-timesyncd)",
        )


CHECKS: Final[Mapping[str, Callable[[Facts], Iterator[Finding]]]] = {
    "plugin": _check_plugin,
    "default-driver": _check_default_driver,
    "enable-timeout": _check_enable_timeout,
    "mounts": _check_mounts,
    "worker": _check_worker,
    "readiness": _check_readiness,
    "dropped": _check_dropped,
    "metrics-socket": _check_metrics_socket,
    "other-drivers": _check_other_drivers,
    "non-blocking": _check_non_blocking,
    "log-options": _check_log_options,
    "sessions": _check_sessions,
    "stale-fifos": _check_stale_fifos,
    "disk-space": _check_disk_space,
    "budget": _check_budget,
    "file-system": _check_file_system,
    "pipe-limits": _check_pipe_limits,
    "clock": _check_clock,
}
"""Every check by its name, in the order in which they are told."""
