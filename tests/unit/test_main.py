"""The service as a process of its own, with the real core."""

import logging
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
import trio

from logboom import _core, app, cli
from logboom.cli import serve
from logboom.settings import Settings
from tests.support.fake_docker import FakeDocker


def environment(**variables: str) -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if not name.startswith("LOGBOOM_")
    } | variables


@asynccontextmanager
async def process(
    folder: Path,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> AsyncIterator[trio.Process]:
    started = await trio.lowlevel.open_process(
        [
            sys.executable,
            "-m",
            "logboom",
            "serve",
            "--data",
            str(folder / "data"),
            "--fifo-root",
            str(folder),
            *arguments,
        ],
        env=environment(**(variables or {})),
        stderr=subprocess.PIPE,
        pass_fds=pass_fds,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()
        if started.stderr is not None:
            await started.stderr.aclose()


async def output(started: trio.Process) -> str:
    assert started.stderr is not None
    return b"".join([piece async for piece in started.stderr]).decode()


@pytest.mark.slow
async def test_a_log_is_kept_and_read_again_by_the_next_process(folder: Path) -> None:
    docker = FakeDocker(folder / "s", folder)
    for run in range(2):
        async with process(folder, "--socket", str(folder / "s")) as service:
            await docker.wait_ready()
            container = await docker.start_container("c1")
            await container.log("stdout", b"run %d" % run)
            lines = [entry.line for entry in await container.logs()]
            assert lines == [b"run 0\n", b"run 1\n"][: run + 1]
            await container.stop()
            service.send_signal(signal.SIGTERM)
            with trio.fail_after(9):
                assert await service.wait() == 0
            told = await output(service)
            assert f"info listening on {folder / 's'}\n" in told
            assert told.endswith("info the store is closed\n")
        assert not (folder / "s").exists()


@pytest.mark.slow
async def test_the_first_answer_needs_no_store_and_comes_soon(folder: Path) -> None:
    """The socket is there before the process, as under the supervisor, so that the first call waits for nothing else."""
    with socket.socket(socket.AF_UNIX) as handed_down:
        handed_down.bind(str(folder / "s"))
        handed_down.listen()
        os.set_inheritable(handed_down.fileno(), True)
        number = handed_down.fileno()
        async with process(folder, "--socket", f"fd://{number}", pass_fds=[number]) as service:
            with trio.fail_after(10):
                answer = await FakeDocker(folder / "s", folder).call("/LogDriver.Capabilities")
            assert answer.document["Cap"] == {"ReadLogs": True}
            service.terminate()
            assert await service.wait() == 0
        assert (folder / "s").exists()


@pytest.mark.slow
async def test_settings_that_cannot_be_read_are_reported_and_stop_nothing(folder: Path) -> None:
    variables = {
        "LOGBOOM_MAX_SIZE": "large",
        "LOGBOOM_LOG_LEVEL": "loud",
        "LOGBOOM_SOCKET": str(folder / "s"),
    }
    async with process(folder, variables=variables) as service:
        await FakeDocker(folder / "s", folder).wait_ready()
        service.send_signal(signal.SIGINT)
        assert await service.wait() == 0
        told = await output(service)
    assert "error setting LOGBOOM_MAX_SIZE: 'large' is not a size" in told
    assert "error setting LOGBOOM_LOG_LEVEL: 'loud'" in told


@pytest.mark.slow
async def test_all_open_files_that_are_allowed_are_used(folder: Path) -> None:
    """A shell's limit of 1,024 would be reached with a few hundred containers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        async with process(folder, "--socket", str(folder / "s")) as service:
            await FakeDocker(folder / "s", folder).wait_ready()
            limits = Path(f"/proc/{service.pid}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert line.split()[3:5] == [str(hard), str(hard)]


@pytest.mark.slow
async def test_a_socket_that_cannot_be_used_is_said_in_one_line(folder: Path) -> None:
    (folder / "s").write_text("no socket")
    async with process(folder, "--socket", str(folder / "s")) as service:
        assert await service.wait() == serve.FAILED
        assert (
            await output(service)
            == f"error cannot listen on {folder / 's'}: there is something else than a socket\n"
        )


def test_a_store_that_cannot_be_opened_is_said_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log had only "Exceptions from Trio nursery (1 sub-exception)"."""

    def fail(_settings: Settings) -> NoReturn:
        raise _core.StorageError("cannot make an eventfd: Too many open files")

    monkeypatch.setattr(app, "run", partial(app.run, opener=fail))
    # What a process does to itself, and tests share one.
    monkeypatch.setattr(app, "_raise_file_limit", lambda: None)
    monkeypatch.setattr(serve, "start_log", lambda _level: None)
    # `make` and CI have settings of their own there, which the service would name first.
    for name in [name for name in os.environ if name.startswith("LOGBOOM_")]:
        monkeypatch.delenv(name)
    arguments = ["serve", "--data", str(folder / "data"), "--socket", str(folder / "s")]
    assert cli.main(arguments) == serve.FAILED
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["cannot make an eventfd: Too many open files"]


def test_the_version_is_the_cores(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"logboom {_core.version()}\n"


@pytest.mark.parametrize("arguments", [[], ["sing"], ["serve", "--colour"]])
def test_a_command_line_that_makes_no_sense_ends_with_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert "Usage: logboom" in capsys.readouterr().err
