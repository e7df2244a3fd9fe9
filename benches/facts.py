"""Where and of what a measurement was made."""

import datetime
import os
import platform
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""


def gather_facts(build: Path, scratch: Path) -> dict[str, Any]:
    """Machine, system, commit and versions.

    Args:
        build: the plugin's folder.
        scratch: where stores are made; its file system matters.
    """
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "file_system": _output(
            "findmnt", "--noheadings", "--output=FSTYPE", "--target", str(scratch)
        ),
        "commit": commit(),
        "plugin": _plugin(build),
        "logboom": _version(),
        "rustc": _output("rustc", "--version"),
        "python": platform.python_version(),
    }


def commit() -> str:
    """The commit of the checkout, and whether there are changes beside it."""
    # The checkout may belong to another user than root.
    git = ("git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT))
    identifier = _output(*git, "rev-parse", "--short=12", "HEAD")
    changes = _output(*git, "status", "--porcelain", "--", ".", ":!benches/results", ":!docs")
    return f"{identifier} with changes" if changes else identifier


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _version() -> str:
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    return str(manifest["workspace"]["package"]["version"])


def _plugin(build: Path) -> str:
    """Which build it was: the beginning of the digest that ``packaging/rootfs.py`` keeps beside it."""
    stamp = build.with_name(build.name + ".stamp")
    return stamp.read_text().partition(" ")[0][:12] if stamp.exists() else "unknown"


def _output(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip()
