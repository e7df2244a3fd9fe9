"""Gathers what a release consists of in ``build/release/VERSION``, and puts its plugins into a registry.

A plugin is for one architecture, and engines do not choose one when they pull it, so each has a tag of its own: ``VERSION-amd64``.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from engines.debian import native_architecture

BUILD = Path("build")
SOURCE = Path(__file__).parents[1]


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    gathering = actions.add_parser("gather", help="after `make plugin`: fill the folder anew")
    gathering.add_argument("other_architectures", nargs="*", help="those in build/ARCHITECTURE")
    publishing = actions.add_parser("publish", help="push the plugins; needs a Docker engine")
    publishing.add_argument("repository", help="as registry.example/logboom")
    arguments = parser.parse_args()
    try:
        folder = BUILD / "release" / version()
        if arguments.action == "gather":
            gather(folder, arguments.other_architectures)
        else:
            publish(folder, arguments.repository)
    except (OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def version() -> str:
    """The version that all parts have."""
    manifest = tomllib.loads((SOURCE / "Cargo.toml").read_text())
    found: str = manifest["workspace"]["package"]["version"]
    return found


def gather(folder: Path, other_architectures: list[str]) -> None:
    """Fill ``folder`` with plugins, wheels, notes and checksums.

    Raises:
        OSError: something has not been built.
        subprocess.CalledProcessError: a tool failed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    builds = {native_architecture(): BUILD} | {name: BUILD / name for name in other_architectures}
    for architecture, build in builds.items():
        for wheel in (build / "wheel").glob("*.whl"):
            shutil.copy(wheel, folder)
        pack(build / "plugin", folder / f"logboom-plugin-{version()}-{architecture}.tar.gz")
    (folder / "NOTES.md").write_text(notes())
    files = sorted(folder.iterdir())
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (folder / "SHA256SUMS").write_text("".join(sums))
    print(f"{folder}:")
    for file in sorted(folder.iterdir()):
        print(f"{file.stat().st_size / 1e6:8.2f} MB  {file.name}")


def notes() -> str:
    """What the change log says of this version, or would say if it were released now.

    Raises:
        subprocess.CalledProcessError: towncrier failed.
    """
    _, found, rest = (SOURCE / "CHANGELOG.md").read_text().partition(f"\n## {version()} ")
    if found:
        return found.lstrip() + rest.partition("\n## ")[0]
    command = ["towncrier", "build", "--draft", f"--version={version()}", f"--dir={SOURCE}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def pack(plugin: Path, archive: Path) -> None:
    """Put a plugin's folder into an archive; the same content makes the same archive."""
    command = ["tar", "--sort=name", "--numeric-owner", "--mtime=@0", f"--directory={plugin}"]
    with archive.open("wb") as out:
        tar = subprocess.Popen([*command, "--create", "."], stdout=subprocess.PIPE)
        # Without its name and the time, which gzip would put into the archive.
        subprocess.run(["gzip", "--no-name"], stdin=tar.stdout, stdout=out, check=True)
    if tar.wait():
        raise subprocess.CalledProcessError(tar.returncode, command)


def publish(folder: Path, repository: str) -> None:
    """Push each plugin of a release as ``repository:VERSION-ARCHITECTURE``.

    Raises:
        subprocess.CalledProcessError: the engine or the registry refused.
        OSError: there is no release of this version.
    """
    archives = sorted(folder.glob("logboom-plugin-*.tar.gz"))
    if not archives:
        raise FileNotFoundError(f"there are no plugins in {folder}: make release comes first")
    for archive in archives:
        tag = archive.name.removeprefix("logboom-plugin-").removesuffix(".tar.gz")
        reference = f"{repository}:{tag}"
        with tempfile.TemporaryDirectory(dir=folder) as plugin:
            command = ["tar", "--extract", f"--file={archive}", f"--directory={plugin}"]
            subprocess.run(command, check=True)
            docker("plugin", "create", reference, plugin)
        try:
            docker("plugin", "push", reference)
        finally:
            docker("plugin", "remove", reference)
        print(f"pushed {reference}")


def docker(*words: str) -> None:
    """Run the docker client.

    Raises:
        subprocess.CalledProcessError: it failed, and said why.
    """
    subprocess.run(["docker", *words], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
