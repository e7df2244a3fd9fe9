"""File systems that a test has for itself, so that it can freeze one, or count what reaches its device."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SECTOR_BYTES = 512
"""Of the kernel's counters, whatever the device has (Linux, Documentation/block/stat.rst)."""


@contextmanager
def own_file_system(folder: Path, size_bytes: int) -> Iterator[Path]:
    """An ext4 at ``data`` in a folder. Where none can be made or mounted, the test is skipped."""
    image, data = folder / "image", folder / "data"
    data.mkdir()
    with image.open("wb") as file:
        file.truncate(size_bytes)
    # Else the kernel goes on with it in the background.
    at_once = "lazy_itable_init=0,lazy_journal_init=0"
    commands: tuple[list[str | Path], ...] = (
        ["mkfs.ext4", "-q", "-E", at_once, image],
        ["mount", "-o", "loop", image, data],
    )
    for command in commands:
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no file system can be made and mounted here: {error}")
    yield data
    subprocess.run(["umount", data], check=True)


def device_written_bytes(folder: Path) -> int:
    """What the device below a folder has been given to write so far."""
    number = folder.stat().st_dev
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat")
    return int(device.read_text().split()[6]) * SECTOR_BYTES
