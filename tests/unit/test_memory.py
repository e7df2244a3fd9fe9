"""What is freed does not stay with the process."""

import ctypes
import re
from pathlib import Path

import pytest

from logboom.memory import give_back

BLOCKS = 40_000
BLOCK_BYTES = 1000
KEPT_EVERY = 100


def held_bytes() -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def test_memory_that_is_free_between_what_is_used_is_given_back() -> None:
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "malloc_trim"):
        pytest.skip("only glibc gives memory back when it is told to")
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    blocks = [libc.malloc(BLOCK_BYTES) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK_BYTES)
    used = blocks[::KEPT_EVERY]
    for block in set(blocks) - set(used):
        libc.free(block)
    before = held_bytes()
    give_back()
    given = before - held_bytes()
    for block in used:
        libc.free(block)
    assert given > BLOCKS * BLOCK_BYTES / 2
