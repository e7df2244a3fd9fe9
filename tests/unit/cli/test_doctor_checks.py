"""What ``logboom doctor`` finds in facts, and what it leaves alone."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from logboom.cli.doctor.checks import (
    CHECKS,
    CLOCK_SLACK_S,
    DEFAULT_PIPE_BYTES,
    GROWN_PIPE_BYTES,
    PAGE_BYTES,
    STALE_FIFO_S,
    Finding,
    examine,
)
from logboom.cli.doctor.engine import Answers, Container, Probe, Unknown
from logboom.cli.doctor.facts import Disk, Facts, Fifo, PipeLimits, Started, Worker
from logboom.cli.plugin import Plugin
from logboom.settings import read_settings

NOW_NS = 1_769_860_800 * 10**9
SECOND_NS = 10**9
WEB = "a" * 64
GIGABYTE = 10**9

PLUGIN = Plugin(
    identifier="0123",
    name="logboom:latest",
    is_enabled=True,
    variables={"LOGBOOM_DATA": "/data/logboom"},
    mounts=[("data", "/var/log", "/data")],
    propagated="/run/docker",
    set_sources={"data": "/var/log"},
)

CONTAINER = Container(
    WEB, "web", is_running=True, started="", driver="logboom", options={"max-size": "1m"}
)

ANSWERS = Answers(
    name="logboom",
    plugin=PLUGIN,
    default_driver="json-file",
    containers=[CONTAINER],
    probe=Probe(WEB[:12], 33, has_ended=False, still_runs=True),
)

WORKER = Worker(faults=[], warnings=[], metrics={"logboom_store_bytes": GIGABYTE})

FACTS = Facts(
    now_ns=NOW_NS,
    answers=ANSWERS,
    worker=WORKER,
    settings=read_settings({}, {})[0],
    disk=Disk("/data/logboom", "ext4", 100 * GIGABYTE),
    fifos=[Fifo("f" * 64, age_s=2 * STALE_FIFO_S, is_known=True)],
    pipes=PipeLimits(max_bytes=1 << 20, user_soft_pages=16384),
    streams=[Started(WEB, is_active=True, started_ns=NOW_NS - 9, last_ns=NOW_NS)],
)
"""Of a host where all is well."""


def but(facts: Facts = FACTS, **changed: Any) -> Facts:
    return replace(facts, **changed)


def but_answers(**changed: Any) -> Facts:
    return but(answers=replace(ANSWERS, **changed))


def but_plugin(**changed: Any) -> Facts:
    return but_answers(plugin=replace(PLUGIN, **changed))


def but_container(**changed: Any) -> Facts:
    return but_answers(containers=[replace(CONTAINER, **changed)])


def but_worker(**changed: Any) -> Facts:
    return but(worker=replace(WORKER, **changed))


def but_settings(**variables: str) -> Facts:
    return but(settings=read_settings(variables, {})[0])


def test_where_all_is_well_everything_is_checked_and_nothing_found() -> None:
    report = examine(FACTS)
    assert report.not_checked == {}
    assert report.findings == {name: [] for name in CHECKS}
    assert not report.is_wrong


RESTART = "docker plugin disable -f logboom; docker plugin enable --timeout 0 logboom"

WRONG: Mapping[str, tuple[Facts, str, str]] = {
    "no plugin": (but_answers(plugin=None), "plugin: the engine has no plugin", "make install"),
    "a disabled plugin": (
        but_plugin(is_enabled=False),
        "plugin: the plugin logboom is disabled",
        "docker plugin enable --timeout 0 logboom",
    ),
    "the default driver is disabled": (
        but_answers(default_driver="logboom:latest", plugin=replace(PLUGIN, is_enabled=False)),
        "default-driver: logboom is the default driver of the engine, and cannot be used",
        "dockerd --log-driver json-file",
    ),
    "a probe that ended at 30 s": (
        but_answers(probe=Probe(WEB[:12], 30, has_ended=True, still_runs=True)),
        "enable-timeout: docker logs -f of web ends after 30 s",
        f"{RESTART}; docker restart web",
    ),
    "followers that ended at 30 s": (
        but(
            answers=replace(ANSWERS, probe=Unknown("")),
            worker=replace(WORKER, metrics={"logboom_followers_cut_at_30s_total": 1.0}),
        ),
        "enable-timeout: docker logs -f has ended after 30 s",
        RESTART,
    ),
    "a mount that an upgrade has put back": (
        but_plugin(set_sources={"data": "/srv/log"}),
        "mounts: the mount data is set to /srv/log, and the engine mounts /var/log",
        "docker plugin set logboom data.source=/srv/log",
    ),
    "data in the plugin's root folder": (
        but_plugin(variables={}),
        "mounts: the data folder /var/log/logboom is in no mount",
        "LOGBOOM_DATA=/data/logboom",
    ),
    "a worker that does not answer": (
        but(worker=Unknown("no worker answers at x")),
        "worker: the plugin is enabled, and its worker does not answer",
        RESTART,
    ),
    "a fault": (
        but_worker(faults=[("store", "the disk is full")]),
        "readiness: store: the disk is full",
        "mend what it says",
    ),
    "a warning": (
        but_worker(warnings=[("settings", "LOGBOOM_X is no setting")]),
        "readiness: settings: LOGBOOM_X is no setting",
        "mend what it says",
    ),
    "dropped entries": (
        but_worker(metrics={"logboom_dropped_entries_total": 1200.0}),
        "dropped: 1,200 entries were dropped",
        "mend the disk",
    ),
    "a stale metrics socket": (
        but_worker(warnings=[("engine-metrics", "it is that of a dockerd that has ended")]),
        "metrics-socket: the engine's metrics cannot be had: it is that of a dockerd that has ended",
        RESTART,
    ),
    "a container that does not block": (
        but_container(options={"mode": "non-blocking"}),
        "non-blocking: mode=non-blocking: web",
        "mode=blocking",
    ),
    "an option of another driver": (
        but_container(options={"max-buffer": "1m"}),
        "log-options: web: log-opt 'max-buffer' is unknown; did you mean max-buffer-size?",
        "create it anew",
    ),
    "an option that cannot be read": (
        but_container(options={"max-size": "large"}),
        "log-options: web: log-opt max-size: ",
        "create it anew",
    ),
    "a container that nobody reads": (
        but(streams=[replace(FACTS.streams[0], is_active=False)]),  # type: ignore[index]
        "sessions: nobody reads what running containers print: web",
        "docker restart web",
    ),
    "a FIFO of no session": (
        but(fifos=[Fifo("f" * 64, age_s=STALE_FIFO_S + 1, is_known=False)]),
        "stale-fifos: FIFOs of no session: ffffffffffff",
        RESTART,
    ),
    "a disk that is nearly full": (
        but(disk=Disk("/data/logboom", "ext4", GIGABYTE - 1)),
        "disk-space: 1GB are free at /data/logboom",
        "/data/logboom/logboom.toml",
    ),
    "a budget above what is there": (
        but_settings(LOGBOOM_MAX_BYTES="101g"),
        "budget: LOGBOOM_MAX_BYTES is 101GB, and the disk has room for 100GB",
        'max_bytes = "90000m"',
    ),
    "data in memory": (
        but(disk=Disk("/data/logboom", "tmpfs", 100 * GIGABYTE)),
        "file-system: /data/logboom is on tmpfs",
        "data.source=",
    ),
    "pipes that cannot grow": (
        but(pipes=PipeLimits(GROWN_PIPE_BYTES - 1, 16384)),
        "pipe-limits: fs.pipe-max-size is 1048575",
        "sysctl -w fs.pipe-max-size=1048576",
    ),
    "pipes that are too many": (
        but(pipes=PipeLimits(GROWN_PIPE_BYTES, 32_000_000 // PAGE_BYTES - 1)),
        "pipe-limits: fs.pipe-user-pages-soft is 7811",
        "sysctl -w fs.pipe-user-pages-soft=",
    ),
    "a clock that was set back": (
        but(streams=[Started(WEB, True, NOW_NS, NOW_NS + (CLOCK_SLACK_S + 1) * SECOND_NS)]),
        "clock: logs are ahead of the clock (1 of them, by up to 61 s)",
        "slewed",
    ),
    "a container of the future": (
        but(streams=[Started(WEB, False, NOW_NS + 7200 * SECOND_NS, None)], fifos=Unknown("")),
        "clock: logs are ahead of the clock (1 of them, by up to 7,200 s)",
        "slewed",
    ),
}


def found_in(facts: Facts, *, is_wrong: bool) -> dict[str, Finding]:
    return {
        f"{name}: {each.what}": each
        for name, found in examine(facts).findings.items()
        for each in found
        if each.is_wrong == is_wrong
    }


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_found_alone_with_its_reason_and_what_mends_it(case: str) -> None:
    facts, what, mend = WRONG[case]
    findings = found_in(facts, is_wrong=True)
    (told,) = [told for told in findings if told.startswith(what)]
    assert mend in findings[told].mend
    assert len(findings[told].why) > 20
    assert examine(facts).is_wrong
    # A disabled default driver is two things that are wrong.
    assert len(findings) == (2 if case == "the default driver is disabled" else 1)


NOTES: Mapping[str, tuple[Facts, str]] = {
    "the default driver": (but_answers(default_driver="logboom"), "default-driver: logboom is"),
    "containers elsewhere": (
        but_answers(
            containers=[
                CONTAINER,
                *(
                    Container(f"{number}", f"c{number}", False, "", "json-file", {})
                    for number in range(7)
                ),
                Container("8", "silent", False, "", "none", {}),
            ]
        ),
        "other-drivers: containers log elsewhere (7 json-file): c0, c1, c2, c3, c4 and 2 more",
    ),
    "btrfs": (but(disk=Disk("/d", "btrfs", 100 * GIGABYTE)), "file-system: /d is on btrfs"),
    "a network disk": (but(disk=Disk("/d", "nfs4", 100 * GIGABYTE)), "file-system: /d is on nfs4"),
    "FUSE": (but(disk=Disk("/d", "fuse.sshfs", 100 * GIGABYTE)), "file-system: /d is on fuse"),
}


@pytest.mark.parametrize("case", NOTES)
def test_what_may_be_meant_so_is_said_and_not_wrong(case: str) -> None:
    facts, what = NOTES[case]
    (told,) = found_in(facts, is_wrong=False)
    assert told.startswith(what)
    assert not examine(facts).is_wrong


WELL: Mapping[str, Facts] = {
    "options of dockerd and of ours": but_container(
        options={"mode": "blocking", "max-buffer-size": "1m", "tag": "{{.Name}}"}
    ),
    "options of containers that log elsewhere": but_answers(
        containers=[CONTAINER, Container("b", "silent", True, "", "none", {"mode": "non-blocking"})]
    ),
    "a young FIFO": but(fifos=[Fifo("f", age_s=STALE_FIFO_S, is_known=False)]),
    "as much room as is to be free": but(disk=Disk("/d", "ext4", GIGABYTE)),
    "no limit of free room": but(
        disk=Disk("/d", "ext4", 0), settings=read_settings({"LOGBOOM_MIN_FREE_BYTES": "-1"}, {})[0]
    ),
    "a budget that the disk has room for": but_settings(LOGBOOM_MAX_BYTES="100g"),
    "no limit for pipes": but(pipes=PipeLimits(GROWN_PIPE_BYTES, 0)),
    "as many pages as FIFOs may want": but(
        pipes=PipeLimits(GROWN_PIPE_BYTES, -(-(32_000_000 + 2 * DEFAULT_PIPE_BYTES) // PAGE_BYTES)),
        worker=replace(WORKER, metrics={"logboom_sessions": 2.0}),
    ),
    "a clock that is not the same everywhere": but(
        streams=[Started(WEB, True, NOW_NS, NOW_NS + CLOCK_SLACK_S * SECOND_NS)]
    ),
    "a container that has ended and is not read": but(
        answers=replace(ANSWERS, containers=[replace(CONTAINER, is_running=False)]), streams=[]
    ),
    "data in the mount that keeps FIFOs": but_plugin(
        variables={"LOGBOOM_DATA": "/run/docker/logs"}
    ),
    "the plugin by its tag": but_container(driver="logboom:latest"),
}


@pytest.mark.parametrize("case", WELL)
def test_what_is_well_is_not_found(case: str) -> None:
    report = examine(WELL[case])
    assert [each for found in report.findings.values() for each in found] == []
    assert report.not_checked == {}


def test_without_an_engine_what_needs_it_is_not_checked_and_the_reason_is_said() -> None:
    unknown = Unknown("the engine could not be asked: no docker")
    answers = Answers("logboom", unknown, unknown, unknown, Unknown(""))
    report = examine(but(answers=answers))
    assert report.not_checked.keys() == {
        *("plugin", "default-driver", "enable-timeout", "mounts"),
        *("other-drivers", "non-blocking", "log-options", "sessions"),
    }
    assert report.not_checked["plugin"] == unknown.why
    assert "--probe" in report.not_checked["enable-timeout"]


def test_a_default_driver_of_which_nothing_is_known_is_not_said_to_be_disabled() -> None:
    report = examine(but_answers(default_driver="logboom", plugin=Unknown("no answer")))
    assert report.not_checked["default-driver"] == "no answer"


def test_where_nothing_is_known_nothing_is_passed() -> None:
    unknown = Unknown("who knows")
    facts = Facts(
        now_ns=NOW_NS,
        answers=Answers("logboom", unknown, unknown, unknown, unknown),
        worker=unknown,
        settings=read_settings({}, {})[0],
        disk=unknown,
        fifos=unknown,
        pipes=unknown,
        streams=unknown,
    )
    report = examine(facts)
    assert report.findings == {}
    assert report.not_checked == dict.fromkeys(CHECKS, "who knows")


def test_a_disabled_plugin_has_no_worker_to_be_missed() -> None:
    facts = but(
        answers=replace(ANSWERS, plugin=replace(PLUGIN, is_enabled=False)), worker=Unknown("")
    )
    assert "disabled" in examine(facts).not_checked["worker"]


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        (Probe(WEB[:12], 12, has_ended=True, still_runs=False), "it did not run all the time"),
        (
            Probe(WEB[:12], 0, has_ended=True, still_runs=True),
            "the log of web could not be followed",
        ),
        (Unknown("no container runs"), "no container runs"),
        (Unknown(""), "which proves nothing"),
    ],
)
def test_a_probe_that_proves_nothing_is_not_passed(probe: Probe | Unknown, reason: str) -> None:
    assert reason in examine(but_answers(probe=probe)).not_checked["enable-timeout"]


def test_every_check_has_a_case_above() -> None:
    told = [what for _, what, _ in WRONG.values()] + [what for _, what in NOTES.values()]
    assert {what.partition(":")[0] for what in told} == CHECKS.keys()


def test_every_check_has_a_row_and_no_other_has() -> None:
    text = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    _, _, rest = text.partition("\n## doctor\n")
    _, _, table = rest.partition("| check | ")
    rows = [line.split("`")[1] for line in table.split("\n\n")[0].splitlines() if "`" in line[:4]]
    assert rows == list(CHECKS)
