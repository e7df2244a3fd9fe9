"""Makes the plugin's folder: ``config.json`` and ``rootfs`` with Debian's Python, our wheel and the supervisor.

There is no shell, no package manager and nothing else in it that the worker does not run.
"""

import argparse
import contextlib
import fcntl
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from engines.debian import codename, native_architecture, unpack
from engines.errors import EngineError

DOWNLOAD_LIMIT_BYTES = 25_000_000
"""What a user has to download at most; asked for by the design."""

EMULATORS = {"amd64": "qemu-x86_64-static", "arm64": "qemu-aarch64-static"}
"""What runs a program of another architecture, by the architecture."""

# Where it is in the root folder for the time it is needed.
EMULATOR = "emulator"

WHEEL_PLATFORMS = {"amd64": "x86_64", "arm64": "aarch64"}
# Every version of the C library that a wheel may ask for: pip does not take an older one for a newer one.
MANYLINUX = ("manylinux2014", *(f"manylinux_2_{minor}" for minor in range(17, 42)))

PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")

# Debian's own folders are symbolic links, and packages that are only extracted do not bring them.
LINKS = 'for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done'

KEPT = {
    "etc": ("python3.*", "ssl"),
    "usr": ("bin", "lib", "lib64"),
    "usr/bin": ("python3", "python3.[0-9]*"),
    "usr/lib": ("*-linux-gnu", "ld-linux*", "python3*", "ssl"),
}
DROPPED = ("dev", "sbin", "var")
MADE = ("data", "dev", "proc", "run", "sys", "tmp")

STANDARD_LIBRARY_DROPPED = (
    # for developers, terminals and windows
    *(
        "config-*",
        "curses",
        "doctest.py",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "pdb.py",
        "pydoc.py",
        "pydoc_data",
    ),
    *("test", "tkinter", "turtle.py", "turtledemo", "unittest", "venv"),
    *("lib-dynload/_curses*", "lib-dynload/*test*", "lib-dynload/readline*", "lib-dynload/xx*"),
    # data bases and protocols that the worker does not speak
    *("dbm", "sqlite3", "xmlrpc", "imaplib.py", "mailbox.py", "nntplib.py"),
    *("lib-dynload/_dbm*", "lib-dynload/_gdbm*", "lib-dynload/_sqlite3*", "lib-dynload/nis*"),
    # sound, passwords, East Asian encodings: lines are bytes
    *(
        "lib-dynload/audioop*",
        "lib-dynload/ossaudiodev*",
        "lib-dynload/_crypt*",
        "lib-dynload/_codecs_*",
    ),
)

# Imports all of the service, so that nothing that it needs can be missing, and says how big the interpreter is.
TRY_OUT = """
import importlib, pkgutil, logboom
for module in pkgutil.walk_packages(logboom.__path__, "logboom."):
    if module.name != "logboom.__main__":
        importlib.import_module(module.name)
"""


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build"), help="the folder to work in")
    parser.add_argument("--architecture", choices=EMULATORS, default=native_architecture())
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser(
        "base", help="unpack Debian's Python only, which can be done beside compiling"
    )
    plugin = actions.add_parser("plugin", help="make the plugin's folder, unless it is up to date")
    plugin.add_argument("--wheel", type=Path, required=True, help="the wheel of logboom")
    plugin.add_argument("--init", type=Path, required=True, help="the supervisor's program")
    plugin.add_argument("--manifest", type=Path, default=Path("config.json"))
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("the plugin's files are root's, so making them needs root: use sudo", file=sys.stderr)
        return 1
    try:
        make_alone(arguments)
    except (EngineError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def make_alone(arguments: argparse.Namespace) -> None:
    """Do it while no other process works in the same folder.

    Raises:
        EngineError, subprocess.CalledProcessError: as ``make``.
    """
    arguments.build.mkdir(parents=True, exist_ok=True)
    with (arguments.build / "rootfs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if arguments.action == "base":
            base(arguments.build, arguments.architecture)
        else:
            make(
                arguments.wheel,
                arguments.init,
                arguments.manifest,
                arguments.build / "plugin",
                arguments.architecture,
            )


def make(wheel: Path, init: Path, manifest: Path, out: Path, architecture: str) -> None:
    """Make ``out`` from its inputs, if one of them has changed.

    Another architecture than the machine's needs its emulator, which runs Python in the result for a moment.

    Raises:
        EngineError: Debian's packages could not be had, or the result is over the limit.
        subprocess.CalledProcessError: pip failed, or the service cannot be imported in the result.
    """
    started = time.monotonic()
    requirements = Path(__file__).with_name("requirements.txt")
    inputs = _digest(wheel, init, manifest, requirements, Path(__file__))
    stamp = out.with_name(out.name + ".stamp")
    if out.exists() and stamp.exists() and stamp.read_text().startswith(inputs):
        print(f"{out} is up to date: {stamp.read_text().partition(' ')[2]}")
        return
    partial = out.with_name(out.name + ".partial")
    _remove(partial)
    root = partial / "rootfs"
    partial.mkdir(parents=True)
    subprocess.run(
        ["cp", "--archive", "--reflink=auto", base(out.parent, architecture), root], check=True
    )
    install_python_packages(root, wheel, requirements, architecture)
    shutil.copy(init, root / "usr/bin/logboom-init")
    (root / "usr/bin/logboom-init").chmod(0o755)
    with emulator(root, architecture):
        trim_libraries(root)
        compile_python(root)
        run_inside(root, "/usr/bin/python3", "-c", TRY_OUT)
    shutil.copy(manifest, partial / "config.json")
    # An engine refuses the same root folder for a second plugin, and another manifest makes another plugin.
    shutil.copy(manifest, root / "etc/logboom.json")
    download_bytes = measure_download_bytes(root)
    if download_bytes > DOWNLOAD_LIMIT_BYTES:
        raise EngineError(
            f"the plugin's download has {download_bytes:,} bytes, over {DOWNLOAD_LIMIT_BYTES:,}"
        )
    _remove(out)
    partial.rename(out)
    sizes = f"{download_bytes / 1e6:.1f} MB to download, {_size_bytes(root_of(out)) / 1e6:.1f} MB unpacked"
    stamp.write_text(f"{inputs} {sizes}")
    print(f"{out} made in {time.monotonic() - started:.0f} s: {sizes}")


def root_of(out: Path) -> Path:
    """The root folder in a plugin's folder."""
    return out / "rootfs"


def base(build: Path, architecture: str) -> Path:
    """Debian's Python and what it needs, unpacked once and trimmed."""
    recipe = repr((PACKAGES, LINKS, KEPT, DROPPED, MADE, STANDARD_LIBRARY_DROPPED))
    suite = codename()
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    root = build / f"base-{suite}-{architecture}-{digest}"
    if not root.exists():
        print(f"unpacking Debian {suite}'s Python for {architecture}", flush=True)
        untrimmed = root.with_name(root.name + ".untrimmed")
        unpack(
            suite,
            PACKAGES,
            untrimmed,
            variant="extract",
            options=(
                f"--architectures={architecture}",
                f"--setup-hook={LINKS}",
                "--dpkgopt=path-exclude=/usr/share/*",
                "--dpkgopt=path-exclude=/usr/lib/*/gconv/*",
            ),
        )
        trim_base(untrimmed)
        untrimmed.rename(root)
    return root


def trim_base(root: Path) -> None:
    """Remove what only a whole system needs, and the parts of the standard library that the worker does not use."""
    for folder, patterns in KEPT.items():
        kept = {path for pattern in patterns for path in (root / folder).glob(pattern)}
        for path in set((root / folder).iterdir()) - kept:
            _remove(path)
    for name in DROPPED:
        _remove(root / name)
    for pattern in STANDARD_LIBRARY_DROPPED:
        for path in standard_library(root).glob(pattern):
            _remove(path)
    for name in MADE:
        (root / name).mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/usr/sbin/nologin\n")
    (root / "etc/group").write_text("root:x:0:\n")


def standard_library(root: Path) -> Path:
    """The folder of the standard library, whatever the version."""
    (library,) = (root / "usr/lib").glob("python3.*")
    return library


@contextlib.contextmanager
def emulator(root: Path, architecture: str) -> Iterator[None]:
    """Have programs of another architecture run in ``root`` meanwhile; those of the machine's own need nothing.

    Raises:
        EngineError: there is no emulator.
    """
    if architecture == native_architecture():
        yield
        return
    program = EMULATORS[architecture]
    found = shutil.which(program)
    if found is None:
        raise EngineError(f"{program} is missing: apt-get install qemu-user-static")
    inside = root / EMULATOR
    shutil.copy(found, inside)
    yield
    inside.unlink()


def install_python_packages(root: Path, wheel: Path, requirements: Path, architecture: str) -> None:
    """Install what the wheel depends on, each file by its hash, and the wheel, for the Python in ``root``."""
    machine = WHEEL_PLATFORMS[architecture]
    packages = root / "usr/lib/python3/dist-packages"
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--root-user-action=ignore", "--no-compile", "--only-binary=:all:", "--no-deps"),
        f"--python-version={standard_library(root).name.removeprefix('python')}",
        *(f"--platform={version}_{machine}" for version in MANYLINUX),
        f"--target={packages}",
    ]
    for wanted in (["--require-hashes", f"--requirement={requirements}"], [str(wheel)]):
        subprocess.run([*command, *wanted], check=True)
        # Commands for a shell, and there is none.
        _remove(packages / "bin")


def trim_libraries(root: Path) -> None:
    """Remove the shared libraries that no program and no Python module links."""
    (folder,) = (root / "usr/lib").glob("*-linux-gnu")
    (loader,) = (root / "usr").glob("lib*/ld-linux*")
    needed = {loader.name}
    for path in _linked_files(root):
        # Each line names a library and, after the arrow, where it is.
        listed = run_inside(
            root,
            f"/{loader.relative_to(root)}",
            "--list",
            f"/{path.relative_to(root)}",
            check=False,
        )
        needed |= {Path(line.split()[0]).name for line in listed.splitlines()}
    needed |= {
        path.readlink().name
        for path in [loader, *folder.iterdir()]
        if path.name in needed and path.is_symlink()
    }
    for path in folder.iterdir():
        if path.name not in needed:
            _remove(path)


def compile_python(root: Path) -> None:
    """Make the byte code now, never to be checked against its source: the worker starts faster by it."""
    folders = (f"/{standard_library(root).relative_to(root)}", "/usr/lib/python3/dist-packages")
    options = ("-q", "--invalidation-mode", "unchecked-hash")
    run_inside(root, "/usr/bin/python3", "-m", "compileall", *options, *folders)


def run_inside(root: Path, *words: str, check: bool = True) -> str:
    """Run a program with ``root`` as its root folder and give its output."""
    emulated = [f"/{EMULATOR}"] if (root / EMULATOR).exists() else []
    result = subprocess.run(
        ["/usr/sbin/chroot", str(root), *emulated, *words],
        env={},
        check=check,
        stdout=subprocess.PIPE,
        text=True,
    )
    return result.stdout


def measure_download_bytes(root: Path) -> int:
    """The size of the plugin as a registry keeps it."""

    class Count:
        """Takes what is written to it, and keeps the length."""

        def __init__(self) -> None:
            self.written = 0

        def write(self, data: bytes) -> int:
            self.written += len(data)
            return len(data)

    count = Count()
    with (
        gzip.GzipFile(fileobj=count, mode="wb", compresslevel=6, mtime=0) as compressed,  # type: ignore[call-overload]
        tarfile.open(fileobj=compressed, mode="w|") as archive,
    ):
        archive.add(root, ".")
    return count.written


def _linked_files(root: Path) -> Iterator[Path]:
    for path in [*(root / "usr/bin").iterdir(), *(root / "usr/lib").glob("python3*/**/*.so*")]:
        if not path.is_symlink():
            yield path


def _size_bytes(root: Path) -> int:
    return sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _digest(wheel: Path, *paths: Path) -> str:
    """Changes with the content of the files, but not with what only says when the wheel was made."""
    with zipfile.ZipFile(wheel) as archive:
        content = sorted(
            (member.filename, member.CRC)
            for member in archive.infolist()
            if "/sboms/" not in member.filename and not member.filename.endswith("/RECORD")
        )
    digest = hashlib.sha256(repr(content).encode())
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
