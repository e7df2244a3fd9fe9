"""Free memory goes back to the system.

glibc keeps what was freed in the midst of its heaps (mallopt(3), ``M_TRIM_THRESHOLD``): after thousands of short containers twenty
megabytes of nothing.
"""

import ctypes
from typing import Final

__all__ = ["GIVE_BACK_SECONDS", "give_back"]

GIVE_BACK_SECONDS: Final = 60
"""How often it is given back, which takes some milliseconds."""

_trim: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Give back what is free (malloc_trim(3)); other C libraries than glibc have nothing for it."""
    if _trim is not None:
        _trim(0)
