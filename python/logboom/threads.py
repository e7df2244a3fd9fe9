"""The only way from the event loop into a call that may block.

Each kind of call has a lane: a limit of its own on how many threads it may hold. Reads may hang on a sick disk, or
be many; they can fill their lane, but never take a thread from a container that starts or stops.
"""

from collections.abc import Callable
from enum import Enum, unique
from functools import partial
from typing import TypeVar

import trio
import trio.to_thread

__all__ = ["Lane", "run_in_core"]

_Result = TypeVar("_Result")


@unique
class Lane(Enum):
    """What a call is for; the value is how many of its kind run at once. No two are the same, for an enumeration has one member for each value."""

    STORE = 2
    """Opening and closing the store: once each, and the one may wait for nothing that the other holds."""

    SESSIONS = 32
    """Starting and stopping sessions. dockerd does it for all containers at once when it starts; beyond this
    number they only wait for one another's file operations."""

    UPKEEP = 1
    """What the service does for itself: looking whether the settings file has changed, giving memory back."""

    READS = 16
    """Opening readers for dockerd and fetching from them. Two cores are busy with fewer; the rest is for calls that wait for the
    disk."""

    API_READS = 8
    """The same for the API, and listing streams: its clients take no thread from ``docker logs``."""

    API = 4
    """What else the API does on the disk: binding its sockets and taking them away, reading its token, removing streams."""

    ENGINE_METRICS = 3
    """Looking through the engine's metrics. No disk is in this, so a scrape is answered while one hangs."""


_limiters: trio.lowlevel.RunVar[dict[Lane, trio.CapacityLimiter]] = trio.lowlevel.RunVar(
    "core limiters"
)


async def run_in_core(
    lane: Lane, function: Callable[..., _Result], *arguments: object, **keywords: object
) -> _Result:
    """Call a function that may block in a thread of its own, and wait for it.

    Cancelling is heeded while the call waits for its lane. Once it runs it is never abandoned: nobody could
    tell what it has done, and a reader must not be closed under its own read. So the cancelled caller goes on
    when the call is over, which is soon, unless the disk hangs.
    """
    return await trio.to_thread.run_sync(
        partial(function, *arguments, **keywords), limiter=_limiter(lane), abandon_on_cancel=False
    )


def _limiter(lane: Lane) -> trio.CapacityLimiter:
    # One set for each event loop, since a limiter belongs to the loop that waits on it.
    try:
        limiters = _limiters.get()
    except LookupError:
        limiters = {each: trio.CapacityLimiter(each.value) for each in Lane}
        _limiters.set(limiters)
    return limiters[lane]
