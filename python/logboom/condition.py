"""Tells the service's log how the store is, when that changes."""

import logging
from typing import Final

from logboom.store import Store

__all__ = ["ConditionLog"]

_log: Final = logging.getLogger(__name__)


class ConditionLog:
    """What the log has been told of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reason: str | None = None
        self._is_stalled = False
        self._stall_seconds_told = 0

    def tell(self) -> None:
        """Tell what has changed since the last call."""
        fault = self._store.fault()
        seconds = self._store.stall_seconds()
        if seconds is None:
            self._tell_stall_is_over()
            self._tell_fault(fault)
        elif not self._is_stalled:
            # The fault says the same, but with another number each time.
            self._is_stalled = True
            _log.error(
                "the disk has not answered for %d s; what containers print waits in their FIFOs until it does",
                seconds,
            )

    def _tell_stall_is_over(self) -> None:
        # Counted, so that one which was over before anybody looked is told, too.
        self._is_stalled = False
        total = self._store.statistics()["disk_stall_seconds_total"]
        if total > self._stall_seconds_told:
            _log.warning(
                "the disk answers again; it did not for %d s", total - self._stall_seconds_told
            )
            self._stall_seconds_told = total

    def _tell_fault(self, fault: str | None) -> None:
        # A full disk is met by one file after the other, a new one each second: what is behind the name is what has changed or not.
        reason = fault and fault.rpartition(": ")[2]
        if reason == self._reason:
            return
        self._reason = reason
        if fault is None:
            _log.info("the store is well again")
        else:
            _log.error(fault)
