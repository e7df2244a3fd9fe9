import os

import pytest
import trio

from logboom.threads import Lane, run_in_core


async def test_arguments_results_and_errors_pass_through() -> None:
    assert await run_in_core(Lane.READS, int, "ff", base=16) == 255
    with pytest.raises(ValueError, match="invalid literal"):
        await run_in_core(Lane.READS, int, "x")


async def test_reads_that_hang_take_no_thread_from_sessions() -> None:
    pipe_out, pipe_in = os.pipe()
    async with trio.open_nursery() as nursery:
        for _ in range(Lane.READS.value * 2):
            nursery.start_soon(run_in_core, Lane.READS, os.read, pipe_out, 1)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(10):
            assert await run_in_core(Lane.SESSIONS, os.getpid) == os.getpid()
            assert await run_in_core(Lane.STORE, os.getpid) == os.getpid()
        os.write(pipe_in, b"x" * Lane.READS.value * 2)
    os.close(pipe_in)
    os.close(pipe_out)


async def test_a_call_that_waits_for_its_lane_can_be_cancelled() -> None:
    pipe_out, pipe_in = os.pipe()
    async with trio.open_nursery() as nursery:
        for _ in range(Lane.STORE.value):
            nursery.start_soon(run_in_core, Lane.STORE, os.read, pipe_out, 1)
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await run_in_core(Lane.STORE, os.getpid)
        assert scope.cancelled_caught
        os.write(pipe_in, b"x" * Lane.STORE.value)
    os.close(pipe_in)
    os.close(pipe_out)


async def test_a_call_that_runs_is_waited_for_and_its_result_kept_when_its_caller_is_cancelled() -> (
    None
):
    pipe_out, pipe_in = os.pipe()
    results = []

    async def call() -> None:
        results.append(await run_in_core(Lane.READS, os.read, pipe_out, 1))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        os.write(pipe_in, b"x")
    assert results == [b"x"]
    os.close(pipe_in)
    os.close(pipe_out)
