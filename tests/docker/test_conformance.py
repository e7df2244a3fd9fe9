"""The table of cases on a real engine, as far as a program can bring them about."""

import pytest

from engines.private import Engine
from tests.conformance.cases import Case, parameters
from tests.conformance.sequences import Player, random_sequence
from tests.docker.engine_stage import engine_stage

SEQUENCES = 3
STEPS = 15


@pytest.mark.parametrize("case", parameters(is_stand_in=False))
async def test_on_an_engine(case: Case, engine: Engine) -> None:
    async with engine_stage(engine, engine.home / "data", case.name) as stage:
        await case.script(stage)


@pytest.mark.parametrize("seed", range(SEQUENCES))
async def test_random_sequences_on_an_engine(seed: int, engine: Engine) -> None:
    async with engine_stage(engine, engine.home / "data", f"sequence-{seed}") as stage:
        await Player(stage).play(random_sequence(seed, STEPS))
