"""The plugin is upgraded, put back, killed and installed anew under containers that count: nothing is lost, and settings stay."""

import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from engines.private import Engine
from engines.registry import Registry
from tests.crash.numbered import Verdict, judge
from tests.docker.counters import Counter
from tests.docker.host import Host
from tests.docker.packages import installed_version, make_version, push, run_install
from tests.docker.support import (
    DEADLINE_S,
    POLL_S,
    container_id,
    docker,
    inspect,
    plugin_folder,
    remove_containers,
    stored_text,
    worker_pid,
)

COUNTERS = 10
"""Each prints two hundred numbers a second, so that a FIFO alone holds what one prints in ten seconds."""

ALIAS = "logboom"
SETTING = "LOGBOOM_MAX_FILE=7"


@pytest.fixture
def engine(bare_engine: Engine) -> Iterator[Engine]:
    """An engine without the plugin, which must go at the end as if nothing had happened: without force."""
    yield bare_engine
    remove_containers(bare_engine)
    bare_engine.remove_plugin()


@asynccontextmanager
async def counting(engine: Engine, count: int = COUNTERS) -> AsyncIterator[list[Counter]]:
    """Containers that print numbers throughout; at the end each has printed some more, and all are there."""
    counters = [
        Counter(engine, f"counter-{number}", at_once=10, pause_s=0.05) for number in range(count)
    ]
    yield counters
    await wait_counted(counters)
    await finish(counters)


async def wait_counted(counters: list[Counter]) -> None:
    for counter in counters:
        await counter.wait_counted(20)


async def finish(counters: list[Counter]) -> None:
    for counter in counters:
        counter.tell_to_finish()
    for counter in counters:
        await counter.wait_finished()


def judge_all(counters: list[Counter]) -> Verdict:
    return sum((counter.verdict() for counter in counters), Verdict(0))


def check_settings(engine: Engine, data: Path) -> None:
    plugin = inspect(engine, ALIAS)
    assert SETTING in plugin["Settings"]["Env"]
    # Where the plugin really mounts from, which an upgrade resets.
    assert [mount["Source"] for mount in plugin["Config"]["Mounts"]] == [str(data)]
    assert plugin["Enabled"]


def upgrade_by_hand(host: Host, reference: str, data: Path) -> None:
    """The procedure of docs/operating.md, and what the doctor says where its third line is left out."""
    engine = host.engine
    engine.docker("plugin", "disable", "--force", ALIAS)
    words = ("--grant-all-permissions", "--skip-remote-check", ALIAS, reference)
    engine.docker("plugin", "upgrade", *words)
    told = json.loads(host.run("doctor", "--json").stdout)
    (reset,) = (each for each in told["findings"] if each["check"] == "mounts")
    assert reset["what"] == f"the mount data is set to {data}, and the engine mounts /var/log"
    assert f"docker plugin set {ALIAS} data.source={data}; " in reset["mend"]
    engine.docker("plugin", "set", ALIAS, f"data.source={data}")
    engine.enable_plugin(ALIAS)


async def test_containers_count_on_over_upgrades_and_going_back(
    engine: Engine, plugin_build: Path, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    data = engine.home / "data-of-its-own"
    data.mkdir()
    host = Host.of(engine)
    old, new = (make_version(plugin_build, tmp_path, name) for name in ("1.0", "1.1"))
    with Registry() as registry:
        references = {version: push(engine, registry, version) for version in (old, new)}
        words = (f"--alias={ALIAS}", "--grant-all-permissions", "--disable")
        engine.docker("plugin", "install", *words, references[old])
        engine.docker("plugin", "set", ALIAS, f"data.source={data}", SETTING)
        engine.enable_plugin(ALIAS)
        async with counting(engine) as counters:
            for version in (new, old, new):
                await wait_counted(counters)
                upgrade_by_hand(host, references[version], data)
                assert installed_version(engine) == version.name
                check_settings(engine, data)
            for build, name in ((plugin_build, None), (old, old.name)):
                await wait_counted(counters)
                installed = run_install(engine, "install", build, tmp_path)
                assert installed.returncode == 0, installed.stderr
                assert installed_version(engine) == name
                check_settings(engine, data)
    verdict = judge_all(counters)
    tell(f"5 upgrades, {verdict.text}")
    assert verdict.is_good, verdict.text


async def test_what_an_older_version_keeps_beside_a_newer_store_and_what_was_there_is_all(
    engine: Engine, plugin_build: Path
) -> None:
    """The newer version is played by the number of its format: what lies in its folder is not looked at any further."""
    data = engine.home / "data-of-two"
    engine.install_plugin(plugin_build, data=data)
    newer, beside = data / "logboom", data / "logboom-format1"
    form = (newer / "format").read_text()
    async with counting(engine, count=3) as counters:
        await wait_counted(counters)
        engine.docker("plugin", "disable", "--force", ALIAS)
        (newer / "format").write_text("logboom store 1000\n")
        before = {path: path.stat().st_mtime_ns for path in [newer, *newer.rglob("*")]}
        engine.enable_plugin()
        await wait_counted(counters)
        read = engine.docker("logs", "--tail=1", counters[0].name)
        assert "new entries are kept in /data/logboom-format1" in read.stderr.decode()
        engine.docker("plugin", "disable", "--force", ALIAS)
        assert {path: path.stat().st_mtime_ns for path in [newer, *newer.rglob("*")]} == before
        (newer / "format").write_text(form)
        engine.enable_plugin()
    for counter in counters:
        kept = stored_text(beside / "containers" / container_id(engine, counter.name))
        assert kept
        lines = engine.docker("logs", counter.name).stdout.splitlines() + kept.splitlines()
        verdict = judge(sorted(lines, key=int), counter.printed)
        assert verdict.is_good, verdict.text


async def test_all_is_found_again_after_the_first_process_was_killed(
    engine: Engine, plugin_build: Path, tell: Callable[[str], None]
) -> None:
    """No engine notices that PID 1 of a plugin is gone, or starts it again."""
    engine.install_plugin(plugin_build, data=engine.home / "data-of-killed")
    async with counting(engine) as counters:
        await wait_counted(counters)
        supervisor, worker = engine.plugin_pids()
        os.kill(supervisor, signal.SIGKILL)
        # The engine removes its folder when it hears that the process is gone, though it still lists the plugin as enabled.
        # Disabled and enabled before that, it would find what is left of the old one in its way.
        running = Path(
            f"/proc/{engine.dockerd_pid}/root/run/docker/plugins", plugin_folder(engine).name
        )
        assert running.exists()
        with trio.fail_after(DEADLINE_S):
            while running.exists() or Path(f"/proc/{worker}").exists():
                await trio.sleep(POLL_S)
        assert worker_pid(engine) is None
        await docker(engine, "plugin", "disable", "--force", ALIAS)
        engine.enable_plugin()
    verdict = judge_all(counters)
    tell(verdict.text)
    assert verdict.is_good, verdict.text


def test_a_plugin_that_is_removed_and_installed_anew_keeps_every_log(
    engine: Engine, plugin_build: Path
) -> None:
    data = engine.home / "data-that-stays"
    engine.install_plugin(plugin_build, data=data)
    words = ("--network=none", "--log-driver=logboom")
    printed = {f"stopped-{number}": f"{number}\n".encode() * 100 for number in range(3)}
    for name, text in printed.items():
        engine.docker("run", f"--name={name}", *words, "bb", "printf", text.decode())
    engine.docker("plugin", "disable", "--force", ALIAS)
    engine.docker("plugin", "remove", "--force", ALIAS)
    engine.install_plugin(plugin_build, data=data)
    assert {name: engine.docker("logs", name).stdout for name in printed} == printed
