import logging

import pytest

from logboom.condition import ConditionLog
from tests.support.fake_store import FakeStore


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "logboom")
    return caplog


def test_a_fault_is_told_once_and_so_is_its_end(
    store: FakeStore, told: pytest.LogCaptureFixture
) -> None:
    condition = ConditionLog(store)
    condition.tell()
    for fault in ("the disk is full", "the disk is full", "the disk is read-only", None, None):
        store.fault_text = fault
        condition.tell()
    assert told.messages == ["the disk is full", "the disk is read-only", "the store is well again"]


def test_a_full_disk_is_told_once_whichever_file_meets_it(
    store: FakeStore, told: pytest.LogCaptureFixture
) -> None:
    """It was told each second, into a log that may lie on the same disk."""
    condition = ConditionLog(store)
    for number in range(3):
        store.fault_text = f"cannot write /data/{number}.journal: No space left on device"
        condition.tell()
        store.fault_text = "cannot add to /data/f: No space left on device"
        condition.tell()
    store.fault_text = "cannot add to /data/f: Read-only file system"
    condition.tell()
    assert told.messages == [
        "cannot write /data/0.journal: No space left on device",
        "cannot add to /data/f: Read-only file system",
    ]


def test_a_stall_is_told_when_it_begins_and_when_it_is_over(
    store: FakeStore, told: pytest.LogCaptureFixture
) -> None:
    condition = ConditionLog(store)
    for seconds in (2, 3, 4):
        store.stalled_s = seconds
        store.stalled_total_s = seconds
        store.fault_text = f"the disk has not answered for {seconds} s"
        condition.tell()
    (begun,) = told.messages
    assert begun.startswith("the disk has not answered for 2 s")
    store.stalled_s = store.fault_text = None
    store.stalled_total_s = 5
    condition.tell()
    condition.tell()
    assert told.messages == [begun, "the disk answers again; it did not for 5 s"]


def test_a_stall_that_nobody_saw_is_told_when_it_is_over(
    store: FakeStore, told: pytest.LogCaptureFixture
) -> None:
    condition = ConditionLog(store)
    store.stalled_total_s = 2
    condition.tell()
    store.stalled_total_s = 5
    condition.tell()
    assert told.messages == [
        "the disk answers again; it did not for 2 s",
        "the disk answers again; it did not for 3 s",
    ]
