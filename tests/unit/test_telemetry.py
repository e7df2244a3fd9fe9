import io
import logging
import os

import pytest

from logboom.telemetry import LINE_LIMIT, ROOT, start_log


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ROOT, "handlers", [])
    monkeypatch.setattr(ROOT, "propagate", True)
    monkeypatch.setattr(ROOT, "level", logging.NOTSET)
    monkeypatch.setattr(logging, "raiseExceptions", True)


def test_a_message_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    start_log("info")
    logging.getLogger("logboom.plugin").info("two\nlines and \x1b[31m colours of %s", "a container")
    assert capsys.readouterr().err == "info two\\nlines and \\x1b[31m colours of a container\n"


def test_a_message_is_cut_at_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    start_log("info")
    ROOT.error("%s", "x" * LINE_LIMIT)
    line = capsys.readouterr().err
    assert len(line) == LINE_LIMIT + 1
    assert line.endswith("x...\n")


def test_an_exception_is_told_in_the_same_line(capsys: pytest.CaptureFixture[str]) -> None:
    start_log("info")
    try:
        raise ExceptionGroup("several", [ValueError("what went wrong")])
    except ExceptionGroup:
        ROOT.exception("a task failed")
    line = capsys.readouterr().err
    assert line.startswith("error a task failed: ValueError: what went wrong")
    assert line.count("\n") == 1


def test_the_level_holds_and_starting_twice_does_not_double_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    start_log("info")
    start_log("warning")
    ROOT.info("hidden")
    ROOT.warning("shown")
    assert capsys.readouterr().err == "warning shown\n"


class _Broken(io.StringIO):
    def write(self, _: str) -> int:  # type: ignore[explicit-override]
        raise BrokenPipeError


def test_a_broken_stderr_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", _Broken())
    start_log("info")
    ROOT.error("nobody hears it")


def test_a_line_is_dropped_when_nobody_takes_it_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """dockerd was busy with a disk of its own, and the service waited with it."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", buffering=0) as taken, os.fdopen(write_end, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        start_log("info")
        # Hangs here, in the test's own time limit, when it waits.
        for number in range(1000):
            ROOT.info("%d %s", number, "x" * 500)
        said = taken.read(1 << 20).decode().splitlines()
        assert 50 < len(said) < 1000
        assert [line.split()[1] for line in said] == [str(number) for number in range(len(said))]
        ROOT.info("heard")
        lost = 1000 - len(said)
        assert taken.read(1 << 20).decode().splitlines() == [
            f"warning {lost} lines were dropped since nobody took them",
            "info heard",
        ]
