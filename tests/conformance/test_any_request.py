"""Whatever is sent to the plugin's calls, over a real store: one answer, nothing outside the store, and the next container starts."""

import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings, strategies as st

from logboom import _core
from logboom.asgi import Message
from logboom.engine_metrics import EngineMetrics
from logboom.measures import Measures
from logboom.plugin.readlogs import LogStreams
from logboom.plugin.rpc import PluginRpc
from logboom.plugin.sessions import Sessions
from logboom.store import OpenStore
from tests.conformance.core_stage import CorePlugin
from tests.support.fake_docker import Entry, container_info, encode_frame

STATUSES = {200, 400, 404, 405, 503}

HANG_UP_S = 0.05
"""A follower's caller hangs up so long after the answer has begun."""

START = "/LogDriver.StartLogging"
STOP = "/LogDriver.StopLogging"
READ = "/LogDriver.ReadLogs"

FIFO = "/run/docker/logging/any"
"""There is a FIFO here, so that a session may begin."""


# --- requests ---------------------------------------------------------------------------------------------------------

texts = st.text(max_size=40) | st.sampled_from(
    [
        "",
        ".",
        "..",
        "../../escaped",
        "/escaped",
        "a/../../escaped",
        "a\0b",
        "\x1b]0;title\x07\x1b[31m",
        "\u202eabc",
        "\ud800",
        "\udfff\ud800",
        "x" * 129,
        "x" * 5000,
        "{{.Name}}",
        "-1",
        "9" * 400,
        "c1",
        FIFO,
    ]
)
scalars = (
    texts
    | st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([0, -1, 2**63, 10**400])
    | st.floats()
)
values = st.recursive(
    scalars,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(texts, children, max_size=4),
    max_leaves=8,
)
string_lists = st.lists(texts, max_size=4)
string_maps = st.dictionaries(
    texts | st.sampled_from(["max-size", "max-file", "tag", "labels-regex", "env"]),
    texts,
    max_size=4,
)


def mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mistaken types are refused early, so most values have the right one."""
    return st.one_of(good, good, good, values)


ids = mostly(st.sampled_from(["c1", "c2", "e" * 64, "a.b", "a..", "A_-"]) | texts)
infos = st.builds(
    lambda info, changes: info | changes,
    st.just(container_info("c1")),
    st.fixed_dictionaries(
        {},
        optional={
            "ContainerID": ids,
            "ContainerName": mostly(texts),
            "ContainerEntrypoint": mostly(texts),
            "ContainerArgs": mostly(string_lists),
            "ContainerImageID": mostly(texts),
            "ContainerImageName": mostly(texts),
            "ContainerCreated": mostly(texts),
            "ContainerEnv": mostly(string_lists),
            "ContainerLabels": mostly(string_maps),
            "DaemonName": mostly(texts),
            "Config": mostly(string_maps),
        },
    ),
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "File": mostly(st.just(FIFO) | texts),
        "Info": mostly(infos),
        "Config": mostly(
            st.fixed_dictionaries(
                {},
                optional={
                    "Since": mostly(texts | st.just("2026-01-01T00:00:00.5Z")),
                    "Until": mostly(texts | st.just("0001-01-01T00:00:00Z")),
                    "Tail": mostly(st.integers(-2, 2**63)),
                    "Follow": mostly(st.booleans()),
                },
            )
        ),
        "Other": values,
    },
)


@st.composite
def changed(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """JSON of which a part is cut out, or doubled, or something else."""
    body = draw(bodies)
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, len(body)))
    part = draw(st.just(b"") | st.just(body[start:end] * 2) | st.binary(max_size=8))
    return body[:start] + part + body[end:]


encoded = documents.map(lambda document: json.dumps(document).encode())
bodies = st.one_of(
    encoded,
    encoded,
    encoded,
    changed(encoded),
    values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=100),
    st.sampled_from(
        [
            b"",
            b"{}",
            b"\0",
            b"[" * 100_000,
            b'{"Info":' * 20_000,
            b'{"Info":{"ContainerID":"c1"},"Config":{"Tail":%b}}' % (b"9" * 5000),
            b'{"Info":{"ContainerID":"c1"},"Config":{"Tail":1e999}}',
            b'\xef\xbb\xbf{"File":"/f"}',
            '{"File": "/f"}'.encode("utf-16"),
        ]
    ),
)
paths = st.one_of(
    st.sampled_from([START, START, START, STOP, READ, READ]),
    st.sampled_from(
        [
            "/Plugin.Activate",
            "/LogDriver.Capabilities",
            "/MetricsCollector.StartMetrics",
            "/MetricsCollector.StopMetrics",
        ]
    ),
    texts.map(lambda text: f"/{text}"),
)
methods = st.sampled_from(["POST"] * 9 + ["GET", "\ud800\x1b"])
requests = st.lists(st.tuples(paths, methods, bodies), min_size=1, max_size=12)


# --- the calls, without a server --------------------------------------------------------------------------------------


@dataclass
class Answer:
    """What was sent."""

    messages: list[Message] = field(default_factory=list)
    is_hung_up: bool = False
    streamed: bytes = b""

    @property
    def status(self) -> int:
        starts = [message for message in self.messages if "status" in message]
        assert len(starts) == 1
        assert self.messages[0] is starts[0]
        return int(starts[0]["status"])

    @property
    def is_complete(self) -> bool:
        ends = [message.get("more_body", False) for message in self.messages[1:]]
        return ends.count(False) == 1 and ends[-1] is False


async def call(rpc: PluginRpc, path: str, body: bytes, method: str = "POST") -> Answer:
    """One request, by somebody who hangs up when an answer does not end."""
    answer = Answer()
    parts: list[Message] = [{"type": "http.request", "body": body}]
    begun = trio.Event()
    ours, theirs = trio.socket.socketpair()

    async def receive() -> Message:
        if parts:
            return parts.pop()
        await begun.wait()
        await trio.sleep(HANG_UP_S)
        answer.is_hung_up = True
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        answer.messages.append(message)
        begun.set()

    scope = {
        "type": "http",
        "path": path,
        "method": method,
        "http_version": "1.1",
        "state": {"socket": theirs},
    }
    with ours:
        with theirs, trio.fail_after(30):
            await rpc(scope, receive, send)
        # It fits into the socket.
        while piece := await ours.recv(65536):
            answer.streamed += piece
    return answer


async def check_next_container(rpc: PluginRpc, root: Path) -> None:
    container_id = secrets.token_hex(32)
    file = f"{FIFO}-{container_id}"
    os.mkfifo(f"{root}{file}")
    fifo = os.open(f"{root}{file}", os.O_RDWR)
    try:
        start = {"File": file, "Info": container_info(container_id)}
        answer = await call(rpc, START, json.dumps(start).encode())
        assert answer.status == 200
        assert json.loads(answer.messages[1]["body"]) == {"Err": ""}
        os.write(fifo, encode_frame(Entry("stdout", 1, b"a line")))
        read = {"Info": {"ContainerID": container_id}, "Config": {"Tail": -1}}
        assert b"a line\n" in (await call(rpc, READ, json.dumps(read).encode())).streamed
        answer = await call(rpc, STOP, json.dumps({"File": file}).encode())
        assert answer.status == 200
    finally:
        os.close(fifo)
        Path(f"{root}{file}").unlink()


@dataclass(frozen=True)
class Place:
    """A store, in a folder within another."""

    root: Path
    store: _core.Store

    def check_files(self) -> None:
        """Everything is where it belongs."""
        assert [path.name for path in self.root.parent.iterdir()] == [self.root.name]
        for path in self.root.rglob("*"):
            below = str(path.relative_to(self.root))
            assert re.match(r"(data|run/docker/logboom|dev/shm/logboom)(/|$)", below) or below in {
                "run",
                "run/docker",
                "run/docker/logging",
                FIFO[1:],
                "dev",
                "dev/shm",
            }, below
        for path in (self.root / "data" / "containers").iterdir():
            assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}", path.name), path


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="logboom-") as outer:
        root = Path(outer) / "root"
        (root / "run/docker/logging").mkdir(parents=True)
        plugin = CorePlugin(root)
        yield Place(root, plugin._store)
        plugin.close()


@pytest.mark.timeout(600)
@settings(
    max_examples=max(50, settings().max_examples // 2),
    # The store outlives an example.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(requests=requests)
def test_any_request_has_one_answer_and_leaves_the_service_as_it_was(
    place: Place, requests: list[tuple[str, str, bytes]]
) -> None:
    async def play() -> None:
        open_store, measures = OpenStore(), Measures()
        open_store.set(place.store)
        rpc = PluginRpc(
            Sessions(open_store),
            LogStreams(open_store, measures),
            EngineMetrics(place.root / "metrics.sock"),
            measures,
        )
        os.mkfifo(f"{place.root}{FIFO}")
        fifo = os.open(f"{place.root}{FIFO}", os.O_RDWR)
        try:
            for path, method, body in requests:
                answer = await call(rpc, path, body, method)
                assert answer.status in STATUSES
                assert answer.is_complete or answer.is_hung_up
            await check_next_container(rpc, place.root)
        finally:
            place.store.stop_session(file=FIFO)
            os.close(fifo)
            Path(f"{place.root}{FIFO}").unlink()

    trio.run(play)
    place.check_files()
    assert place.store.fault() is None
