"""The programs in Rust that the measurements use."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benches.errors import BenchError
from benches.facts import ROOT
from benches.progress import say

PRINTER_SOURCE = ROOT / "benches/micro/src/bin/printer.rs"


@dataclass(frozen=True, slots=True)
class Programs:
    """Where they are."""

    bench: Path
    """``logboom-bench``: the core alone, a writer of frames, a plugin that reads and drops."""
    printer: Path
    """What prints in containers; static."""


def build_programs() -> Programs:
    """Build what has changed.

    Raises:
        BenchError: cargo or rustc failed; what they said was shown.
    """
    say("building the programs of the benchmarks")
    return Programs(_build_bench(), _build_printer())


def _build_bench() -> Path:
    command = [
        *("cargo", "build", "--locked", "--release", "--package=logboom-bench"),
        *("--bin=logboom-bench", "--message-format=json-render-diagnostics"),
    ]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        raise BenchError("cargo could not build logboom-bench")
    for line in reversed(result.stdout.splitlines()):
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "logboom-bench":
            return Path(message["executable"])
    raise BenchError("cargo does not say where logboom-bench is")


def _build_printer() -> Path:
    program = ROOT / "build/bench/printer"
    if program.exists() and program.stat().st_mtime > PRINTER_SOURCE.stat().st_mtime:
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    # By cargo, the core and zstd would have to be compiled once more, static.
    options = ("--edition=2024", "-O", "-Ctarget-feature=+crt-static", "-Cstrip=symbols")
    command = ["rustc", *options, "-o", str(program), str(PRINTER_SOURCE)]
    if subprocess.run(command, check=False).returncode:
        raise BenchError("rustc could not build the printer")
    return program
