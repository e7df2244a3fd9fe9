"""``logboom rm`` beside a worker, and without one."""

import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from logboom.app import open_store
from logboom.settings import SOCKET_FILE, read_settings
from tests.support.api import unix_client
from tests.support.fake_docker import FakeDocker
from tests.support.service import run_service
from tests.support.written_store import WrittenStore, entry
from tests.unit.cli.conftest import Run

WEB = "a" * 64
OLD_WEB = "b" * 64
DATABASE = "c" * 64


@dataclass
class Host:
    """A worker with its API, two containers that have ended and one that runs."""

    folder: Path

    def ids(self) -> set[str]:
        """Whose logs there are."""
        return {path.name for path in (self.folder / "data/containers").iterdir()}

    def environment(self, *, sees_fifos: bool = True) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("LOGBOOM_")
        }
        fifo_root = {"LOGBOOM_FIFO_ROOT": str(self.folder)} if sees_fifos else {}
        return {**inherited, "LOGBOOM_DATA": str(self.folder / "data"), "TZ": "UTC", **fifo_root}

    async def run(self, *words: str, sees_fifos: bool = True) -> subprocess.CompletedProcess[bytes]:
        return await trio.run_process(
            command(*words),
            env=self.environment(sees_fifos=sees_fifos),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "logboom", *words]


@pytest.fixture
async def host(folder: Path) -> AsyncIterator[Host]:
    given = {"data": str(folder / "data"), "socket": str(folder / "s"), "fifo_root": str(folder)}
    settings, _ = read_settings({}, given)
    async with (
        run_service(settings, open_store(settings)),
        unix_client(folder / "data" / SOCKET_FILE),
    ):
        docker = FakeDocker(Path(settings.socket), folder)
        for container_id, name in ((OLD_WEB, "web"), (DATABASE, "db")):
            ended = await docker.start_container(container_id, ContainerName=f"/{name}")
            await ended.log("stdout", b"ended")
            await ended.stop()
        running = await docker.start_container(WEB, ContainerName="/web")
        await running.log("stdout", b"runs")
        yield Host(folder)
        running.abandon()


async def test_without_a_terminal_it_removes_nothing_unless_it_is_forced(host: Host) -> None:
    refused = await host.run("rm", "db")
    assert refused.returncode == 1
    assert b"--force" in refused.stderr
    assert host.ids() == {WEB, OLD_WEB, DATABASE}
    removed = await host.run("rm", "--force", "db")
    assert (removed.returncode, removed.stdout) == (0, b"removed db (cccccccccccc)\n")
    assert host.ids() == {WEB, OLD_WEB}


async def test_of_all_containers_of_a_name_the_one_that_runs_stays(host: Host) -> None:
    removed = await host.run("rm", "-f", "web")
    assert removed.returncode == 1
    assert removed.stdout == b"removed web (bbbbbbbbbbbb)\n"
    assert removed.stderr == b"Warning: web (aaaaaaaaaaaa): it runs; its log stays\n"
    assert host.ids() == {WEB, DATABASE}


async def test_a_name_that_is_empty_means_no_log(host: Host) -> None:
    """A shell's variable that is not set; every id begins so, which matters where there is one."""
    removed = await host.run("rm", "-f", "web", "db")
    assert host.ids() == {WEB}, removed.stderr
    refused = await host.run("rm", "-f", "")
    assert refused.returncode == 1
    assert b"no container ''" in refused.stderr


async def test_what_the_worker_refuses_is_said(host: Host) -> None:
    """Where FIFOs cannot be seen only the worker knows that it runs."""
    refused = await host.run("rm", "-f", "aaa", sees_fifos=False)
    assert refused.returncode == 1
    assert b"Warning: web (aaaaaaaaaaaa): its container runs, or" in refused.stderr
    assert WEB in host.ids()


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1), (b"\x03", 130)])
async def test_at_a_terminal_it_shows_what_goes_and_asks(
    host: Host, answer: bytes, code: int
) -> None:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    shown = b""
    asking = await trio.lowlevel.open_process(
        ["setsid", "--ctty", "--wait", *command("rm", "db")],
        env=host.environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        with trio.fail_after(30):
            while b"for good? [y/N]" not in shown:
                await trio.lowlevel.wait_readable(ours)
                shown += os.read(ours, 65536)
            assert host.ids() == {WEB, OLD_WEB, DATABASE}
            # A signal that comes just before Python begins to read is heard when it has read: whoever presses Ctrl-C presses again.
            while asking.poll() is None:
                os.write(ours, answer)
                with trio.move_on_after(1):
                    await asking.wait()
            assert asking.returncode == code
    finally:
        asking.kill()
    os.close(ours)
    assert b"only the engine knows" in shown
    assert b"db    cccccccccccc" in shown
    assert (DATABASE in host.ids()) == (code != 0)


def test_without_a_worker_it_says_what_to_do(run: Run, written: WrittenStore) -> None:
    """The worker of this store has no API, as none that does not run has."""
    written.run(DATABASE, "db", [entry(0, "ended")])
    refused = run("rm", "-f", "db", code=1)
    assert b"no worker answers at" in refused.stderr
    assert b"docker plugin enable --timeout 0 logboom" in refused.stderr
