"""The plugin as a package: its size, a registry, ``make install`` and ``make uninstall``, the supervisor; private engines."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from engines.image import make_image
from engines.private import Engine, Version
from engines.registry import Registry
from tests.docker.conftest import wait_until
from tests.docker.packages import REPOSITORY, installed_version, make_version, run_install
from tests.docker.support import remove_containers

DOWNLOAD_LIMIT_BYTES = 25_000_000


@pytest.fixture(scope="module")
def old_build(plugin_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version before the one that ``make plugin`` made, in a folder of its own."""
    return make_version(plugin_build, tmp_path_factory.mktemp("old"), "old")


@pytest.fixture
def engine(bare_engine: Engine) -> Iterator[Engine]:
    """An engine without plugins and containers, before and after the test."""
    yield bare_engine
    remove_containers(bare_engine)
    for plugin in plugins(bare_engine):
        bare_engine.docker("plugin", "remove", "--force", plugin.split()[0])


def plugins(engine: Engine) -> list[str]:
    return engine.docker_text("plugin", "ls", "--format={{.Name}} {{.Enabled}}").splitlines()


def start_container(engine: Engine, name: str, script: str) -> None:
    engine.docker(
        "run", "--detach", f"--name={name}", "--log-driver=logboom", "bb", "sh", "-c", script
    )


def test_the_download_is_small(plugin_build: Path) -> None:
    command = f"tar -C {plugin_build}/rootfs -c . | gzip -6 | wc -c"
    size = int(subprocess.run(command, shell=True, check=True, capture_output=True).stdout)
    assert size <= DOWNLOAD_LIMIT_BYTES


def test_the_plugin_is_pushed_to_a_registry_and_installed_from_it(
    engine: Engine, plugin_build: Path
) -> None:
    data = engine.home / "registry-data"
    data.mkdir()
    with Registry() as registry:
        reference = f"{registry.address}/logboom:1"
        engine.docker("plugin", "create", reference, plugin_build)
        engine.docker("plugin", "push", reference)
        engine.docker("plugin", "remove", reference)
        options = ("--alias=logboom", "--grant-all-permissions")
        engine.docker("plugin", "install", *options, reference, f"data.source={data}")
    assert plugins(engine) == ["logboom:latest true"]
    engine.docker("run", "--name=one", "--log-driver=logboom", "bb", "echo", "kept")
    assert engine.docker("logs", "one").stdout == b"kept\n"
    assert list((data / "logboom/containers").iterdir())


def test_install_then_uninstall_leaves_no_plugin(
    engine: Engine, plugin_build: Path, tmp_path: Path
) -> None:
    installed = run_install(engine, "install", plugin_build, tmp_path)
    assert installed.returncode == 0, installed.stderr
    assert "docker run --log-driver logboom" in installed.stdout
    assert plugins(engine) == ["logboom:latest true"]
    command = tmp_path / "local/bin/logboom"
    client_plugin = tmp_path / "local/lib/docker/cli-plugins/docker-logboom"
    assert f"{command} ls" in installed.stdout
    assert os.access(command, os.X_OK)
    assert client_plugin.samefile(command)
    engine.docker("run", "--rm", "--log-driver=logboom", "bb", "echo", "hello")

    removed = run_install(engine, "uninstall", plugin_build, tmp_path)
    assert removed.returncode == 0, removed.stderr
    assert "/var/log/logboom" in removed.stdout
    assert not command.exists()
    assert not client_plugin.is_symlink()
    assert plugins(engine) == []
    assert "not installed" in run_install(engine, "uninstall", plugin_build, tmp_path).stdout


def test_a_second_install_upgrades_and_keeps_settings_and_logs(
    engine: Engine, plugin_build: Path, old_build: Path, tmp_path: Path
) -> None:
    data = engine.home / "upgrade-data"
    engine.install_plugin(old_build, data=data, settings={"LOGBOOM_MAX_FILE": "7"})
    engine.docker(
        "run", "--name=before", "--log-driver=logboom", "bb", "echo", "of the old version"
    )
    before = json.loads(engine.docker("plugin", "inspect", "logboom").stdout)[0]

    upgraded = run_install(engine, "install", plugin_build, tmp_path)
    assert upgraded.returncode == 0, upgraded.stderr
    assert plugins(engine) == ["logboom:latest true"]
    after = json.loads(engine.docker("plugin", "inspect", "logboom").stdout)[0]
    assert after["Id"] == before["Id"]
    assert "LOGBOOM_MAX_FILE=7" in after["Settings"]["Env"]
    # Where the plugin really mounts from, which an upgrade resets.
    assert [mount["Source"] for mount in after["Config"]["Mounts"]] == [str(data)]
    assert installed_version(engine) is None
    assert engine.docker("logs", "before").stdout == b"of the old version\n"

    again = run_install(engine, "install", plugin_build, tmp_path)
    assert again.returncode == 0, again.stderr
    assert "installed already" in again.stdout
    assert plugins(engine) == ["logboom:latest true"]


def test_a_version_that_does_not_start_leaves_the_installed_one_alone(
    engine: Engine, plugin_build: Path, old_build: Path, tmp_path: Path
) -> None:
    """Running containers would wait for it for ever."""
    engine.install_plugin(old_build, data=engine.home / "broken-data")
    start_container(engine, "busy", "while true; do echo on; sleep 0.1; done")
    pids = engine.plugin_pids()
    broken = make_version(plugin_build, tmp_path, "broken")
    (broken / "rootfs/usr/bin/logboom-init").unlink()
    failed = run_install(engine, "install", broken, tmp_path)
    assert failed.returncode == 1
    assert "does not start" in failed.stderr
    assert plugins(engine) == ["logboom:latest true"]
    assert engine.plugin_pids() == pids
    mended = run_install(engine, "install", plugin_build, tmp_path)
    assert mended.returncode == 0, mended.stderr
    assert plugins(engine) == ["logboom:latest true"]
    assert installed_version(engine) is None


def test_a_plugin_that_containers_use_is_not_removed(
    engine: Engine, plugin_build: Path, tmp_path: Path
) -> None:
    engine.install_plugin(plugin_build, data=engine.home / "used-data")
    start_container(engine, "busy", "while true; do echo on; sleep 0.1; done")
    pids = engine.plugin_pids()
    refused = run_install(engine, "uninstall", plugin_build, tmp_path)
    assert refused.returncode == 1
    assert "busy" in refused.stderr
    assert engine.plugin_pids() == pids

    # Without it the log of a stopped container is out of reach, too.
    engine.docker("kill", "busy")
    refused = run_install(engine, "uninstall", plugin_build, tmp_path)
    assert refused.returncode == 1
    assert "busy" in refused.stderr
    assert plugins(engine) == ["logboom:latest true"]
    assert engine.docker("logs", "busy").stdout.startswith(b"on\n")


def test_the_default_log_driver_is_not_removed(
    engine: Engine, plugin_build: Path, tmp_path: Path
) -> None:
    engine.install_plugin(plugin_build, data=engine.home / "default-data")
    configuration = engine.home / "daemon.json"
    engine.end_dockerd()
    configuration.write_text('{"log-driver": "logboom"}')
    engine.start_dockerd()
    refused = run_install(engine, "uninstall", plugin_build, tmp_path)
    engine.end_dockerd()
    configuration.write_text("{}")
    engine.start_dockerd()
    assert refused.returncode == 1
    assert "daemon.json" in refused.stderr


def test_without_an_engine_it_says_so(plugin_build: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, REPOSITORY / "packaging/install.py", "check"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "DOCKER_HOST": f"unix://{tmp_path}/none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("no Docker engine answers")
    assert "Traceback" not in result.stderr


def test_without_docker_it_says_so(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, REPOSITORY / "packaging/install.py", "check"],
        env={"PATH": str(tmp_path), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("there is no Docker on this machine")


def new_worker(engine: Engine, supervisor: int, killed: int) -> int | None:
    return next((pid for pid in engine.plugin_pids() if pid not in {supervisor, killed}), None)


def last_line(engine: Engine) -> bytes:
    return engine.docker("logs", "--tail=1", "counter").stdout


def test_nothing_is_lost_when_the_worker_is_killed_while_a_container_prints(
    engine: Engine, plugin_build: Path, tmp_path: Path
) -> None:
    engine.install_plugin(plugin_build, data=engine.home / "kill-data")
    stop = engine.home / "stop"
    stop.mkdir()
    script = "i=0; while [ ! -e /stop/now ]; do i=$((i+1)); echo $i; done"
    words = ("--name=counter", "--log-driver=logboom", f"--volume={stop}:/stop")
    engine.docker("run", "--detach", *words, "bb", "sh", "-c", script)
    supervisor, worker = engine.plugin_pids()
    for _ in range(5):
        os.kill(worker, signal.SIGKILL)
        worker = wait_until("a new worker", partial(new_worker, engine, supervisor, worker))
        last = last_line(engine)
        wait_until("more lines", partial(lambda seen: last_line(engine) != seen, last))
    (stop / "now").touch()
    engine.docker("wait", "counter")
    lines = engine.docker("logs", "counter").stdout.split()
    assert lines == [b"%d" % number for number in range(1, len(lines) + 1)]
    assert engine.plugin_pids()[0] == supervisor


def test_the_plugin_ends_in_time_when_it_is_disabled(engine: Engine, plugin_build: Path) -> None:
    engine.install_plugin(plugin_build, data=engine.home / "end-data")
    supervisor, _worker = engine.plugin_pids()
    engine.docker("plugin", "disable", "logboom")
    assert not Path(f"/proc/{supervisor}").exists()
    assert "did not end in" not in engine.log
    assert (
        "worker 7 ended with status 0" in engine.log or "ended with status 0; ending" in engine.log
    )
    engine.enable_plugin()


def test_a_private_engine_leaves_nothing_and_lets_others_be(
    engine: Engine, engine_version: Version
) -> None:
    engine.docker("run", "--detach", "--name=stays", "bb", "sleep", "600")
    with Engine.start(engine_version) as other:
        make_image(other)
        other.docker("run", "--detach", "--name=goes", "bb", "sh", "-c", "trap : TERM; sleep 600")
        goes = int(other.docker_text("inspect", "--format={{.State.Pid}}", "goes"))
        assert other.docker_text("ps", "--format={{.Names}}") == "goes"
        assert str(other.home) not in Path("/proc/self/mounts").read_text()
        dockerd = other.dockerd_pid
    assert not other.home.exists()
    assert not Path(f"/proc/{goes}").exists()
    assert not Path(f"/proc/{dockerd}").exists()
    assert engine.docker_text("ps", "--format={{.Names}}") == "stays"
