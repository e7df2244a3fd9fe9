"""The engine's metrics and ours through the plugin, while dockerd ends and comes back."""

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from engines.image import make_image
from engines.private import Engine, Version
from tests.docker.conftest import wait_until
from tests.docker.support import worker_pid


@pytest.fixture(scope="module")
def metrics_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def live_engine(engine_version: Version, plugin_build: Path, metrics_port: int) -> Iterator[Engine]:
    """An engine whose containers and plugins outlive dockerd, with the plugin's metrics on a port."""
    with Engine.start(engine_version, options=("--live-restore",)) as engine:
        make_image(engine)
        engine.install_plugin(
            plugin_build,
            data=engine.home / "data",
            settings={"LOGBOOM_METRICS_LISTEN": f"127.0.0.1:{metrics_port}"},
        )
        yield engine


@pytest.fixture(scope="module")
def port(metrics_port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{metrics_port}", trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def api(live_engine: Engine) -> Iterator[httpx.Client]:
    path = live_engine.home / "data/logboom/api.sock"
    wait_until("the API listens", path.exists)
    transport = httpx.HTTPTransport(uds=str(path))
    with httpx.Client(base_url="http://logboom", transport=transport) as client:
        yield client


def is_answered(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def scrape(client: httpx.Client) -> dict[str, Metric]:
    """Everything, within a second; it must be something that Prometheus reads, no family twice."""
    begun = time.monotonic()
    answer = client.get("/metrics", timeout=10)
    seconds = time.monotonic() - begun
    assert answer.status_code == 200
    # It must be below 1; the rest is for a machine that does much else.
    assert seconds < 2
    # The parser takes `_total` away, and go_memstats_alloc_bytes is there with it and without.
    names = re.findall(r"^# TYPE (\S+)", answer.text, re.MULTILINE)
    assert len(set(names)) == len(names)
    families = list(text_string_to_metric_families(answer.text))
    assert len(families) == len(names), "each has a type"
    return {family.name: family for family in families}


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    samples = families[name].samples
    (found,) = [sample for sample in samples if labels.items() <= sample.labels.items()]
    return found.value


def is_engine_up(client: httpx.Client) -> bool:
    return value(scrape(client), "logboom_engine_up") == 1


def test_both_parts_are_one_text_on_the_socket_and_on_the_port(
    live_engine: Engine, api: httpx.Client, port: httpx.Client
) -> None:
    engine = live_engine
    words = ("--network=none", "--log-driver=logboom", "--name=printer")
    engine.docker("run", *words, "bb", "sh", "-c", "for i in 1 2 3 4 5; do echo $i; done")
    assert engine.docker("logs", "printer").stdout == b"1\n2\n3\n4\n5\n"
    for client in (api, port):
        families = scrape(client)
        assert value(families, "logboom_engine_up") == 1
        assert families["engine_daemon_engine_info"].samples
        assert families["go_goroutines"].samples
        assert value(families, "logboom_intake_entries", container="printer") == 5
        assert value(families, "logboom_reader_entries") == 5
        assert value(families, "logboom_worker_restarts") == 0
        assert value(families, "logboom_ready") == 1
        counts = {
            (sample.labels["call"], sample.labels["result"]): sample.value
            for sample in families["logboom_rpc_duration_seconds"].samples
            if sample.name.endswith("_count")
        }
        assert counts["MetricsCollector.StartMetrics", "ok"] == 1
        assert counts["LogDriver.StartLogging", "ok"] >= 1
        verbatim = client.get("/metrics?part=engine").text
        assert verbatim.startswith("# HELP ")
        assert "logboom_" not in verbatim
    ready = api.get("/readyz")
    assert (ready.status_code, ready.json()["faults"]) == (200, [])
    assert api.get("/api/v1/stats").json()["statistics"]["intake_entries_total"] == 5
    assert port.get("/api/v1/stats").status_code == 404


def test_the_socket_outlives_a_worker_that_is_killed(
    live_engine: Engine, api: httpx.Client
) -> None:
    path = live_engine.home / "data/logboom/api.sock"
    number = path.stat().st_ino
    pid = worker_pid(live_engine)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    # Nobody is refused: who comes meanwhile waits.
    wait_until("another worker answers", lambda: worker_pid(live_engine) not in {None, pid})
    families = scrape(api)
    assert value(families, "logboom_worker_restarts") == 1
    assert value(families, "logboom_engine_up") == 1, "nobody tells the new worker to ask"
    assert path.stat().st_ino == number


def test_a_dockerd_that_ends_and_comes_back_costs_only_the_engines_part_and_the_way_out_is_said(
    live_engine: Engine, api: httpx.Client, port: httpx.Client
) -> None:
    engine = live_engine
    engine.end_dockerd(signal.SIGKILL)
    assert not is_engine_up(port)
    (warning,) = api.get("/readyz").json()["warnings"]
    assert "dockerd does not run" in warning["detail"]
    assert port.get("/metrics?part=engine").status_code == 503
    (engine.home / "exec/containerd/containerd.pid").unlink(missing_ok=True)
    engine.start_dockerd()
    # The plugin went on, with the socket of the dockerd that was killed.
    wait_until("the reason is in the log", lambda: "as live-restore leaves it" in engine.log)
    assert not is_engine_up(port)
    (warning,) = api.get("/readyz").json()["warnings"]
    for command in ("plugin disable -f logboom", "plugin enable --timeout 0 logboom"):
        assert f"docker {command}" in warning["detail"]
        engine.docker(*command.split())
    wait_until("the API listens again", lambda: is_answered(port))
    wait_until("the engine's metrics are there", lambda: is_engine_up(port))
    assert engine.docker("logs", "printer").stdout == b"1\n2\n3\n4\n5\n"
