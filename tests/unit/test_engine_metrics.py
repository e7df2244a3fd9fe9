"""What dockerd's socket may do, and what is said of it."""

import socket
from pathlib import Path

import pytest
import trio

from logboom.engine_metrics import (
    FETCH_SECONDS,
    TEXT_LIMIT_BYTES,
    EngineMetrics,
    EngineMetricsError,
)
from tests.support.api import http_answer, serving_metrics

TEXT = b"# TYPE engine_x gauge\nengine_x 1\n"


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "metrics.sock"


@pytest.fixture
def metrics(path: Path) -> EngineMetrics:
    return EngineMetrics(path)


def leave_stale(path: Path) -> None:
    """As a dockerd leaves it that has ended."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))


async def problem_of(metrics: EngineMetrics) -> str:
    with pytest.raises(EngineMetricsError) as caught:
        await metrics.fetch()
    assert metrics.problem == str(caught.value)
    return str(caught.value)


async def test_it_is_asked_without_being_told_since_a_new_worker_is_not_told_again(
    path: Path, metrics: EngineMetrics
) -> None:
    async with serving_metrics(path, lambda: http_answer(TEXT)):
        assert await metrics.fetch() == TEXT
    assert metrics.problem is None


async def test_chunks_and_an_end_by_closing_are_read(path: Path, metrics: EngineMetrics) -> None:
    answers = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na 1\r\n1\r\n\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\na 1\n",
    ]
    async with serving_metrics(path, answers.pop):
        assert await metrics.fetch() == b"a 1\n"
        assert await metrics.fetch() == b"a 1\n"


async def test_after_dockerd_has_said_that_it_ends_it_is_not_asked_until_it_begins(
    path: Path, metrics: EngineMetrics
) -> None:
    async with serving_metrics(path, lambda: http_answer(TEXT)):
        metrics.stop()
        assert await problem_of(metrics) == "dockerd has said that it ends"
        metrics.start()
        assert await metrics.fetch() == TEXT


async def test_a_refusal_after_dockerd_has_called_is_a_stale_socket_and_the_message_has_what_mends_it(
    path: Path, metrics: EngineMetrics
) -> None:
    """With live-restore, a dockerd that starts has another socket than the one that was mounted here."""
    async with serving_metrics(path, lambda: http_answer(TEXT)):
        metrics.start()
        await metrics.fetch()
    leave_stale(path)
    assert await problem_of(metrics) == f"{path} refuses connections: dockerd does not run"
    metrics.start()
    for _ in range(2):
        problem = await problem_of(metrics)
        assert "as live-restore leaves it" in problem
        assert "`docker plugin disable -f logboom`" in problem
        assert "`docker plugin enable --timeout 0 logboom`" in problem


async def test_a_refusal_before_anybody_has_called_is_no_stale_socket(
    path: Path, metrics: EngineMetrics
) -> None:
    leave_stale(path)
    assert "dockerd does not run" in await problem_of(metrics)


async def test_a_missing_socket_is_named(path: Path, metrics: EngineMetrics) -> None:
    assert str(path) in await problem_of(metrics)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na 1\n",
        http_answer(b"a 1\n", status=500),
    ],
)
async def test_an_answer_that_is_none_is_a_problem(
    path: Path, metrics: EngineMetrics, answer: bytes
) -> None:
    async with serving_metrics(path, lambda: answer):
        assert "dockerd" in await problem_of(metrics)


async def test_the_longest_text_is_taken_and_a_longer_one_is_not(
    path: Path, metrics: EngineMetrics
) -> None:
    text = b"#" * (TEXT_LIMIT_BYTES - 1) + b"\n"
    async with serving_metrics(path, lambda: http_answer(text)):
        assert await metrics.fetch() == text
        text = b"#" + text
        assert str(TEXT_LIMIT_BYTES) in await problem_of(metrics)


async def test_a_dockerd_that_does_not_answer_is_not_waited_for(
    path: Path, metrics: EngineMetrics
) -> None:
    async with serving_metrics(path, lambda: None):
        begun = trio.current_time()
        assert str(FETCH_SECONDS) in await problem_of(metrics)
        assert trio.current_time() - begun < FETCH_SECONDS + 0.5


async def test_the_log_is_told_of_a_stale_socket_before_anybody_scrapes_and_once_only(
    path: Path, metrics: EngineMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    leave_stale(path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(metrics.watch)
        for _ in range(3):
            metrics.start()
            with trio.fail_after(10):
                while metrics._told.is_set() or metrics.problem is None:
                    await trio.sleep(0.001)
        metrics.close()
    assert caplog.text.count("as live-restore leaves it") == 1
