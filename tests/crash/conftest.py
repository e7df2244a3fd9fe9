"""Every test here gets the marker ``crash`` and says in the end what it has counted."""

from pathlib import Path

import pytest

from tests.support.counted import pytest_terminal_summary, tell

__all__ = ["pytest_collection_modifyitems", "pytest_terminal_summary", "tell"]

HERE = Path(__file__).parent
TIMEOUT_S = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.crash)
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))
