import json
import logging
import threading
from types import ModuleType
from typing import NoReturn

import pytest
import trio

from logboom import _core
from logboom.asgi import BODY_LIMIT_BYTES
from logboom.errors import RequestError
from logboom.plugin import rpc, sessions
from tests.support.fake_docker import Entry, FakeDocker, HttpConnection, container_info
from tests.support.fake_store import FakeStore

READ_LOGS = {"Info": {"ContainerID": "c1"}, "Config": {"Tail": -1}}


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/Plugin.Activate", {"Implements": ["LogDriver", "MetricsCollector"]}),
        ("/LogDriver.Capabilities", {"Cap": {"ReadLogs": True}, "Err": ""}),
        ("/MetricsCollector.StartMetrics", {"Err": ""}),
        ("/MetricsCollector.StopMetrics", {"Err": ""}),
    ],
)
@pytest.mark.parametrize("body", [b"", b"{}\n", b"not JSON"])
async def test_calls_without_argument_take_any_body(
    docker: FakeDocker, path: str, document: object, body: bytes
) -> None:
    answer = await docker.call(path, body=body)
    assert (answer.status, answer.document) == (200, document)
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"] == "application/json"


async def test_starting_attaches_and_stopping_detaches(
    docker: FakeDocker, store: FakeStore
) -> None:
    container = await docker.start_container(
        "c1", {"max-size": "1m", "max-file": "2", "max-age": "1h", "compress": "0"}
    )
    (session,) = store.sessions.values()
    facts = session.pop("facts")
    assert '"name":"quirky_boom"' in facts
    assert session == {
        "file": container.file,
        "container_id": "c1",
        "max_size_bytes": 1_000_000,
        "max_file": 2,
        "max_age_s": 3600,
        "compress": False,
    }
    await container.stop()
    assert store.sessions == {}


async def test_a_log_is_read_over_http_1_1_only(docker: FakeDocker) -> None:
    """Its chunks are made for that; HTTP/1.0 has none."""
    connection = await HttpConnection.dial(docker.socket)
    body = json.dumps(READ_LOGS).encode()
    await connection.send_raw(
        b"POST /LogDriver.ReadLogs HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    await connection.receive_head()
    assert connection.status == 505
    await connection.close()


async def test_an_empty_body_is_an_error_where_a_retry_would_be_taken_for_a_success(
    docker: FakeDocker,
) -> None:
    """dockerd sends a request whose connection broke again without its body; ``{}`` would tell it that it worked."""
    for path in ("/LogDriver.StartLogging", "/LogDriver.ReadLogs"):
        answer = await docker.call(path)
        assert answer.status == 400
        assert "has no body" in answer.error


async def test_an_empty_body_stops_logging_without_an_error(
    docker: FakeDocker, store: FakeStore
) -> None:
    """An error would make dockerd keep the FIFO and its hold on the plugin for ever; it removes the FIFO after a success.

    It was answered before the store was open, so what the FIFO held after a kill of the worker was lost.
    """
    answer = await docker.call("/LogDriver.StopLogging")
    assert (answer.status, answer.document) == (200, {})
    assert store.drain_count == 1


async def test_stopping_what_is_not_known_is_no_error(docker: FakeDocker) -> None:
    answer = await docker.call("/LogDriver.StopLogging", {"File": "/run/docker/logging/unknown"})
    assert (answer.status, answer.error) == (200, "")


async def test_stopping_succeeds_even_when_the_store_fails(
    docker: FakeDocker, store: FakeStore
) -> None:
    def fail() -> None:
        raise _core.StorageError("write /x: No space left on device")

    container = await docker.start_container("c1")
    store.on_stop = fail
    await container.stop()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/LogDriver.Nothing",
        "/logdriver.capabilities",
        "/Plugin.Activate/",
        "/x" * 300,
        "/%2e%2e/%00",
    ],
)
async def test_an_unknown_path_is_an_error_that_names_the_known(
    docker: FakeDocker, path: str
) -> None:
    answer = await docker.call(path, {})
    assert answer.status == 404
    assert "is not a call of this plugin" in answer.error
    assert "/LogDriver.ReadLogs" in answer.error


@pytest.mark.parametrize(
    "path", ["/Plugin.Activate", "/LogDriver.StartLogging", "/LogDriver.ReadLogs"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_another_method_is_an_error(docker: FakeDocker, path: str, method: str) -> None:
    answer = await docker.call(path, method=method)
    assert answer.status == 405
    assert "POST" in answer.error


@pytest.mark.parametrize(
    "path", ["/LogDriver.StartLogging", "/LogDriver.StopLogging", "/LogDriver.ReadLogs"]
)
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[]", "JSON object"),
        (b"{", "not JSON"),
        (b'{"File": 1, "Info": 1}', "must be"),
        (b"{}", "missing"),
    ],
)
async def test_a_body_that_makes_no_sense_is_an_error(
    docker: FakeDocker, path: str, body: bytes, reason: str
) -> None:
    answer = await docker.call(path, body=body)
    assert answer.status == 400
    assert reason in answer.error


async def test_a_body_at_the_limit_is_taken_and_beyond_it_refused(
    docker: FakeDocker, store: FakeStore
) -> None:
    head = b'{"File": "/f", "Info": {"ContainerID": "c1"}, "Filler": "'
    filler = b"x" * (BODY_LIMIT_BYTES - len(head) - 2)
    answer = await docker.call("/LogDriver.StartLogging", body=head + filler + b'"}')
    assert (answer.status, answer.error) == (200, "")
    assert len(store.sessions) == 1
    answer = await docker.call("/LogDriver.StartLogging", body=head + filler + b'x"}')
    assert answer.status == 413
    assert str(BODY_LIMIT_BYTES) in answer.error


@pytest.mark.parametrize(
    ("module", "function", "call"),
    [
        (rpc, "parse_start_logging", "StartLogging"),
        (rpc, "parse_stop_logging", "StopLogging"),
        (rpc, "parse_read_logs", "ReadLogs"),
        (sessions, "parse_options", "StartLogging"),
    ],
)
async def test_what_takes_long_to_read_keeps_no_other_call_waiting(
    docker: FakeDocker,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    function: str,
    call: str,
) -> None:
    """A body of the largest size was read on the event loop, and a loop that hangs for 10 s is ended by the watchdog."""
    begun, other_is_answered = threading.Event(), threading.Event()

    def read(_given: object) -> NoReturn:
        begun.set()
        waited = other_is_answered.wait(timeout=10)
        raise RequestError(400, "it was slow" if waited else "nobody was answered meanwhile")

    async def call_slowly() -> None:
        document = {"File": "/f", "Info": container_info("c1")}
        assert "it was slow" in (await docker.call(f"/LogDriver.{call}", document)).error

    monkeypatch.setattr(module, function, read)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call_slowly)
        await trio.to_thread.run_sync(begun.wait)
        assert (await docker.call("/LogDriver.Capabilities")).status == 200
        other_is_answered.set()


async def test_a_mistaken_option_refuses_the_start_with_a_sentence_for_the_user(
    docker: FakeDocker, store: FakeStore
) -> None:
    info = container_info("c1", {"max-sise": "1m"})
    answer = await docker.call("/LogDriver.StartLogging", {"File": "/f", "Info": info})
    assert answer.status == 200
    assert answer.error == "logboom: log-opt 'max-sise' is unknown; did you mean max-size?"
    assert store.sessions == {}


async def test_a_mistaken_option_hides_no_log_that_is_there_already(
    docker: FakeDocker, store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    """dockerd starts a session even to read the log of a stopped container."""
    store.entries["c1"] = []
    with caplog.at_level(logging.WARNING, "logboom"):
        await docker.start_container("c1", {"max-sise": "1m", "max-file": "0"})
    (session,) = store.sessions.values()
    assert "max_file" not in session
    assert "did you mean max-size?" in caplog.text
    assert "max-file" in caplog.text


async def test_a_mistaken_option_hides_no_log_that_may_be_there(
    docker: FakeDocker, store: FakeStore
) -> None:
    def fail() -> None:
        raise _core.StorageError("cannot list /x: Input/output error")

    store.on_has_log = fail
    await docker.start_container("c1", {"max-sise": "1m"})
    assert len(store.sessions) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (_core.InvalidArgumentError("File: /f is no FIFO"), 400),
        (_core.SessionExistsError("File: /f is read already"), 200),
        (_core.StorageError("mkdir /x: Read-only file system"), 200),
        (_core.ClosedError("the store is closed"), 503),
    ],
)
async def test_what_the_core_refuses_is_told(
    docker: FakeDocker, store: FakeStore, error: Exception, status: int
) -> None:
    def fail() -> None:
        raise error

    store.on_start = fail
    answer = await docker.call(
        "/LogDriver.StartLogging", {"File": "/f", "Info": container_info("c1")}
    )
    assert answer.status == status
    assert answer.error.startswith("logboom: ")
    assert status == 503 or str(error) in answer.error


async def test_what_nobody_foresaw_is_answered_and_logged_and_the_service_goes_on(
    docker: FakeDocker, store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("a mistake of ours")

    store.on_start = store.on_read = fail
    for path, document in (
        ("/LogDriver.StartLogging", {"File": "/f", "Info": container_info("c1")}),
        ("/LogDriver.ReadLogs", READ_LOGS),
    ):
        answer = await docker.call(path, document)
        assert answer.status == 500
        assert "RuntimeError" in answer.error
    assert "a mistake of ours" in caplog.text
    assert (await docker.call("/LogDriver.Capabilities")).status == 200


async def test_the_body_of_a_request_is_never_logged(
    docker: FakeDocker, store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("a mistake of ours")

    with caplog.at_level(logging.DEBUG, "logboom"):
        await docker.call("/LogDriver.StartLogging", body=b'{"File": "SECRET')
        store.on_start = fail
        await docker.call("/LogDriver.StartLogging", {"File": "/f", "Info": container_info("c1")})
    assert "hidden" not in caplog.text
    assert "SECRET" not in caplog.text


async def test_a_caller_that_hangs_up_in_the_middle_of_a_request_disturbs_nobody(
    docker: FakeDocker,
) -> None:
    for part in (
        b"",
        b"POST /LogDri",
        b"POST /LogDriver.StartLogging HTTP/1.1\r\nHost:\r\nContent-Length: 100\r\n\r\n{",
    ):
        connection = await HttpConnection.dial(docker.socket)
        await connection.send_raw(part)
        await connection.close()
    assert (await docker.call("/LogDriver.Capabilities")).status == 200


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("fault", [None, "the disk is full"])
async def test_the_server_closes_the_connection_behind_the_last_frame(
    docker: FakeDocker, store: FakeStore, follow: bool, fault: str | None
) -> None:
    """The end of an answer was once taken for a client that hangs up, and the connection stayed open, half closed."""
    store.fault_text = fault
    store.entries["c1"] = [Entry("stdout", 1, b"x")]
    container = await docker.start_container("c1")
    async with container.open_logs(follow=follow) as reading:
        await reading.next()
        await container.stop()
        await reading.rest()
        with trio.fail_after(10):
            assert await reading.connection.is_closed_by_server()
