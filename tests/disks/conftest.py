"""Every test here gets the marker ``slow`` and says in the end what it has counted."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.counted import pytest_terminal_summary, tell
from tests.support.file_systems import mounted

__all__ = ["pytest_collection_modifyitems", "pytest_terminal_summary", "tell"]

HERE = Path(__file__).parent
TIMEOUT_S = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture
def folder() -> Iterator[Path]:
    """On a real disk: ``/tmp`` may be memory, and images are large there."""
    path = Path(tempfile.mkdtemp(prefix="logboom-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=["ext4", "xfs", "btrfs"])
def disk(request: pytest.FixtureRequest, folder: Path) -> Iterator[Path]:
    """A small file system at ``data``, where a worker in ``folder`` has its store."""
    with mounted(folder / "image", folder / "data", request.param):
        yield folder / "data"


@pytest.fixture
def ext4(folder: Path) -> Iterator[Path]:
    """The same, and always ext4."""
    with mounted(folder / "image", folder / "data"):
        yield folder / "data"
