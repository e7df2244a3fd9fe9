"""Small here, as large as a big host with ``make scale``; every test says in the end what it has measured."""

import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scale.sizes import IS_FULL, MINUTES
from tests.support.counted import pytest_terminal_summary, tell

__all__ = ["pytest_collection_modifyitems", "pytest_terminal_summary", "tell"]

HERE = Path(__file__).parent
SMALL_TIMEOUT_S = 300
FULL_TIMEOUT_S = 3600 + 60 * MINUTES


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(FULL_TIMEOUT_S if IS_FULL else SMALL_TIMEOUT_S))


@pytest.fixture
def folder() -> Iterator[Path]:
    """On a real disk."""
    # This process has the other end of each FIFO.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    path = Path(tempfile.mkdtemp(prefix="logboom-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path)
