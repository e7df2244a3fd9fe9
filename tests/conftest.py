import os
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from logboom.settings import read_settings
from tests.support.fake_docker import FakeDocker
from tests.support.fake_store import FakeStore
from tests.support.service import Service, run_service

settings.register_profile("local", max_examples=20, deadline=None)
settings.register_profile("ci", max_examples=500, deadline=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# A shell starts what runs in its background with SIGINT ignored, and that is inherited: no command could be ended by it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Say why an async test is skipped."""
    try:
        return (yield)
    except pytest.skip.Exception as skipped:
        # It stays skipped. pytest-trio has skipped it anew without a word; the one with the reason is in the exception group.
        reason: BaseException | None = skipped.__context__
        while isinstance(reason, BaseExceptionGroup):
            reason = reason.exceptions[0]
        # A test that is not async was skipped with its reason.
        raise (reason if isinstance(reason, pytest.skip.Exception) else skipped) from None


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets, which pytest's own is not always."""
    path = Path(tempfile.mkdtemp(prefix="logboom-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def unused_port() -> int:
    """Of TCP on this machine, given out by the kernel a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def service(folder: Path, store: FakeStore) -> AsyncIterator[Service]:
    """The service in this process, on a socket, over the store in memory."""
    store.folder_path = folder / "data"
    (folder / "data").mkdir()
    given = {
        "data": str(folder / "data"),
        "socket": str(folder / "plugin.sock"),
        "fifo_root": str(folder),
    }
    service_settings, faults = read_settings({}, given)
    assert faults == []
    async with run_service(service_settings, store) as service:
        yield service


@pytest.fixture
def docker(service: Service, folder: Path) -> FakeDocker:
    return FakeDocker(socket=Path(service.settings.socket), root=folder)
