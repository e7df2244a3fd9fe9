"""How ``logboom doctor`` finds out what its checks go by, and what it says."""

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from logboom import cli
from logboom.app import open_store
from logboom.cli.client import ANSWER_S
from logboom.cli.doctor import WRONG, engine, facts
from logboom.cli.doctor.checks import CHECKS
from logboom.cli.doctor.engine import Container, Probe, Unknown, ask_engine, parse_answers
from logboom.cli.plugin import Plugin
from logboom.cli.worker import Reply
from logboom.settings import SOCKET_FILE, read_settings
from tests.support.api import unix_client
from tests.support.fake_docker import FakeDocker
from tests.support.service import run_service
from tests.support.written_store import WrittenStore
from tests.unit.cli.conftest import Run

SCRIPT = Path(__file__).parents[3] / "packaging" / "logboom"

WEB = "a" * 64

STARTED = "2026-01-31T12:00:00Z"

PLUGIN_ANSWER = json.dumps(
    {
        "Id": "0123",
        "Name": "logboom:latest",
        "Enabled": True,
        "Settings": {
            "Mounts": [{"Name": "data", "Source": "/srv/log", "Destination": "/data"}],
            "Env": ["LOGBOOM_DATA=/data/logboom", "LOGBOOM_MAX_BYTES=5g"],
            "Args": None,
            "Devices": None,
        },
        "Config": {
            "Mounts": [{"Name": "data", "Source": "/var/log", "Destination": "/data"}],
            "PropagatedMount": "/run/docker",
        },
    }
)

CONTAINER_ANSWER = json.dumps(
    {
        "id": WEB,
        "name": "/web",
        "running": True,
        "started": STARTED,
        "driver": "logboom",
        "options": {"tag": "x"},
    }
)

ANSWERS = f"""name logboom
plugin {PLUGIN_ANSWER}
info {{"driver": "json-file"}}
container {CONTAINER_ANSWER}
container {{"id": "b", "name": "/db", "running": false, "started": "", "driver": "none", "options": null}}
"""

PLUGIN = Plugin(
    identifier="0123",
    name="logboom:latest",
    is_enabled=True,
    variables={"LOGBOOM_DATA": "/data/logboom", "LOGBOOM_MAX_BYTES": "5g"},
    mounts=[("data", "/var/log", "/data")],
    propagated="/run/docker",
    set_sources={"data": "/srv/log"},
)


def test_what_the_engine_says_is_read() -> None:
    answers = parse_answers(
        ANSWERS + 'probe {"container": "web", "seconds": 30, "ended": true, "runs": true}\n'
    )
    assert answers.plugin == PLUGIN
    assert answers.default_driver == "json-file"
    assert answers.containers == [
        Container(WEB, "web", True, STARTED, "logboom", {"tag": "x"}),
        Container("b", "db", False, "", "none", {}),
    ]
    assert answers.probe == Probe("web", 30, has_ended=True, still_runs=True)


def test_what_the_engine_does_not_say_is_unknown_with_the_reason() -> None:
    said = (
        "plugin-error Cannot connect\ninfo-error Cannot connect\ncontainer-error Cannot connect\n"
    )
    answers = parse_answers(said + "probe-error Cannot connect\n")
    unknown = Unknown("Cannot connect")
    assert answers.plugin == answers.default_driver == answers.containers == unknown
    assert answers.probe == unknown
    nothing = parse_answers("")
    assert isinstance(nothing.plugin, Unknown)
    assert isinstance(nothing.containers, Unknown)


@pytest.mark.parametrize("line", ["plugin", "plugin {", "plugin []", "plugin {}"])
def test_an_answer_that_was_cut_off_is_unknown(line: str) -> None:
    assert "cannot be read" in getattr(parse_answers(line).plugin, "why", "")
    containers = parse_answers('info {"driver": "x"}\ncontainer {"id"\n').containers
    assert isinstance(containers, Unknown)


def test_a_plugin_that_is_not_there_is_known_not_to_be() -> None:
    answers = parse_answers("plugin-error Error: No such plugin: logboom\n")
    assert answers.plugin is None


@pytest.mark.parametrize(
    ("name", "driver", "is_ours"),
    [
        ("logboom", "logboom:latest", True),
        ("logboom:latest", "logboom", True),
        ("reg:5000/logboom", "reg:5000/logboom:latest", True),
        ("reg:5000/logboom", "logboom", False),
        ("logboom", "logboom:1.0", False),
    ],
)
def test_a_driver_is_the_plugin_by_its_name_and_tag(name: str, driver: str, is_ours: bool) -> None:
    assert parse_answers(f"name {name}\n").is_ours(driver) == is_ours


DOCKER = """#!/bin/sh
echo "$*" >>"$DOCKER_LOG"
case "$1 $2" in
"plugin inspect") echo 'plugin {plugin}' ;;
"info --format") echo 'info {{"driver": "logboom"}}' ;;
"ps --all") echo {id}; echo gone ;;
"ps --quiet") echo {id} ;;
"inspect --format") case "$3" in *Running*) echo true 2026 ;; *) echo 2026 {id} logboom ;; esac ;;
"inspect --type") echo 'container {container}'; echo "Error: No such container: gone" >&2; exit 1 ;;
"logs --follow") exit 0 ;;
esac
"""


@pytest.fixture
def client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker client that has answers, and the file where it writes what it was asked."""
    path = folder / "bin" / "docker"
    path.parent.mkdir()
    path.write_text(DOCKER.format(plugin=PLUGIN_ANSWER, container=CONTAINER_ANSWER, id=WEB))
    path.chmod(0o755)
    asked = folder / "asked"
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_LOG", str(asked))
    return asked


@pytest.mark.usefixtures("client")
def test_the_client_is_asked_here() -> None:
    answers = parse_answers(ask_engine("logboom", probes=True))
    assert answers.plugin == PLUGIN
    assert answers.default_driver == "logboom"
    assert answers.containers == [Container(WEB, "web", True, STARTED, "logboom", {"tag": "x"})]
    assert answers.probe == Probe(WEB, 0, has_ended=True, still_runs=True)


def ask_by_script(folder: Path, *words: str) -> str:
    """The words that the host's script hands on, and behind them what the engine said."""
    python = folder / "bin" / "python3"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] || { echo "$*"; cat; }\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["sh", SCRIPT, "doctor", "--json", *words],
        env={**os.environ, "LOGBOOM_EXEC_ROOT": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_hosts_script_hands_on_what_the_client_says_in_the_same_words(
    client: Path, folder: Path
) -> None:
    here = ask_engine("logboom", probes=True)
    asked_here = client.read_text().splitlines()
    client.unlink()
    command, _, told = ask_by_script(folder, "--probe").partition("\n")
    assert command == "-m logboom doctor --engine - --json --probe"
    there, here_answers = parse_answers(told), parse_answers(here)
    assert there.plugin == here_answers.plugin
    assert there.default_driver == here_answers.default_driver
    assert there.containers == here_answers.containers
    assert isinstance(there.probe, Probe)
    asked_there = client.read_text().splitlines()
    assert {line for line in asked_here if "--format" in line} <= set(asked_there)
    assert f"timeout {engine.PROBE_S} docker logs" in SCRIPT.read_text()
    assert f"timeout {ANSWER_S} docker " in SCRIPT.read_text()


@pytest.mark.usefixtures("client")
def test_an_answer_that_is_given_to_the_hosts_script_is_not_replaced(folder: Path) -> None:
    assert ask_by_script(folder, "--engine", "/dev/null").startswith(
        "-m logboom doctor --json --engine /dev/null\n"
    )


def test_an_engine_that_cannot_be_asked_is_no_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    answers = parse_answers(ask_engine("logboom", probes=True))
    assert answers.plugin == Unknown("docker: No such file or directory")
    assert answers.probe == Unknown("no container runs whose log the plugin keeps")


def test_an_engine_that_names_containers_and_tells_nothing_of_them_is_not_taken_for_an_empty_one(
    client: Path, folder: Path
) -> None:
    docker = folder / "bin" / "docker"
    docker.write_text(docker.read_text().replace("echo 'container {", ": 'container {"))
    assert isinstance(parse_answers(ask_engine("logboom", probes=False)).containers, Unknown)
    assert isinstance(parse_answers(ask_by_script(folder)).containers, Unknown)
    assert client.exists()


MOUNTS = """22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:2 / /data rw,relatime - xfs /dev/sdb1 rw
31 22 0:40 / /data/with\\040space rw - tmpfs tmpfs rw
32 30 8:3 / /data/logboom rw - btrfs /dev/sdc1 rw
33 32 8:3 / /data/logboom rw - nfs4 server:/logs rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv", "ext4"),
        ("/data", "xfs"),
        ("/data/logs", "xfs"),
        ("/database", "ext4"),
        ("/data/with space/x", "tmpfs"),
        ("/data/logboom/containers", "nfs4"),
    ],
)
def test_a_folder_is_on_what_is_mounted_nearest_above_it(folder: str, kind: str) -> None:
    assert facts._file_system(MOUNTS, folder) == kind


def test_what_can_be_seen_in_the_plugin_is_found_out(written: WrittenStore) -> None:
    written.start(WEB, "web")
    os.mkfifo(written.root / "run/docker/logging/nobody")
    found = facts.gather(parse_answers(ANSWERS), str(written.data), str(written.root))
    assert isinstance(found.disk, facts.Disk)
    assert (found.disk.folder, found.disk.free_bytes > 0) == (str(written.data), True)
    assert not isinstance(found.fifos, Unknown)
    assert {(each.name, each.is_known) for each in found.fifos} == {
        ("fifo1", True),
        ("nobody", False),
    }
    assert all(0 <= each.age_s < 60 for each in found.fifos)
    assert isinstance(found.pipes, facts.PipeLimits)
    assert not isinstance(found.streams, Unknown)
    (stream,) = found.streams
    assert (stream.container_id, stream.is_active, stream.last_ns) == (WEB, True, None)
    assert stream.started_ns is not None
    assert abs(stream.started_ns - time.time_ns()) < 60 * 10**9
    assert found.settings.max_bytes == 5 * 10**9
    assert isinstance(found.worker, Unknown)


def test_the_data_folder_is_named_as_the_host_has_it(written: WrittenStore) -> None:
    told = ANSWERS.replace('"/data"', f'"{written.root}"').replace("/var/log", "/mnt")
    in_plugin = facts.gather(parse_answers(told), str(written.data), str(written.root)).disk
    assert isinstance(in_plugin, facts.Disk)
    assert in_plugin.folder == f"/mnt/{written.data.name}"
    on_host = facts.gather(parse_answers(told), str(written.data), None).disk
    assert isinstance(on_host, facts.Disk)
    assert on_host.folder == str(written.data)


def test_a_damaged_session_record_is_no_error(written: WrittenStore) -> None:
    written.start(WEB, "web")
    (written.root / facts.RECORD_FOLDER / "damaged.json").write_text("[]")
    found = facts.gather(parse_answers(ANSWERS), str(written.data), str(written.root))
    assert isinstance(found.fifos, Unknown)


def test_a_log_that_cannot_be_read_hides_no_other(written: WrittenStore) -> None:
    """With one of them the doctor had nothing to say of containers whose FIFOs nobody reads, nor of the clock."""
    written.start(WEB, "web")
    (written.data / "containers" / WEB / f"{0:020}.zst").mkdir(parents=True)
    found = facts.gather(parse_answers(ANSWERS), str(written.data), str(written.root))
    assert not isinstance(found.streams, Unknown)
    (stream,) = found.streams
    assert (stream.container_id, stream.is_active, stream.last_ns) == (WEB, True, None)


def test_the_settings_file_wins(written: WrittenStore) -> None:
    (written.data / "logboom.toml").write_text('max_bytes = "7g"\n')
    found = facts.gather(parse_answers(ANSWERS), str(written.data), None)
    assert found.settings.max_bytes == 7 * 10**9
    assert isinstance(found.fifos, Unknown)


def test_where_there_is_no_store_that_is_said(folder: Path) -> None:
    found = facts.gather(parse_answers(""), str(folder / "data"), "")
    assert isinstance(found.disk, Unknown)
    assert isinstance(found.streams, Unknown)
    assert "holds no store" in found.streams.why


def test_a_worker_that_has_no_answer_now_is_unknown_with_its_reason(
    written: WrittenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = Reply(503, b'{"detail": "this address has 64 connections"}')
    monkeypatch.setattr(facts, "ask", lambda *_words: refusal)
    found = facts.gather(parse_answers(ANSWERS), str(written.data), None)
    assert found.worker == Unknown("the worker has no answer now: this address has 64 connections")


@pytest.fixture
async def data(folder: Path) -> AsyncIterator[Path]:
    """The data folder of a worker that runs, of a container that runs."""
    given = {"data": str(folder / "data"), "socket": str(folder / "s"), "fifo_root": str(folder)}
    settings, _ = read_settings({}, given)
    async with run_service(settings, open_store(settings)), unix_client(folder / "data/api.sock"):
        container = await FakeDocker(folder / "s", folder).start_container(WEB)
        await container.log("stdout", b"hi")
        yield folder / "data"
        container.abandon()


async def test_the_worker_is_asked_and_all_is_told_as_json(data: Path) -> None:
    assert (data / SOCKET_FILE).exists()
    done = await trio.run_process(
        [sys.executable, "-m", "logboom", "doctor", "--json", "--engine", "-"],
        stdin=ANSWERS.encode(),
        env={**os.environ, "LOGBOOM_DATA": str(data), "LOGBOOM_FIFO_ROOT": str(data.parent)},
        capture_stdout=True,
        check=False,
    )
    told = json.loads(done.stdout)
    assert told["wrong"] is True
    assert done.returncode == 1
    findings = {each["check"]: each for each in told["findings"]}
    assert findings["mounts"] == {
        "check": "mounts",
        "wrong": True,
        "what": "the mount data is set to /srv/log, and the engine mounts /var/log",
        "why": findings["mounts"]["why"],
        "mend": "docker plugin disable -f logboom; docker plugin set logboom data.source=/srv/log; docker plugin enable --timeout 0 logboom",
    }
    # No dockerd has mounted its socket here.
    assert "where dockerd would serve them" in findings["metrics-socket"]["what"]
    assert {"plugin", "worker", "readiness", "dropped", "sessions", "clock"} <= set(told["well"])
    assert [each["check"] for each in told["not_checked"]] == ["enable-timeout"]


def test_findings_are_told_with_reason_and_command(run: Run, written: WrittenStore) -> None:
    (written.root / "answers").write_text(ANSWERS.replace('"Enabled": true', '"Enabled": false'))
    done = run("doctor", "--engine", str(written.root / "answers"), code=1)
    told = done.stdout.decode()
    assert "WRONG  plugin: the plugin logboom is disabled\n       why:  no container" in told
    assert "\n       mend: docker plugin enable --timeout 0 logboom\n" in told
    assert "not checked: worker: the plugin logboom is disabled\n" in told
    wrong_count = told.count("WRONG  ")
    assert told.splitlines()[-1].startswith(f"{wrong_count} wrong, 0 to know, ")


def test_where_nothing_can_be_checked_it_does_not_say_that_all_is_well(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("LOGBOOM_FIFO_ROOT", raising=False)
    assert cli.main(["doctor", "--data", str(folder / "none")]) == WRONG
    told = capfd.readouterr().out
    assert "not checked: plugin: docker: No such file" in told
    assert told.endswith(f"0 wrong, 0 to know, 0 well, {len(CHECKS)} not checked\n")
