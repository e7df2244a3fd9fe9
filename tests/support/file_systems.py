"""Small file systems of their own for a test, in a file that is mounted as a loop device."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

MIB = 1 << 20

SIZES = {"ext4": 64 * MIB, "xfs": 320 * MIB, "btrfs": 128 * MIB}
"""About the smallest that each one makes."""

OPTIONS: dict[str, Sequence[str]] = {"ext4": (), "xfs": (), "btrfs": ("--mixed",)}
"""Of mkfs. A small btrfs keeps data and names in the same place, so that it is full when it is."""


SECTOR_BYTES = 512
"""Of the kernel's counters, whatever the device has (Linux, Documentation/block/stat.rst)."""


@contextmanager
def mounted(
    image: Path,
    folder: Path,
    kind: str = "ext4",
    *,
    size_bytes: int | None = None,
    make: Sequence[str] = (),
    mount: str = "loop",
) -> Iterator[None]:
    """Make a file system and have it at ``folder``; skips the test where that cannot be.

    Args:
        image: the file that becomes it.
        folder: made when it is missing.
        kind: one of ``SIZES``.
        size_bytes: how large it is; ``None``: small.
        make: more options of mkfs.
        mount: options of mount.
    """
    folder.mkdir(exist_ok=True)
    make_file_system(image, kind, make, size_bytes=size_bytes)
    try:
        run("mount", "-t", kind, "-o", mount, image, folder)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no {kind} can be mounted here: {error}")
    try:
        yield
    finally:
        run("umount", folder)


def make_file_system(
    image: Path, kind: str = "ext4", options: Sequence[str] = (), *, size_bytes: int | None = None
) -> None:
    """Make one in a file; skips the test where that cannot be."""
    with image.open("wb") as file:
        file.truncate(size_bytes or SIZES[kind])
    try:
        run(f"mkfs.{kind}", "-q", *OPTIONS[kind], *options, image)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no {kind} can be made here: {error}")


def fill(path: Path, leave_bytes: int = 0) -> None:
    """Make a foreign file that takes all that is free.

    Args:
        path: the file.
        leave_bytes: so much is free then.
    """
    with path.open("wb", buffering=0) as file:
        # The last blocks may go one by one, and the very last ones only when what was written has found its place.
        for piece in (b"x" * MIB, b"x" * 4096, b"x" * 4096):
            with suppress(OSError):
                while file.write(piece) == len(piece):
                    pass
            with suppress(OSError):
                os.fsync(file.fileno())
        if leave_bytes:
            file.truncate(max(0, file.tell() - leave_bytes))


@contextmanager
def frozen(folder: Path) -> Iterator[None]:
    """Nothing that changes the file system is answered."""
    run("fsfreeze", "--freeze", folder)
    try:
        yield
    finally:
        run("fsfreeze", "--unfreeze", folder)


def device_written_bytes(folder: Path) -> int:
    """What the device below a folder has been given to write so far."""
    number = folder.stat().st_dev
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat")
    return int(device.read_text().split()[6]) * SECTOR_BYTES


def run(*words: str | Path) -> str:
    """Run a command; returns what it prints.

    Raises:
        OSError: there is no such command.
        subprocess.CalledProcessError: it failed.
    """
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
