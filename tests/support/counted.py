"""What tests have counted, said in the summary of the run.

A ``conftest.py`` that imports ``tell`` and ``pytest_terminal_summary`` gives both to the tests beside it.
"""

from collections.abc import Callable

import pytest

_COUNTS = pytest.StashKey[list[str]]()


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
        # Each folder's conftest.py calls this.
        counts.clear()
