"""``logboom logs`` over a store in files."""

import base64
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from logboom import cli
from logboom.cli import FAILED
from tests.format.frames import encode_metadata
from tests.support.written_store import SECOND_NS, START_NS, WrittenStore, entry
from tests.unit.cli.conftest import Run, environment

WEB = "a" * 64
DATABASE = "c" * 64


def web(number: int) -> str:
    return f"{number:x}" * 64


def test_each_stream_goes_where_it_came_from(run: Run, written: WrittenStore) -> None:
    written.run(
        WEB, "web", [entry(0, "out"), entry(1, "err", source="stderr"), entry(2, "out again")]
    )
    done = run("logs", "web")
    assert (done.stdout, done.stderr) == (b"out\nout again\n", b"err\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--tail", "2"], "89"),
        (["-n", "0"], ""),
        (["-n", "-1"], "0123456789"),
        (["--tail", "all"], "0123456789"),
        (["--since", "2026-01-31T12:00:07Z"], "789"),
        (["--since", f"{START_NS // SECOND_NS + 6}.5"], "789"),
        (["--until", "2026-01-31T12:00:02"], "012"),
        (["--since", "2026-01-31T12:00:03Z", "--until", "2026-01-31T12:00:04Z"], "34"),
        (["--tail", "5", "--since", "2026-01-31T12:00:08Z"], "89"),
        (["--stream", "stdout"], "02468"),
        (["--stream", "stderr"], "13579"),
        (["--since", "10m"], ""),
    ],
)
def test_entries_are_chosen(
    run: Run, written: WrittenStore, arguments: list[str], expected: str
) -> None:
    sources = ["stdout", "stderr"]
    written.run(
        WEB, "web", [entry(second, str(second), source=sources[second % 2]) for second in range(10)]
    )
    done = run("logs", *arguments, "web")
    assert sorted((done.stdout + done.stderr).decode().split()) == list(expected)


def test_times_and_attributes_stand_before_each_line(run: Run, written: WrittenStore) -> None:
    written.run(WEB, "web", [entry(1.5, "hello")], attributes={"tier": "a b", "app": "shop"})
    stamp = b"2026-01-31T12:00:01.500000000Z "
    assert run("logs", "-t", "web").stdout == stamp + b"hello\n"
    assert run("logs", "-t", "--details", "web").stdout == stamp + b"app=shop,tier=a+b hello\n"
    local = run("logs", "-t", "web", TZ="CET-1CEST,M3.5.0,M10.5.0/3").stdout
    assert local == b"2026-01-31T13:00:01.500000000+01:00 hello\n"
    assert run("logs", "-t", "--utc", "web", TZ="CET-1").stdout == stamp + b"hello\n"


def test_json_has_every_byte_and_goes_to_stdout(run: Run, written: WrittenStore) -> None:
    written.run(WEB, "web", [entry(0, b"a\xff\x00", source="stderr")])
    done = run("logs", "--json", "web")
    assert done.stderr == b""
    document = json.loads(done.stdout)
    assert base64.b64decode(document.pop("line_base64")) == b"a\xff\x00"
    assert document == {
        "name": "web",
        "id": WEB,
        "time": "2026-01-31T12:00:00.000000000Z",
        "stream": "stderr",
        "line": "a\ufffd\0",
        "sequence": 0,
    }


def test_a_name_means_all_containers_that_bore_it(run: Run, written: WrittenStore) -> None:
    for number in range(3):
        lines = [entry(10 * number + second, f"{number}.{second}") for second in range(2)]
        written.run(web(number), "web", lines)
    assert run("logs", "web").stdout == b"0.0\n0.1\n1.0\n1.1\n2.0\n2.1\n"
    assert run("logs", "--tail", "3", "web").stdout == b"1.1\n2.0\n2.1\n"
    assert run("logs", "--last", "web").stdout == b"2.0\n2.1\n"
    assert run("logs", "111").stdout == b"1.0\n1.1\n"


def test_two_hundred_containers_are_merged_by_time(run: Run, written: WrittenStore) -> None:
    """Half of them overlap in time, the others ran one after another."""
    expected = []
    for number in range(200):
        begin = number * 10 if number % 2 else number % 7
        seconds = [begin + step * (300 if number % 2 == 0 else 1) for step in range(5)]
        lines = [entry(second + number / 1000, f"{number}-{second}") for second in seconds]
        written.run(f"{number:064x}", f"web-{number}", lines)
        expected += [(line.time_ns, f"web-{number}", line.line.decode()) for line in lines]
    listed = run("ls", "--json").stdout.splitlines()
    assert len(listed) == 200
    shown = run("logs", "web-*").stdout.decode().splitlines()
    assert shown == [f"{name:7} | {line}" for _, name, line in sorted(expected)]


def test_more_files_are_open_than_a_shell_allows(written: WrittenStore) -> None:
    for number in range(40):
        written.start(f"{number:064x}", "web")
        written.print(f"{number:064x}", [entry(0, "begin"), entry(number + 1, "end")])
    done = subprocess.run(
        ["bash", "-c", f"ulimit -Sn 50; exec {sys.executable} -m logboom logs web"],
        env=environment(written, {}),
        capture_output=True,
        check=True,
    )
    assert done.stdout == 40 * b"begin\n" + 40 * b"end\n"


def test_a_log_that_cannot_be_read_hides_no_other(run: Run, written: WrittenStore) -> None:
    written.run(DATABASE, "db", [entry(1, "two")])
    broken = written.data / "containers" / WEB
    # A folder where a segment is expected cannot be read.
    (broken / f"{0:020}.zst").mkdir(parents=True)
    done = run("logs", "db", WEB)
    assert done.stdout == b"db           | two\n"
    assert done.stderr.startswith(
        b"aaaaaaaaaaaa | logboom: the stream cannot be read: cannot read "
    )
    listed = run("ls", "--json")
    assert len(listed.stdout.splitlines()) == 2
    assert listed.stderr.startswith(b"Warning: aaaaaaaaaaaa cannot be read: cannot read ")


def test_the_order_within_a_container_is_that_of_arrival(run: Run, written: WrittenStore) -> None:
    written.run(WEB, "web", [entry(5, "first"), entry(1, "set back"), entry(6, "last")])
    written.run(DATABASE, "db", [entry(2, "early"), entry(5.5, "late")])
    assert run("logs", "web", "db").stdout.decode().split("\n") == [
        *("db  | early", "web | first", "web | set back", "db  | late", "web | last", "")
    ]


def test_pieces_of_a_line_stay_together(run: Run, written: WrittenStore) -> None:
    piece = replace(entry(0, "be"), partial=True)
    written.run(
        WEB,
        "web",
        [piece, replace(entry(9, "gin"), partial=True, metadata=encode_metadata(2, last=True))],
    )
    written.run(DATABASE, "db", [entry(5, "between")])
    assert run("logs", "web").stdout == b"begin\n"
    assert run("logs", "web", "db").stdout == b"web | begin\ndb  | between\n"


def test_a_line_without_an_end_is_given_in_parts_and_stays_whole(
    run: Run, written: WrittenStore
) -> None:
    """Longer than what is read at once, of a container that prints while another does."""
    pieces = [replace(entry(number, "x" * 16_384), partial=True) for number in range(200)]
    end = replace(entry(200, "end"), partial=True, metadata=encode_metadata(201, last=True))
    written.run(WEB, "web", [*pieces, end])
    written.run(DATABASE, "db", [entry(number, "between") for number in (5, 100, 199)])
    first, *others = run("logs", "web", "db").stdout.splitlines()
    assert first == b"web | " + b"x" * 200 * 16_384 + b"end"
    assert others == [b"db  | between"] * 3


def test_colours_are_for_terminals(written: WrittenStore) -> None:
    written.run(WEB, "web", [entry(0, "one")])
    written.run(DATABASE, "db", [entry(1, "two")])
    plain = b"web | one\r\ndb  | two\r\n"
    coloured = b"\x1b[36mweb | \x1b[0mone\r\n\x1b[33mdb  | \x1b[0mtwo\r\n"
    for variables, expected in ({}, coloured), ({"NO_COLOR": "1"}, plain):
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "logboom", "logs", "web", "db"]
        subprocess.run(command, stdout=theirs, env=environment(written, variables), check=True)
        assert os.read(ours, 1000) == expected
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["wbe"], "no container 'wbe' in the store; did you mean web?"),
        (["nothing"], "no container 'nothing' in the store; logboom ls shows what there is"),
        (["nothing*"], "no name in the store matches 'nothing*'; logboom ls shows them"),
        (["a"], "'a' begins 2 ids, such as aaaaaaaaaaaa, abababababab: write more of it"),
    ],
)
def test_a_name_that_means_nothing_is_said(
    run: Run, written: WrittenStore, names: list[str], message: str
) -> None:
    written.run(WEB, "web", [entry(0, "one")])
    written.run("ab" * 32, "db", [entry(1, "two")])
    assert run("logs", *names, code=1).stderr.decode() == f"Error: {message}\n"


@pytest.mark.parametrize(
    "arguments",
    [["--tail", "many"], ["--since", "yesterday"], ["--stream", "stdin"], ["--colour"]],
)
def test_what_makes_no_sense_is_said_with_the_usage(run: Run, arguments: list[str]) -> None:
    done = run("logs", *arguments, "web", code=2)
    assert done.stderr.startswith(b"Usage: logboom logs ")


def test_a_closed_pipe_is_no_error(written: WrittenStore) -> None:
    written.run(WEB, "web", [entry(0, "x" * 1000)] * 5000)
    command = f"{sys.executable} -m logboom logs web | head -n1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], env=environment(written, {}), capture_output=True, check=True
    )
    assert done.stdout.split() == [b"x" * 1000, b"0"]
    assert done.stderr == b""


@pytest.mark.parametrize(
    "command", ["ls", "logs web", "export web", "stats", "doctor --engine /dev/null", "verify"]
)
def test_a_full_disk_behind_stdout_is_said_in_one_line(written: WrittenStore, command: str) -> None:
    """It was told by a traceback."""
    written.run(WEB, "web", [entry(0, "one")])
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "logboom", *command.split()],
            env=environment(written, {}),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (FAILED, b"Error: No space left on device\n")


@contextmanager
def following(
    written: WrittenStore, folder: Path, *arguments: str
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[bytes], None]]]:
    shown = folder / "shown"
    with shown.open("wb") as file:
        started = subprocess.Popen(
            [sys.executable, "-m", "logboom", "logs", *arguments],
            env=environment(written, {}),
            stdout=file,
            stderr=subprocess.PIPE,
        )

    def wait_for(expected: bytes) -> None:
        deadline = time.monotonic() + 20
        while shown.read_bytes() != expected:
            assert time.monotonic() < deadline, shown.read_bytes()
            time.sleep(0.01)

    # Its pipes are closed with it.
    with started:
        try:
            yield started, wait_for
        finally:
            started.kill()


def test_a_follower_goes_on_over_restarts_and_ends_with_ctrl_c(
    written: WrittenStore, folder: Path
) -> None:
    written.start(WEB, "web")
    written.print(WEB, [entry(0, "one"), entry(1, "two")])
    with following(written, folder, "-f", "--tail", "1", "web") as (started, wait_for):
        wait_for(b"two\n")
        written.print(WEB, [entry(2, "three")])
        wait_for(b"two\nthree\n")
        written.stop(WEB)
        written.run(WEB, "web", [entry(3, "again")])
        wait_for(b"two\nthree\nagain\n")
        written.run(DATABASE, "web", [entry(4, "another of that name")])
        wait_for(b"two\nthree\nagain\nanother of that name\n")
        started.send_signal(signal.SIGINT)
        assert started.wait() == 130
        assert started.stderr is not None
        assert started.stderr.read().strip() == b""


def test_a_follower_takes_in_new_containers(written: WrittenStore, folder: Path) -> None:
    with following(written, folder, "-f", "web-*") as (_, wait_for):
        wait_for(b"")
        written.run(WEB, "web-1", [entry(0, "one")])
        written.run(DATABASE, "db", [entry(0, "not this")])
        wait_for(b"web-1 | one\n")


def test_a_follower_ends_at_until(written: WrittenStore, folder: Path) -> None:
    written.start(WEB, "web")
    written.print(WEB, [entry(0, "one")])
    with following(written, folder, "-f", "--until", "2100-01-01", "web") as (started, wait_for):
        wait_for(b"one\n")
        written.print(WEB, [entry(80 * 365 * 86_400, "too late")])
        assert started.wait(20) == 0
        wait_for(b"one\n")


class Clock:
    """In place of ``time``: it goes on only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_ns = START_NS
        self.on_sleep: Callable[[], None] = lambda: None

    def time_ns(self) -> int:
        return self.now_ns

    def monotonic(self) -> float:
        return self.now_ns / SECOND_NS

    def sleep(self, seconds: float) -> None:
        self.on_sleep()
        self.now_ns += int(seconds * SECOND_NS)


@pytest.fixture
def clock(written: WrittenStore, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("logboom.cli.logs.time", clock)
    monkeypatch.setenv("LOGBOOM_DATA", str(written.data))
    monkeypatch.setenv("LOGBOOM_FIFO_ROOT", str(written.root))
    return clock


UNTIL_NS = START_NS + 3 * SECOND_NS
UNTIL = str(UNTIL_NS // SECOND_NS)


def test_a_follower_with_until_waits_for_the_first_container(
    written: WrittenStore, clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    """It ended at once, for all of no logs had come to their end."""

    def begin() -> None:
        clock.on_sleep = lambda: None
        written.run(WEB, "web-1", [entry(1, "one")])

    clock.on_sleep = begin
    assert cli.main(["logs", "-f", "--until", UNTIL, "web-*"]) == 0
    assert capfd.readouterr().out == "web-1 | one\n"


def test_a_follower_with_until_shows_what_is_written_a_little_late(
    written: WrittenStore, clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    """Entries are dated before they are written, and the last look could come in the very moment of the end."""
    written.start(WEB, "web")
    written.print(WEB, [entry(0, "one")])

    def print_late() -> None:
        if clock.now_ns > UNTIL_NS:
            clock.on_sleep = lambda: None
            written.print(WEB, [entry(3, "two")])

    clock.on_sleep = print_late
    assert cli.main(["logs", "-f", "--until", UNTIL, "web"]) == 0
    assert capfd.readouterr().out == "one\ntwo\n"
