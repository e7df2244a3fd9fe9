import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.written_store import WrittenStore, written_store


@pytest.fixture
def written(folder: Path) -> Iterator[WrittenStore]:
    with written_store(folder) as store:
        yield store


class Run(Protocol):
    def __call__(
        self, *arguments: str, code: int = 0, **variables: str
    ) -> subprocess.CompletedProcess[bytes]: ...


def environment(written: WrittenStore, variables: Mapping[str, str]) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("LOGBOOM_")
    }
    given = {"LOGBOOM_DATA": str(written.data), "LOGBOOM_FIFO_ROOT": str(written.root), "TZ": "UTC"}
    return {**inherited, **given, **variables}


@pytest.fixture
def run(written: WrittenStore) -> Run:
    """The command line as a process of its own, on the written store."""

    def run_command(
        *arguments: str, code: int = 0, **variables: str
    ) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [sys.executable, "-m", "logboom", *arguments],
            env=environment(written, variables),
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == code, done.stderr.decode()
        return done

    return run_command
