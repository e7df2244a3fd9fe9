"""The docker client's ways of reading a log, and clients that behave badly."""

import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from engines.private import Engine
from tests.conformance.oracle import Query
from tests.docker.engine_stage import WorkerFiles
from tests.docker.support import DEADLINE_S, POLL_S, Api, Printer, docker, stream_folder, worker_pid


@pytest.fixture
async def printer(engine: Engine) -> AsyncIterator[Printer]:
    """A container that runs and prints what it is told to."""
    printer = Printer(engine, "printer", ["--log-driver=logboom"])
    await printer.start()
    yield printer
    await printer.remove()


@contextmanager
def client(engine: Engine, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The docker client while it runs."""
    with subprocess.Popen(
        engine.docker_command(*words),
        env=engine.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def read_until(process: "subprocess.Popen[bytes]", mark: bytes) -> bytes:
    """What it has printed when ``mark`` is there."""
    assert process.stdout is not None
    received = b""
    with trio.fail_after(DEADLINE_S):
        while mark not in received:
            await trio.lowlevel.wait_readable(process.stdout)
            piece = os.read(process.stdout.fileno(), 65536)
            assert piece, received
            received += piece
    return received


async def wait_logged(engine: Engine, count: int) -> None:
    with trio.fail_after(DEADLINE_S):
        while len((await docker(engine, "logs", "printer")).splitlines()) < count:
            await trio.sleep(POLL_S)


def numbered(first: int, end: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(first, end))


async def test_tail_since_until_and_timestamps(engine: Engine, printer: Printer) -> None:
    for first in range(0, 30, 10):
        await printer.print("stdout", numbered(first, first + 10))
        await wait_logged(engine, first + 10)
    async with Api(engine).open_logs("printer", Query()) as reading:
        entries = await reading.rest()
    assert b"".join(entry.line for entry in entries) == numbered(0, 30)

    def shown(*words: str) -> bytes:
        return engine.docker("logs", *words, "printer").stdout

    def option(name: str, time_ns: int) -> str:
        return f"--{name}={time_ns // 10**9}.{time_ns % 10**9:09}"

    since, until = option("since", entries[8].time_ns), option("until", entries[24].time_ns)
    assert shown("--tail=7") == numbered(23, 30)
    assert shown("--tail=0") == b""
    assert shown(since) == numbered(8, 30)
    assert shown(until) == numbered(0, 25)
    assert shown(since, until) == numbered(8, 25)
    assert shown("--tail=10", since, until) == numbered(20, 25)
    assert shown("--tail=25", since, until) == numbered(8, 25)
    stamped = shown("--timestamps", "--tail=1").split(b" ", 1)
    assert stamped[1] == b"line 29\n"
    assert shown("--details", "--tail=1").strip() == b"line 29"


@pytest.mark.parametrize("end", ["by itself", "kill", "stop", "restart"])
async def test_a_follower_ends_with_its_container_and_has_everything(
    end: str, engine: Engine, printer: Printer
) -> None:
    await printer.print("stdout", numbered(0, 100))
    with client(engine, "logs", "--follow", "printer") as process:
        await read_until(process, b"line 0\n")
        await printer.print("stdout", numbered(100, 20_000))
        await wait_logged(engine, 20_000)
        match end:
            case "by itself":
                await printer.let_end()
            case "kill":
                await docker(engine, "kill", "printer")
            case _:
                await docker(engine, end, "--time=0", "printer")
        rest, _ = await trio.to_thread.run_sync(process.communicate)
        assert process.returncode == 0
    assert rest.endswith(b"line 19999\n")
    assert engine.docker("logs", "printer").stdout == numbered(0, 20_000)


async def test_a_follower_sees_a_line_that_has_no_newline_yet_only_at_the_end(
    engine: Engine, printer: Printer
) -> None:
    with client(engine, "logs", "--follow", "printer") as process:
        await printer.print("stdout", b"whole\nhalf")
        assert await read_until(process, b"whole\n") == b"whole\n"
        await printer.let_end()
        rest, _ = await trio.to_thread.run_sync(process.communicate)
    assert rest == b"half"


async def test_follow_since_and_until_moments_to_come(engine: Engine, printer: Printer) -> None:
    """Times are dockerd's: what is read must agree with a reading of everything."""
    await printer.print("stdout", b"before\n")
    await wait_logged(engine, 1)
    start_ns = time.time_ns()
    since_ns, until_ns = start_ns + 300_000_000, start_ns + 900_000_000
    query = Query(since_ns=since_ns, until_ns=until_ns, follow=True)
    async with trio.open_nursery() as nursery:

        async def print_on() -> None:
            number = 0
            while True:
                await printer.print("stdout", b"line %d\n" % number)
                number += 1
                await trio.sleep(0.05)

        nursery.start_soon(print_on)
        async with Api(engine).open_logs("printer", query) as reading:
            followed = await reading.rest()
        nursery.cancel_scope.cancel()
    async with Api(engine).open_logs("printer", Query()) as reading:
        entries = await reading.rest()
    wanted = [entry for entry in entries if since_ns <= entry.time_ns <= until_ns]
    assert followed == wanted
    assert 0 < len(wanted) < len(entries)


async def test_follow_until_ends_at_that_moment_though_nothing_is_printed(
    engine: Engine, printer: Printer
) -> None:
    await printer.print("stdout", b"only\n")
    await wait_logged(engine, 1)
    until_ns = time.time_ns() + 500_000_000
    async with Api(engine).open_logs("printer", Query(until_ns=until_ns, follow=True)) as reading:
        assert [entry.line for entry in await reading.rest()] == [b"only\n"]
    assert time.time_ns() >= until_ns


async def test_a_client_that_is_killed_is_noticed(engine: Engine, printer: Printer) -> None:
    """dockerd notices when it has another line for it, and hangs up; then nothing of the reading may be left."""
    await printer.print("stdout", b"first\n")
    await wait_logged(engine, 1)
    before = WorkerFiles.of(engine)
    for _ in range(5):
        with client(engine, "logs", "--follow", "printer") as process:
            await read_until(process, b"first\n")
            process.send_signal(signal.SIGKILL)
            process.wait()
    with trio.fail_after(DEADLINE_S):
        while not WorkerFiles.of(engine).has_at_most_as_many_as(before):
            await printer.print("stdout", b"another\n")
            await trio.sleep(POLL_S)


async def test_a_client_that_does_not_read_holds_up_nobody(
    engine: Engine, printer: Printer
) -> None:
    line = b"x" * 1000 + b"\n"
    with client(engine, "logs", "--follow", "printer") as stalled:
        await printer.print("stdout", b"begin\n")
        await read_until(stalled, b"begin\n")
        # More than all buffers between the plugin and that client hold.
        with trio.fail_after(DEADLINE_S):
            for _ in range(40):
                await printer.print("stdout", line * 1000)
            async with Api(engine).open_logs("printer", Query(tail=1, follow=True)) as reading:
                await printer.print("stdout", b"end\n")
                while (await reading.next()).line != b"end\n":
                    pass
        assert engine.docker("logs", "--tail=1", "printer").stdout == b"end\n"
        await printer.let_end()
        await docker(engine, "wait", "printer")
        # It gets everything when it reads on, though the container has ended.
        rest, _ = await trio.to_thread.run_sync(stalled.communicate)
    assert rest == line * 40_000 + b"end\n"


async def test_reading_a_stopped_container_leaves_no_trace_in_the_store(
    engine: Engine, printer: Printer
) -> None:
    await printer.print("stdout", numbered(0, 10))
    await wait_logged(engine, 10)
    await printer.stop()
    folder = stream_folder(engine.home / "data", engine, "printer")
    await wait_compressed(folder)
    before = facts(folder.parent)
    for words in ((), ("--tail=3",), ("--follow",), ("--since=1h",)):
        engine.docker("logs", *words, "printer")
    assert facts(folder.parent) == before


async def test_reading_a_container_that_never_printed_leaves_no_trace_in_the_store(
    engine: Engine, printer: Printer
) -> None:
    await printer.stop()
    folder = stream_folder(engine.home / "data", engine, "printer")
    assert engine.docker("logs", "printer").stdout == b""
    assert not folder.exists()


async def test_a_container_that_was_created_and_never_started_has_an_empty_log(
    engine: Engine,
) -> None:
    engine.docker("create", "--name=created", "--log-driver=logboom", "bb", "true")
    assert engine.docker("logs", "created").stdout == b""
    assert not stream_folder(engine.home / "data", engine, "created").exists()
    engine.docker("rm", "created")


async def test_no_fifo_is_left_when_all_containers_are_gone(
    engine: Engine, printer: Printer
) -> None:
    await printer.print("stdout", b"line\n")
    await wait_logged(engine, 1)
    await printer.stop()
    engine.docker("logs", "printer")
    (identifier,) = engine.docker_text("plugin", "ls", "--quiet", "--no-trunc").split()
    mount = engine.data_root / "plugins" / identifier / "propagated-mount"
    with trio.fail_after(DEADLINE_S):
        while list((mount / "logging").iterdir()) or list((mount / "logboom").iterdir()):
            await trio.sleep(POLL_S)
    assert worker_pid(engine) is not None


async def wait_compressed(folder: Path) -> None:
    with trio.fail_after(DEADLINE_S):
        while list(folder.glob("*.journal")) or not list(folder.glob("*.zst")):
            await trio.sleep(POLL_S)


def facts(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything below."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }
