"""Debian as a source of engines and root folders: which release this is, its mirror, unpacking a release."""

import fcntl
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from engines.errors import EngineError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def default_cache() -> Path:
    """Where unpacked releases are kept between runs."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "logboom" / "engines"


def codename() -> str:
    """The release of this machine, as ``bookworm``.

    Raises:
        EngineError: this is not Debian.
    """
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian" or "VERSION_CODENAME" not in release:
        name = release.get("PRETTY_NAME", "unknown")
        raise EngineError(f"this needs Debian 12 or 13, and /etc/os-release says {name}")
    return release["VERSION_CODENAME"]


def native_architecture() -> str:
    """This machine's, as Debian names it: ``amd64``."""
    command = ["dpkg", "--print-architecture"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def mirror() -> str:
    """The address from which this machine gets its own Debian packages.

    Raises:
        EngineError: apt has no source of the machine's own release.
    """
    release = codename()
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    command = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    targets = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for line in targets.splitlines():
        address, *target = line.split()
        if target == [release, "main"]:
            return address
    raise EngineError(f"apt has no source for {release} main; see /etc/apt/sources.list.d")


def _apt_proxies() -> list[str]:
    dump = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout
    wanted = ("Acquire::http::Proxy", "Acquire::https::Proxy")
    return [f"--aptopt={line}" for line in dump.splitlines() if line.startswith(wanted)]


def unpack(
    suite: str,
    packages: Sequence[str],
    root: Path,
    *,
    variant: str = "minbase",
    options: Sequence[str] = (),
) -> None:
    """Make a root folder of a Debian release at ``root``, once.

    Nothing happens when ``root`` exists. Several processes may call this at once.

    Args:
        suite: the release, as ``trixie``.
        packages: what it must have besides the base.
        root: the folder to make.
        variant: what the base is, as mmdebstrap names it.
        options: more options for mmdebstrap.

    Raises:
        EngineError: mmdebstrap is missing or failed.
    """
    if shutil.which("mmdebstrap") is None:
        raise EngineError("mmdebstrap is missing: apt-get install mmdebstrap")
    root.parent.mkdir(parents=True, exist_ok=True)
    with root.with_name(root.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if root.exists():
            return
        partial = root.with_name(root.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        command = [
            "mmdebstrap",
            f"--variant={variant}",
            "--quiet",
            f"--keyring={KEYRING}",
            # The mirror may be a snapshot.
            '--aptopt=Acquire::Check-Valid-Until "false"',
            *_apt_proxies(),
            f"--include={','.join(packages)}",
            *options,
            suite,
            str(partial),
            f"deb {mirror()} {suite} main",
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            shutil.rmtree(partial, ignore_errors=True)
            fault = result.stderr.strip()[-2000:]
            raise EngineError(f"mmdebstrap could not unpack Debian {suite}:\n{fault}")
        partial.rename(root)
