"""The image of the private engines: there is none to pull, so it is made of the machine's static busybox."""

import io
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from engines.errors import EngineError
from engines.private import Engine

NAME = "bb"

# What a container may call by name. Anything else: `busybox NAME`.
COMMANDS = (
    "cat",
    "date",
    "echo",
    "env",
    "head",
    "ls",
    "printf",
    "seq",
    "sh",
    "sleep",
    "tail",
    "true",
    "yes",
)


def make_image(engine: Engine, programs: Mapping[str, Path] | None = None) -> str:
    """Make the image ``bb`` in an engine.

    Args:
        engine: where to make it.
        programs: more programs for its ``/bin``, by name; static ones, as there are no libraries.

    Returns:
        The image's name.

    Raises:
        EngineError: there is no static busybox.
    """
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        _add_file(archive, "bin/busybox", _busybox())
        for command in COMMANDS:
            link = tarfile.TarInfo(f"bin/{command}")
            link.type = tarfile.SYMTYPE
            link.linkname = "busybox"
            archive.addfile(link)
        for name, path in (programs or {}).items():
            _add_file(archive, f"bin/{name}", path)
    engine.docker("import", "-", NAME, input=content.getvalue())
    return NAME


def _add_file(archive: tarfile.TarFile, name: str, path: Path) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o755
    member.size = path.stat().st_size
    with path.open("rb") as content:
        archive.addfile(member, content)


def _busybox() -> Path:
    found = shutil.which("busybox")
    # A program that needs libraries names its loader near the start.
    if found is None or b"/ld-linux" in Path(found).read_bytes()[:4096]:
        raise EngineError("a static busybox is missing: apt-get install busybox-static")
    return Path(found)
