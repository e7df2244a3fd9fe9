"""The table of cases on ``logboom serve``, with the stand-in for dockerd."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings

from tests.conformance.cases import Case, parameters
from tests.conformance.sequences import Player, Step, sequences
from tests.conformance.socket_stage import socket_stage
from tests.conformance.worker import Worker


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One for all cases; each has a container of its own."""
    folder = Path(tempfile.mkdtemp(prefix="logboom-"))
    with Worker(folder) as worker:
        yield worker
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize("case", parameters())
async def test_over_the_socket(case: Case, worker: Worker) -> None:
    async with socket_stage(worker) as stage:
        await case.script(stage)


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(
    # Each takes a tenth of a second or more; the same sequences run in process, too.
    max_examples=max(10, settings().max_examples // 10),
    # The worker outlives an example; each has a container of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sequence=sequences)
def test_random_sequences_over_the_socket(worker: Worker, sequence: list[Step]) -> None:
    async def play() -> None:
        async with socket_stage(worker) as stage:
            await Player(stage).play(sequence)

    trio.run(play)
