"""Every test here gets the marker ``crash`` and says in the end what it has counted."""

from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TIMEOUT_S = 600

_COUNTS = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.crash)
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Puts a line into the summary of the run, whether the test passes or not."""
    counts = request.config.stash.setdefault(_COUNTS, [])
    return lambda text: counts.append(f"{request.node.name}: {text}")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    counts = config.stash.get(_COUNTS, [])
    if counts:
        terminalreporter.section("counted")
        for text in counts:
            terminalreporter.write_line(text)
