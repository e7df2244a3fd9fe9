"""Every test here gets the marker ``crash`` and says in the end what it has counted."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.counted import pytest_terminal_summary, tell

__all__ = ["pytest_collection_modifyitems", "pytest_terminal_summary", "tell"]

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
TIMEOUT_S = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.crash)
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture(scope="session")
def supervisor() -> Path:
    """The program."""
    subprocess.run(
        ["cargo", "build", "--quiet", "--locked", "--package=logboom-init"],
        cwd=REPOSITORY,
        check=True,
    )
    target = os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")
    return Path(target, "debug/logboom-init")
