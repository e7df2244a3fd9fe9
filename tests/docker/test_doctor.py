"""``logboom doctor`` on the host of an engine, where things go wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engines.image import make_image
from engines.private import Engine, Version
from tests.docker.conftest import wait_until
from tests.docker.host import TIMEOUT_S, Host
from tests.docker.support import container_id, plugin_folder, worker_pid
from tests.support.fake_docker import Entry, encode_frame

EXCESSIVE = (
    "LOGBOOM_MIN_FREE_BYTES=1000t",
    "LOGBOOM_MAX_BYTES=100000t",
    "LOGBOOM_PIPE_BUDGET=1t",
)
"""Settings that no machine has room for."""


@pytest.fixture(scope="module")
def host(engine_version: Version, plugin_build: Any) -> Iterator[Host]:
    """An engine whose containers and plugins outlive dockerd, with a container that runs."""
    with Engine.start(engine_version, options=("--live-restore",)) as engine:
        make_image(engine)
        engine.install_plugin(plugin_build, data=engine.home / "data")
        run(engine, "web", "--log-driver=logboom")
        yield Host.of(engine)


def run(engine: Engine, name: str, *options: str) -> None:
    words = ("run", "--detach", "--network=none", f"--name={name}", *options)
    engine.docker(*words, "bb", "sleep", "10000")


def examine(host: Host, *words: str) -> dict[str, Any]:
    done = host.run("doctor", "--json", *words)
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == told["wrong"], done.stderr
    return told


def findings(told: dict[str, Any], *, wrong: bool = True) -> dict[str, dict[str, str]]:
    return {each["check"]: each for each in told["findings"] if each["wrong"] == wrong}


def mend(host: Host, command: str) -> None:
    """Type what the doctor says."""
    subprocess.run(
        host.engine.command_inside("sh", "-ec", command),
        env=host.environment,
        check=True,
        capture_output=True,
        timeout=TIMEOUT_S,
    )


def test_both_sights_are_had_and_what_is_well_is_said_to_be(host: Host) -> None:
    told = examine(host)
    assert {
        *("plugin", "default-driver", "mounts", "worker", "readiness", "dropped"),
        *("metrics-socket", "other-drivers", "non-blocking", "log-options", "sessions"),
        *("stale-fifos", "budget", "clock"),
    } <= set(told["well"])
    assert [each["check"] for each in told["not_checked"]] == ["enable-timeout"]


def test_containers_that_lose_lines_or_log_elsewhere_are_named(host: Host) -> None:
    engine = host.engine
    run(engine, "hasty", "--log-driver=logboom", "--log-opt=mode=non-blocking")
    run(engine, "other", "--log-driver=json-file")
    engine.docker(
        "create", "--name=odd", "--log-driver=logboom", "--log-opt=max-sise=1m", "bb", "sh"
    )
    try:
        told = examine(host)
        assert findings(told)["non-blocking"]["what"] == "mode=non-blocking: hasty"
        assert "odd: log-opt 'max-sise' is unknown" in findings(told)["log-options"]["what"]
        elsewhere = findings(told, wrong=False)["other-drivers"]
        assert elsewhere["what"] == "containers log elsewhere (1 json-file): other"
    finally:
        engine.docker("rm", "--force", "hasty", "other", "odd")


def test_a_container_that_nobody_reads_and_the_fifo_of_nobody_are_found_and_mended(
    host: Host,
) -> None:
    engine = host.engine
    run(engine, "lost", "--log-driver=logboom")
    folder = plugin_folder(engine) / "propagated-mount"
    stale = folder / "logging" / "stale"
    os.mkfifo(stale)
    two_hours_ago = time.time() - 7200
    os.utime(stale, (two_hours_ago, two_hours_ago))
    lost = container_id(engine, "lost")
    (record,) = [path for path in (folder / "logboom").iterdir() if lost in path.read_text()]
    record.unlink()
    pid = worker_pid(engine)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until("another worker", lambda: worker_pid(engine) not in {None, pid})
    # The worker removes FIFOs of nobody when it starts, so this one comes later.
    wait_until("it has looked", lambda: not stale.exists())
    os.mkfifo(stale)
    os.utime(stale, (two_hours_ago, two_hours_ago))
    told = findings(examine(host))
    assert told["sessions"]["what"].endswith(" print: lost")
    assert told["stale-fifos"]["what"] == "FIFOs of no session: stale"
    mend(host, told["sessions"]["mend"].replace("docker restart", "docker restart --time 1"))
    mend(host, told["stale-fifos"]["mend"].partition(" removes")[0])
    assert not {"sessions", "stale-fifos"} & findings(examine(host)).keys()
    engine.docker("rm", "--force", "lost")


def test_a_probe_sees_that_the_engine_ends_followers_and_what_is_said_mends_it(host: Host) -> None:
    """With a shorter time than the 30 s, so that this test need not wait for them.

    A container that started before goes on as it was: dockerd keeps the client, with its time, as long as a container runs.
    """
    engine = host.engine
    mend(host, "docker plugin disable -f logboom; docker plugin enable --timeout 2 logboom")
    run(engine, "cut", "--log-driver=logboom", "--stop-timeout=0")
    told = findings(examine(host, "--probe"))["enable-timeout"]
    assert told["what"].startswith("docker logs -f of cut ends after ")
    mend(host, told["mend"])
    with pytest.raises(subprocess.TimeoutExpired):
        engine.docker("logs", "--follow", "cut", timeout_s=3)
    engine.docker("rm", "--force", "cut")


def test_entries_from_a_clock_that_was_set_back_since_are_found(host: Host) -> None:
    """Instead of the machine's clock this sets that of an entry, as dockerd would have written it then."""
    engine = host.engine
    run(engine, "ahead", "--log-driver=logboom")
    ahead = container_id(engine, "ahead")
    folder = plugin_folder(engine) / "propagated-mount"
    records = [json.loads(path.read_text()) for path in (folder / "logboom").iterdir()]
    (fifo,) = [record["file"] for record in records if ahead in json.dumps(record)]
    in_a_day_ns = time.time_ns() + 86_400 * 10**9
    (folder / "logging" / Path(fifo).name).write_bytes(
        encode_frame(Entry("stdout", in_a_day_ns, b"tomorrow"))
    )
    wait_until("the entry", lambda: engine.docker("logs", "ahead").stdout)
    assert "(1 of them, by up to 86," in findings(examine(host))["clock"]["what"]
    engine.docker("rm", "--force", "ahead")


def test_a_store_in_memory_that_cannot_be_opened_and_limits_above_the_disk(host: Host) -> None:
    engine = host.engine
    # A tmpfs in this engine.
    engine.run_inside("mkdir /var/log/logboom; echo no store >/var/log/logboom/format")
    engine.docker("plugin", "disable", "--force", "logboom")
    engine.docker("plugin", "set", "logboom", "data.source=/var/log", *EXCESSIVE)
    engine.enable_plugin()
    engine.docker("run", "--name=unkept", "--log-driver=logboom", "bb", "echo", "nobody keeps this")
    told = findings(examine(host))
    assert told["file-system"]["what"] == "/var/log/logboom is on tmpfs"
    assert "format is damaged" in told["readiness"]["what"]
    assert told["dropped"]["what"] == "1 entries were dropped since the worker started"
    assert "LOGBOOM_MIN_FREE_BYTES is 1PB" in told["disk-space"]["what"]
    assert told["budget"]["what"].startswith("LOGBOOM_MAX_BYTES is 100PB, and the disk has room")
    # 0 is no limit.
    if Path("/proc/sys/fs/pipe-user-pages-soft").read_text() != "0\n":
        assert "FIFOs may want" in told["pipe-limits"]["what"]

    mend(
        host,
        told["file-system"]["mend"]
        .partition("or: ")[2]
        .replace("/another/folder", str(engine.home / "data")),
    )
    settings = engine.home / "data/logboom/logboom.toml"
    settings.write_text('min_free_bytes = "1m"\nmax_bytes = "1m"\n')
    left = {"file-system", "readiness", "dropped", "disk-space", "budget"}
    wait_until("all is well", lambda: not left & findings(examine(host)).keys())
    engine.docker("rm", "unkept")


def test_a_data_folder_in_the_plugins_own_root_folder(host: Host) -> None:
    engine = host.engine
    engine.docker("plugin", "disable", "--force", "logboom")
    engine.docker("plugin", "set", "logboom", "LOGBOOM_DATA=/var/log/logboom")
    engine.enable_plugin()
    told = findings(examine(host))
    assert told["mounts"]["what"] == "the data folder /var/log/logboom is in no mount"
    mend(host, told["mounts"]["mend"])
    assert "mounts" in examine(host)["well"]
    assert host.run("logs", "web").returncode == 0


def test_a_worker_that_does_not_answer_in_a_plugin_that_is_enabled(host: Host) -> None:
    engine = host.engine
    identifier = plugin_folder(engine).name
    supervisor, worker = engine.plugin_pids()
    os.kill(supervisor, signal.SIGKILL)
    running = Path(f"/proc/{engine.dockerd_pid}/root/run/docker/plugins", identifier)
    wait_until("the engine has heard", lambda: not running.exists())
    wait_until("the worker has ended", lambda: not Path(f"/proc/{worker}").exists())
    told = findings(examine(host))
    assert told["worker"]["what"] == "the plugin is enabled, and its worker does not answer"
    mend(host, told["worker"]["mend"].partition("; ")[2])
    assert "worker" in examine(host)["well"]


def test_a_dockerd_that_was_restarted_and_a_default_driver_that_is_disabled(host: Host) -> None:
    engine = host.engine
    (engine.home / "daemon.json").write_text('{"log-driver": "logboom"}')
    engine.end_dockerd(signal.SIGKILL)
    (engine.home / "exec/containerd/containerd.pid").unlink(missing_ok=True)
    engine.start_dockerd()
    wait_until("the plugin has noticed", lambda: "as live-restore leaves it" in engine.log)
    told = examine(host)
    assert "as live-restore leaves it" in findings(told)["metrics-socket"]["what"]
    assert "default-driver" in findings(told, wrong=False)
    mend(host, findings(told)["metrics-socket"]["mend"])
    wait_until("the metrics are there", lambda: "metrics-socket" in examine(host)["well"])

    engine.docker("plugin", "disable", "-f", "logboom")
    # There is nothing to run in the plugin: the package on the host.
    done = subprocess.run(
        engine.command_inside(sys.executable, "-m", "logboom", "doctor", "--json"),
        env=engine.environment,
        capture_output=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert "is disabled" in findings(told)["plugin"]["what"]
    assert "cannot be used" in findings(told)["default-driver"]["what"]
    not_checked = {each["check"]: each["why"] for each in told["not_checked"]}
    assert "disabled" in not_checked["worker"]
    mend(host, findings(told)["plugin"]["mend"])
    assert "plugin" in examine(host)["well"]
