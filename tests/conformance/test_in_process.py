"""The table of cases on the core alone, and random sequences."""

import tempfile
from pathlib import Path

import pytest
import trio
from hypothesis import given

from tests.conformance.cases import Case, parameters
from tests.conformance.core_stage import core_stage
from tests.conformance.sequences import Player, Step, sequences


@pytest.mark.parametrize("case", parameters())
async def test_in_process(case: Case, folder: Path) -> None:
    async with core_stage(folder) as stage:
        await case.script(stage)


@pytest.mark.slow
@given(sequences)
def test_random_sequences_in_process(sequence: list[Step]) -> None:
    async def play() -> None:
        with tempfile.TemporaryDirectory(prefix="logboom-") as folder:
            async with core_stage(Path(folder)) as stage:
                await Player(stage).play(sequence)

    trio.run(play)
