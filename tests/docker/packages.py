"""Versions of the plugin, and what ``make install`` does with them."""

import subprocess
import sys
from pathlib import Path

from engines.private import Engine
from engines.registry import Registry
from tests.docker.support import plugin_folder

REPOSITORY = Path(__file__).parents[2]


def make_version(build: Path, folder: Path, name: str) -> Path:
    """A copy of the plugin that an engine takes for another version, since it holds its name."""
    version = folder / name
    subprocess.run(["cp", "--archive", "--reflink=auto", build, version], check=True)
    (version / "rootfs/etc/version").write_text(name)
    return version


def installed_version(engine: Engine) -> str | None:
    """The name of the version that is installed; ``None`` for the plugin as it was built."""
    path = plugin_folder(engine) / "rootfs/etc/version"
    return path.read_text() if path.exists() else None


def push(engine: Engine, registry: Registry, version: Path) -> str:
    """Put a version into a registry; what it is called there."""
    reference = f"{registry.address}/logboom:{version.name}"
    engine.docker("plugin", "create", reference, version)
    engine.docker("plugin", "push", reference)
    # Or a plugin of the same content could not be installed from the registry.
    engine.docker("plugin", "remove", reference)
    return reference


def run_install(
    engine: Engine, action: str, build: Path, folder: Path
) -> subprocess.CompletedProcess[str]:
    """What ``make install`` and ``make uninstall`` run, with ``build`` as the plugin that was made."""
    (folder / "build").mkdir(exist_ok=True)
    (folder / "build/plugin").unlink(missing_ok=True)
    (folder / "build/plugin").symlink_to(build)
    return subprocess.run(
        [sys.executable, REPOSITORY / "packaging/install.py", action],
        cwd=folder,
        env={
            **engine.environment,
            "PYTHONPATH": str(REPOSITORY),
            "PREFIX": str(folder / "local"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
