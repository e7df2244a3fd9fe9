"""``/metrics``: ours, the engine's, and both, read by a real parser."""

import math
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from logboom import _core
from logboom.api.doors import SOCKET_FILE
from logboom.api.families import OTHERS
from logboom.engine_metrics import ENGINE_SOCKET
from logboom.threads import Lane, run_in_core
from tests.support.api import http_answer, serving_metrics, unix_client
from tests.support.fake_docker import Entry, FakeDocker
from tests.support.fake_store import STATISTICS, FakeStore
from tests.support.service import Service

ENGINE = (
    b"# HELP engine_daemon_events_total The number of events logged\n"
    b"# TYPE engine_daemon_events_total counter\n"
    b"engine_daemon_events_total 7\n"
    b"# TYPE go_goroutines gauge\n"
    b"go_goroutines 50\n"
)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with unix_client(Path(service.settings.data, SOCKET_FILE)) as client:
        yield client


@pytest.fixture
def engine_socket(service: Service) -> Path:
    return Path(service.settings.fifo_root + ENGINE_SOCKET)


def parse(text: str) -> dict[str, Metric]:
    names = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(names) == len(set(names)), "a family comes twice"
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(family: Metric) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix(family.name), *sample.labels.values()): sample.value
        for sample in family.samples
    }


async def scrape(client: httpx.AsyncClient, query: str = "") -> dict[str, Metric]:
    answer = await client.get(f"/metrics{query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(answer.text)


async def test_the_engines_metrics_stand_verbatim_before_ours(
    client: httpx.AsyncClient, engine_socket: Path
) -> None:
    async with serving_metrics(engine_socket, lambda: http_answer(ENGINE)):
        answer = await client.get("/metrics")
        assert answer.content.startswith(ENGINE)
        families = parse(answer.text)
        assert values(families["logboom_engine_up"]) == {("",): 1}
        assert {"go_goroutines", "engine_daemon_events", "logboom_build_info"} <= families.keys()
        assert (await client.get("/metrics?part=engine")).content == ENGINE
    ours = await scrape(client, "?part=logboom")
    assert all(name.startswith("logboom_") for name in ours)
    assert ours.keys() == families.keys() - {
        "logboom_engine_up",
        "go_goroutines",
        "engine_daemon_events",
    }


@pytest.mark.parametrize(
    "text",
    [
        b"<html>no metrics</html>\n",
        b"a 1\nb{\n",
        b"a one\n",
        b"a 1",
        b"\xff 1\n",
        b"# TYPE logboom_ready gauge\nlogboom_ready 0\n",
    ],
)
async def test_a_text_that_would_spoil_ours_is_left_out_and_said(
    client: httpx.AsyncClient, engine_socket: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving_metrics(engine_socket, lambda: http_answer(text)):
        for _ in range(2):
            families = await scrape(client)
            assert values(families["logboom_engine_up"]) == {("",): 0}
            assert values(families["logboom_ready"]) == {("",): 1}
        (warning,) = (await client.get("/readyz")).json()["warnings"]
        assert warning["name"] == "engine-metrics"
        assert "dockerd's text cannot be passed on: " in warning["detail"]
        said = (await client.get("/metrics")).text.splitlines()[0]
        assert said == f"# no metrics of the engine: {' '.join(warning['detail'].split())}"
        refused = await client.get("/metrics?part=engine")
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:logboom:problem:engine-metrics"
        assert refused.json()["detail"] == warning["detail"]
    assert caplog.text.count("cannot be passed on") == 1


async def test_a_dockerd_that_does_not_answer_costs_less_than_a_second(
    client: httpx.AsyncClient, engine_socket: Path
) -> None:
    async with serving_metrics(engine_socket, lambda: None):
        begun = trio.current_time()
        families = await scrape(client)
        seconds = trio.current_time() - begun
    assert values(families["logboom_engine_up"]) == {("",): 0}
    assert seconds < 1, "the machine may have been busy"


async def test_a_disk_that_hangs_under_the_api_keeps_no_scrape_waiting(
    client: httpx.AsyncClient, engine_socket: Path
) -> None:
    """The engine's text was looked through by the threads that remove streams."""
    pipe_out, pipe_in = os.pipe()
    async with serving_metrics(engine_socket, lambda: http_answer(ENGINE)):
        async with trio.open_nursery() as nursery:
            for _ in range(Lane.API.value):
                nursery.start_soon(run_in_core, Lane.API, os.read, pipe_out, 1)
            with trio.move_on_after(10) as waiting:
                assert "go_goroutines" in await scrape(client)
            os.write(pipe_in, b"x" * Lane.API.value)
        assert not waiting.cancelled_caught
    os.close(pipe_in)
    os.close(pipe_out)


async def test_an_unknown_part_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/metrics?part=all")).status_code == 400


async def test_calls_of_dockerds_are_counted_with_their_results(
    client: httpx.AsyncClient, docker: FakeDocker
) -> None:
    container = await docker.start_container("c1")
    await container.stop()
    await docker.call("/LogDriver.StartLogging")
    await docker.call("/nonsense")
    await docker.call(
        "/LogDriver.StartLogging",
        {"File": "/run/x", "Info": {"ContainerID": "c2", "Config": {"max-sise": "1"}}},
    )
    counted = values((await scrape(client))["logboom_rpc_duration_seconds"])
    for call, result in (
        ("LogDriver.StartLogging", "ok"),
        ("LogDriver.StartLogging", "invalid"),
        ("LogDriver.StartLogging", "refused"),
        ("LogDriver.StopLogging", "ok"),
        ("unknown", "invalid"),
    ):
        assert counted["_count", call, result] == 1
        assert counted["_bucket", call, "+Inf", result] == 1
        assert 0 < counted["_sum", call, result] < 10


async def test_readers_and_what_they_are_given_are_counted(
    client: httpx.AsyncClient, docker: FakeDocker, store: FakeStore
) -> None:
    store.entries["c1"] = [Entry("stdout", 1, b"hello")] * 3
    container = await docker.start_container("c1")

    async def counted(name: str) -> float:
        return values((await scrape(client))[f"logboom_{name}"]).popitem()[1]

    async with container.open_logs(follow=True) as reading:
        await reading.next()
        assert (await counted("readers"), await counted("followers")) == (1, 1)
    await container.logs(follow=False)
    with trio.fail_after(10):
        while await counted("readers"):
            await trio.sleep(0.001)
    assert await counted("followers") == 0
    assert await counted("reader_entries") == 6
    assert await counted("reader_bytes") > 6 * len(b"hello\n")
    assert await counted("followers_cut_at_30s") == 0
    await container.stop()


async def test_what_the_core_knows_is_shown(client: httpx.AsyncClient, store: FakeStore) -> None:
    names = {name: number for number, name in enumerate(STATISTICS, start=1)}
    store.counted = {**names, "store_oldest_seconds": 1_700_000_000}
    hostile = 'we"b\\\n'
    store.received = [(hostile, 3, 400), (None, 1, 2)]
    families = await scrape(client)
    for name, number in names.items():
        if name.startswith("intake_") or name == "store_oldest_seconds":
            continue
        family = families[f"logboom_{name.removesuffix('_total')}"]
        suffix = "_total" if name.endswith("_total") else ""
        assert values(family) == {(suffix,): number}, name
    oldest = families["logboom_store_oldest_entry_timestamp_seconds"]
    assert values(oldest) == {("",): 1_700_000_000}
    entries = families["logboom_intake_entries"]
    assert values(entries) == {("_total", hostile): 3, ("_total", OTHERS): 1}
    assert values(families["logboom_intake_bytes"])["_total", hostile] == 400
    assert values(families["logboom_sync_duration_seconds"]) == {
        ("_bucket", "0.001"): 3,
        ("_bucket", "1.0"): 4,
        ("_bucket", "+Inf"): 5,
        ("_count",): 5,
        ("_sum",): 7.5,
    }
    build = families["logboom_build_info"].samples[0].labels
    assert build == {"version": _core.version(), "commit": _core.commit()}


async def test_an_empty_store_has_no_oldest_entry(client: httpx.AsyncClient) -> None:
    family = (await scrape(client))["logboom_store_oldest_entry_timestamp_seconds"]
    assert family.samples == []


async def test_faults_are_metrics(client: httpx.AsyncClient, store: FakeStore) -> None:
    store.fault_name, store.fault_text = "intake", "full"
    families = await scrape(client)
    assert values(families["logboom_ready"]) == {("",): 0}
    faults = values(families["logboom_fault"])
    assert faults["", "intake"] == 1
    assert math.fsum(faults.values()) == 2, "the engine's metrics are missing, too"


def test_the_stand_in_counts_what_the_core_counts(folder: Path) -> None:
    store = _core.Store.open(
        data=str(folder / "data"),
        fifo_root=str(folder),
        block_seconds=1,
        pipe_budget_bytes=0,
        named_containers=1,
        sync="1s",
    )
    try:
        assert set(store.statistics()) == set(STATISTICS)
        assert store.traffic() == [(None, 0, 0)]
        buckets, _ = store.sync_durations()
        assert buckets[-1][0] == math.inf
        assert store.folder() == folder / "data"
        assert store.faults() == []
    finally:
        store.close()


def test_the_commit_is_one_or_unknown() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?|unknown", _core.commit())


async def test_stats_are_one_document(client: httpx.AsyncClient, store: FakeStore) -> None:
    store.counted = {"intake_entries_total": 7}
    store.received = [("web", 7, 700), (None, 0, 0)]
    document = (await client.get("/api/v1/stats")).json()
    assert document["version"] == _core.version()
    assert document["commit"] == _core.commit()
    assert document["statistics"].keys() == set(STATISTICS)
    assert document["statistics"]["intake_entries_total"] == 7
    assert document["containers"] == [
        {"name": "web", "entries": 7, "bytes": 700},
        {"name": None, "entries": 0, "bytes": 0},
    ]
