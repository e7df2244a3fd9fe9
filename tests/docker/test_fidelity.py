"""What a container prints comes back byte for byte, by every way of reading it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from engines.private import Engine
from tests.conformance.oracle import Query
from tests.docker.outputs import CORPORA, NASTY, corpora
from tests.docker.support import Api, container_id, stored_text, stream_folder, wait_stored

STORED_DEADLINE_S = 3
"""So soon after a container's end, all of it is in segments: a promise to whoever reads them with ``zstdcat``."""


class Output:
    """A container that prints a file and ends."""

    def __init__(self, engine: Engine, content: bytes, *, options: Sequence[str] = ()) -> None:
        self._engine = engine
        self._folder = engine.home / "output"
        self._folder.mkdir(exist_ok=True)
        (self._folder / "content").write_bytes(content)
        self.name = "output"
        engine.docker("rm", "--force", self.name, check=False)
        self._options = [
            f"--name={self.name}",
            "--network=none",
            "--log-driver=logboom",
            f"--volume={self._folder}:/output:ro",
            *options,
        ]

    def run(self, script: str = "cat /output/content") -> None:
        self._engine.docker("run", "--detach", *self._options, "bb", "sh", "-c", script)
        self._engine.docker("wait", self.name)

    @property
    def folder(self) -> Path:
        return stream_folder(self._engine.home / "data", self._engine, self.name)


@pytest.mark.parametrize("name", NASTY)
async def test_an_output_comes_back(name: str, engine: Engine) -> None:
    await check_output(engine, NASTY[name])


async def test_real_logs_come_back(engine: Engine) -> None:
    found = corpora()
    if not found:
        pytest.skip(
            f"there are no real logs in {CORPORA}; LOGBOOM_TEST_CORPORA names another folder"
        )
    for content in found.values():
        await check_output(engine, content)


async def check_output(engine: Engine, content: bytes) -> None:
    output = Output(engine, content)
    output.run()
    stored = await wait_stored(output.folder, len(content), STORED_DEADLINE_S)
    assert stored == content
    read = engine.docker("logs", output.name)
    assert read.stdout == content
    assert read.stderr == b""
    async with Api(engine).open_logs(output.name, Query()) as reading:
        entries = await reading.rest()
    assert b"".join(entry.line for entry in entries) == content
    times = [entry.time_ns for entry in entries]
    assert times == sorted(times)


@pytest.mark.parametrize("name", ["invalid UTF-8", "newlines on many boundaries", "noise"])
async def test_an_output_comes_back_to_a_follower(name: str, engine: Engine) -> None:
    content = NASTY[name]
    output = Output(engine, content)
    (engine.home / "output/go").unlink(missing_ok=True)
    engine.docker(
        "run", "--detach", *output._options, "bb", "sh", "-c",
        "until [ -e /output/go ]; do sleep 0.02; done; cat /output/content",
    )  # fmt: skip
    async with Api(engine).open_logs(output.name, Query(follow=True)) as reading:
        (engine.home / "output/go").touch()
        entries = await reading.rest()
    assert b"".join(entry.line for entry in entries) == content


async def test_both_streams_come_back_apart(engine: Engine) -> None:
    first, second = NASTY["log lines"], NASTY["short lines"]
    output = Output(engine, first)
    (engine.home / "output/second").write_bytes(second)
    output.run("cat /output/second >&2 & cat /output/content; wait")
    read = engine.docker("logs", output.name)
    assert read.stdout == first
    assert read.stderr == second
    stored = await wait_stored(output.folder, len(first) + len(second), STORED_DEADLINE_S)
    lines = stored.splitlines(keepends=True)
    log_lines = set(first.splitlines(keepends=True))
    assert b"".join(line for line in lines if line in log_lines) == first
    assert b"".join(line for line in lines if line not in log_lines) == second


@pytest.mark.parametrize(
    "name", ["log lines", "colours", "blank lines", "NUL", "a newline on the boundary"]
)
async def test_the_output_of_a_terminal_comes_back(name: str, engine: Engine) -> None:
    """The terminal makes CR LF of each newline; so it is what the terminal gives that must come back."""
    content = NASTY[name]
    output = Output(engine, content, options=["--tty"])
    output.run()
    shown = content.replace(b"\n", b"\r\n")
    assert engine.docker("logs", output.name).stdout == shown
    assert await wait_stored(output.folder, len(shown), STORED_DEADLINE_S) == shown


async def test_a_message_over_16_kib_is_given_in_pieces_that_one_can_join(engine: Engine) -> None:
    content = b"x" * 40_000 + b"\n"
    output = Output(engine, content)
    output.run()
    async with Api(engine).open_logs(output.name, Query()) as reading:
        entries = await reading.rest()
    assert [len(entry.line) for entry in entries] == [16384, 16384, 40_001 - 2 * 16384]
    assert len({entry.time_ns for entry in entries}) == 1


async def test_attach_shows_the_log_of_before(engine: Engine) -> None:
    """``logs=1`` of the API, which the docker client has no word for."""
    output = Output(engine, NASTY["log lines"])
    output.run()
    api = Api(engine)
    identifier = container_id(engine, output.name)
    with trio.fail_after(60):
        async with api.request(
            f"/containers/{identifier}/attach?logs=1&stdout=1&stderr=1", "POST"
        ) as connection:
            answer = b"".join([piece async for piece in connection.body()])
    assert api.demultiplexed(answer) == NASTY["log lines"]


@pytest.mark.parametrize("name", ["log lines", "long and short lines", "no newline at the end"])
async def test_non_blocking_mode_keeps_what_fits_its_buffer(name: str, engine: Engine) -> None:
    options = ["--log-opt=mode=non-blocking", "--log-opt=max-buffer-size=64m"]
    output = Output(engine, NASTY[name], options=options)
    output.run()
    assert engine.docker("logs", output.name).stdout == NASTY[name]
    assert await wait_stored(output.folder, len(NASTY[name]), STORED_DEADLINE_S) == NASTY[name]


async def test_text_that_is_stored_uncompressed_is_read_by_zstdcat_too(engine: Engine) -> None:
    output = Output(engine, NASTY["log lines"], options=["--log-opt=compress=false"])
    output.run()
    stored = await wait_stored(output.folder, len(NASTY["log lines"]), STORED_DEADLINE_S)
    assert stored == NASTY["log lines"]
    assert engine.docker("logs", output.name).stdout == NASTY["log lines"]


async def test_segments_of_a_large_log_print_as_one_text(engine: Engine) -> None:
    content = NASTY["log lines"] * 20
    output = Output(engine, content, options=["--log-opt=max-size=200k", "--log-opt=max-file=1000"])
    output.run()
    assert await wait_stored(output.folder, len(content), STORED_DEADLINE_S) == content
    assert len(list(output.folder.glob("*.zst"))) > 5
    assert engine.docker("logs", output.name).stdout == content
    tail = engine.docker("logs", "--tail=12345", output.name).stdout
    assert tail == b"".join(content.splitlines(keepends=True)[-12345:])
    assert stored_text(output.folder) == content
