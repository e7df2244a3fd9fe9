"""What ``/healthz`` and ``/readyz`` say, of a service whose store is in memory."""

import threading
from pathlib import Path

import pytest
import trio

from logboom.api.doors import SOCKET_FILE
from logboom.api.health import FAULTS, WARNINGS
from logboom.settings import read_settings
from tests.support.api import tcp_client, unix_client
from tests.support.fake_store import FakeStore
from tests.support.service import Service, run_service


async def test_a_service_that_is_well_is_ready(service: Service) -> None:
    async with unix_client(Path(service.settings.data, SOCKET_FILE)) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        answer = await client.get("/readyz")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {"ready": True, "faults": [], "warnings": []}


async def test_a_probe_may_ask_with_head(service: Service, store: FakeStore) -> None:
    async with unix_client(Path(service.settings.data, SOCKET_FILE)) as client:
        for path in ("/healthz", "/readyz", "/metrics"):
            told, probed = await client.get(path), await client.head(path)
            assert (probed.status_code, probed.content) == (200, b"")
            assert probed.headers["content-type"] == told.headers["content-type"]
        store.fault_text = "the data folder is gone"
        assert (await client.head("/readyz")).status_code == 503
        refused = await client.post("/readyz")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "name", [name for name in FAULTS if name not in {"starting", "disk-stalled"}]
)
async def test_a_fault_makes_it_unready_and_is_named(
    service: Service, store: FakeStore, name: str
) -> None:
    store.fault_name, store.fault_text = name, "the data folder is gone"
    async with unix_client(Path(service.settings.data, SOCKET_FILE)) as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        fault = {"name": name, "detail": "the data folder is gone"}
        assert answer.json() == {"ready": False, "faults": [fault], "warnings": []}
        assert (await client.get("/healthz")).status_code == 200
        store.fault_text = None
        assert (await client.get("/readyz")).status_code == 200


async def test_a_stall_comes_before_other_faults(service: Service, store: FakeStore) -> None:
    store.stalled_s, store.fault_text = 17, "it is full"
    async with unix_client(Path(service.settings.data, SOCKET_FILE)) as client:
        faults = (await client.get("/readyz")).json()["faults"]
    assert [fault["name"] for fault in faults] == ["disk-stalled", "store"]
    assert "17" in faults[0]["detail"]


async def test_a_store_of_a_newer_version_is_a_warning(service: Service, store: FakeStore) -> None:
    store.fault_name, store.fault_text = "newer-format", "kept beside it"
    async with unix_client(Path(service.settings.data, SOCKET_FILE)) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["warnings"] == [{"name": "newer-format", "detail": "kept beside it"}]


async def test_before_the_store_is_open_it_lives_and_is_not_ready(
    folder: Path, store: FakeStore, unused_port: int
) -> None:
    may_open = threading.Event()
    environment = {"LOGBOOM_METRICS_LISTEN": f"127.0.0.1:{unused_port}", "LOGBOOM_LISTEN": "none"}
    given = {"data": str(folder), "socket": str(folder / "s"), "fifo_root": str(folder)}
    settings, faults = read_settings(environment, given)
    store.folder_path = folder
    async with (
        run_service(settings, store, faults, may_open=may_open),
        tcp_client(unused_port) as client,
    ):
        assert (await client.get("/healthz")).status_code == 200
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert [fault["name"] for fault in answer.json()["faults"]] == ["starting"]
        (warning,) = answer.json()["warnings"]
        assert warning["name"] == "settings"
        assert "LOGBOOM_LISTEN" in warning["detail"]
        assert "logboom_ready 0.0" in (await client.get("/metrics")).text
        may_open.set()
        with trio.fail_after(10):
            while (await client.get("/readyz")).status_code != 200:
                await trio.sleep(0.001)


def test_every_name_is_either_a_fault_or_a_warning() -> None:
    assert not set(FAULTS) & set(WARNINGS)
