"""Builds the supervisor and the wheel for another architecture, in a root folder of Debian with a cross compiler.

The machine's own Rust need not have the other architecture's standard library; Debian's packages do. Sources of crates are fetched
here first, so nothing in the root folder needs a network.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from engines.debian import codename, default_cache, native_architecture, unpack
from engines.errors import EngineError

RUST_TARGETS = {"arm64": "aarch64-unknown-linux-gnu"}
COMPILER_PREFIXES = {"arm64": "aarch64-linux-gnu"}

# Debian 12's own Rust is older than ours may be.
RUST_PACKAGES = {"bookworm": ("rustc-web", "cargo-web", "libstd-rust-web-dev")}
USUAL_RUST_PACKAGES = ("rustc", "cargo", "libstd-rust-dev")

BUILD = """
set -eu
cd /source
export HOME=/tmp CARGO_HOME=/source/{work}/cargo PATH=/usr/bin:/bin
export CARGO_TARGET_{variable}_LINKER={prefix}-gcc CC_{target_}={prefix}-gcc
rm -rf {work}/wheel
/source/.venv/bin/maturin build --release --locked --offline --target {target} --out {work}/wheel --target-dir {work}/target
RUSTFLAGS="-C target-feature=+crt-static -C strip=symbols" \\
    cargo build --release --locked --offline --package logboom-init --target {target} --target-dir {work}/target-init
cp {work}/target-init/{target}/release/logboom-init {work}/logboom-init
"""


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", choices=RUST_TARGETS)
    arguments = parser.parse_args()
    try:
        cross_build(arguments.architecture, Path("build") / arguments.architecture)
    except (EngineError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def cross_build(architecture: str, work: Path) -> None:
    """Make ``work/logboom-init`` and ``work/wheel/*.whl`` of the source tree in the working directory.

    Raises:
        EngineError: Debian's packages could not be had.
        subprocess.CalledProcessError: it does not build.
    """
    vendor_crates(work)
    target = RUST_TARGETS[architecture]
    build = BUILD.format(
        work=work,
        target=target,
        target_=target.replace("-", "_"),
        variable=target.replace("-", "_").upper(),
        prefix=COMPILER_PREFIXES[architecture],
    )
    root = unpack_toolchain(architecture)
    (root / "source").mkdir(exist_ok=True)
    inside = shlex.join(["/usr/sbin/chroot", str(root), "/bin/sh", "-c", build])
    mounts = (
        f"mount --bind . {root}/source",
        f"mount -t proc proc {root}/proc",
        f"mount --rbind /dev {root}/dev",
    )
    # They are this process's own, and go with it.
    script = " && ".join([*mounts, f"exec {inside}"])
    subprocess.run(["unshare", "--mount", "/bin/sh", "-c", script], check=True)


def vendor_crates(work: Path) -> None:
    """Put the sources of all crates into ``work``, and tell the cargo that runs in the root folder."""
    (work / "cargo").mkdir(parents=True, exist_ok=True)
    command = ["cargo", "vendor", "--locked", "--quiet", str(work / "vendor")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (work / "cargo/config.toml").write_text(
        '[source.crates-io]\nreplace-with = "vendored"\n\n'
        f'[source.vendored]\ndirectory = "/source/{work}/vendor"\n'
    )


def unpack_toolchain(architecture: str) -> Path:
    """A root folder with compilers for ``architecture``, kept for the next time."""
    suite = codename()
    rust, cargo, library = RUST_PACKAGES.get(suite, USUAL_RUST_PACKAGES)
    prefix = COMPILER_PREFIXES[architecture]
    root = default_cache() / f"cross-{suite}-{architecture}"
    unpack(
        suite,
        (
            *(rust, cargo, f"{library}:{architecture}"),
            *("gcc", "libc6-dev", f"gcc-{prefix}", f"libc6-dev-{architecture}-cross"),
        ),
        root,
        variant="apt",
        options=(f"--architectures={native_architecture()},{architecture}",),
    )
    return root


if __name__ == "__main__":
    sys.exit(main())
