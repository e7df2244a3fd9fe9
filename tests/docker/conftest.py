"""Private engines for the tests in this folder, all of which get the marker ``docker``.

``LOGBOOM_TEST_ENGINES`` names the engines, as ``20.10 26.1``; each test runs on every one. The plugin is the one in
``build/plugin``, which ``make test-docker`` makes first.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar, cast

import pytest

from engines.errors import EngineError
from engines.image import make_image
from engines.private import SUITES, Engine, Version
from tests.support.counted import pytest_terminal_summary, tell

__all__ = ["pytest_terminal_summary", "tell", "wait_until"]

T = TypeVar("T")

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "plugin"

# An engine starts in seconds, but the first use of one unpacks a Debian release.
TIMEOUT_S = 300

PATIENCE_S = 30


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.docker)
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


def wait_until(what: str, look: Callable[[], T | None]) -> T:
    """The first true thing that ``look`` gives; fails when there is none in time."""
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"not in {PATIENCE_S} s: {what}")
        time.sleep(0.02)
    return seen


@pytest.fixture(scope="session")
def plugin_build() -> Path:
    """The plugin's folder, with ``config.json`` and ``rootfs``."""
    if not (BUILD / "config.json").exists():
        pytest.fail(f"{BUILD} is missing: run `make plugin`", pytrace=False)
    return BUILD


@pytest.fixture(scope="module", params=os.environ.get("LOGBOOM_TEST_ENGINES", "20.10").split())
def engine_version(request: pytest.FixtureRequest) -> Version:
    """The version of the engine that the test runs on."""
    assert request.param in SUITES, (
        f"LOGBOOM_TEST_ENGINES: {request.param} is none of {list(SUITES)}"
    )
    return cast("Version", request.param)


@pytest.fixture(scope="module")
def bare_engine(engine_version: Version) -> Iterator[Engine]:
    """A private engine for the tests of one module, with the image ``bb`` and no plugin."""
    try:
        engine = Engine.start(engine_version)
    except EngineError as error:
        pytest.fail(str(error), pytrace=False)
    with engine:
        make_image(engine)
        yield engine


@pytest.fixture(scope="module")
def engine(bare_engine: Engine, plugin_build: Path) -> Engine:
    """The same with the plugin, whose store is ``data/logboom`` in the engine's home."""
    bare_engine.install_plugin(plugin_build, data=bare_engine.home / "data")
    return bare_engine
