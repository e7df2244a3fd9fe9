"""The command line."""

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benches.bench import Bench, Measurement, Sizes
from benches.corpora import load_corpora
from benches.errors import BenchError
from benches.facts import ROOT, gather_facts
from benches.measurements import MEASUREMENTS
from benches.programs import build_programs
from benches.progress import say
from benches.report import render_report
from benches.results import Result, render_text
from engines.errors import EngineError
from engines.private import SUITES

RESULTS = ROOT / "benches/results"
QUICK_RESULTS = ROOT / "build/bench/quick"

GROUPS = {
    "all": "every measurement; what is done without a command, too",
    "engine": "those on a private engine, beside Docker's own drivers",
    "service": "those of the plugin without an engine",
}


def main(words: Sequence[str] | None = None) -> int:
    """Run what was asked for; returns the exit code."""
    # So that engines are stopped then, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    given = _parser().parse_args((sys.argv[1:] if words is None else words) or ["all"])
    try:
        if given.command == "report":
            render_report(given.results, given.document)
            print(f"{given.document} has the results of {given.results}")
        else:
            _measure(given)
    except (BenchError, EngineError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def _measure(given: argparse.Namespace) -> None:
    if os.geteuid() != 0:
        raise BenchError("this needs root, for engines and mounts: use sudo")
    programs = build_programs()
    bench = Bench(
        programs=programs,
        corpora=load_corpora(given.corpora, programs),
        build=given.build,
        scratch=given.scratch,
        engine=getattr(given, "engine", None),
    )
    results = given.results or (QUICK_RESULTS if given.quick else RESULTS)
    for measurement in _chosen(given.command):
        _run(bench, measurement, _sizes(measurement, given), results, is_quick=given.quick)


def _chosen(command: str) -> list[Measurement]:
    if command in MEASUREMENTS:
        return [MEASUREMENTS[command]]
    return [found for found in MEASUREMENTS.values() if command in ("all", found.group)]


def _sizes(measurement: Measurement, given: argparse.Namespace) -> Sizes:
    sizes = {}
    for size in measurement.sizes:
        chosen = getattr(given, size.name.replace("-", "_"), None)
        default = size.quick if given.quick else size.full
        sizes[size.name] = default if chosen is None else chosen
    return sizes


def _run(
    bench: Bench, measurement: Measurement, sizes: Sizes, results: Path, *, is_quick: bool
) -> None:
    facts = gather_facts(bench.build, bench.scratch)
    measured = measurement.measure(bench, sizes)
    result = Result(
        measurement=measurement.name,
        engine=bench.engine if measurement.group == "engine" else None,
        is_quick=is_quick,
        command=_command(bench, measurement, sizes, is_quick=is_quick),
        facts={**facts, **measured.facts, "logs": bench.corpora.origin},
        parameters=sizes,
        summary=measured.summary,
        rows=measured.rows,
    )
    path = result.write(results)
    print(f"\n{measurement.name}: {measurement.help}{' (QUICK: only a try)' if is_quick else ''}")
    print(render_text(result.rows))
    for name, value in result.summary.items():
        print(f"  {name} = {value:g}")
    sys.stdout.flush()
    say(f"{measurement.name}: kept in {path}")


def _command(bench: Bench, measurement: Measurement, sizes: Sizes, *, is_quick: bool) -> str:
    """How to make the same again, whoever has the logs."""
    words = ["python", "-m", "benches", measurement.name]
    if is_quick:
        words.append("--quick")
    if not bench.corpora.is_made:
        words.append("--corpora=FOLDER")
    if measurement.group == "engine" and bench.engine is not None:
        words.append(f"--engine={bench.engine}")
    words += [
        f"--{size.name}={sizes[size.name]}"
        for size in measurement.sizes
        if sizes[size.name] != (size.quick if is_quick else size.full)
    ]
    return shlex.join(words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benches",
        description="Measures Logboom. docs/performance.md says what each figure means.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in GROUPS.items():
        group = commands.add_parser(name, help=text, description=f"Makes {text.partition(';')[0]}.")
        _add_common(group, has_engine=name != "service")
    for measurement in MEASUREMENTS.values():
        command = commands.add_parser(
            measurement.name, help=measurement.help, description=f"Measures {measurement.help}."
        )
        _add_common(command, has_engine=measurement.group == "engine")
        for size in measurement.sizes:
            command.add_argument(
                f"--{size.name}",
                type=_positive,
                metavar="N",
                help=f"{size.help} (default: {size.full}, quick: {size.quick})",
            )
    report = commands.add_parser(
        "report",
        help="put the last results into docs/performance.md",
        description="Puts the last results into a document, between its two markers.",
    )
    report.add_argument("--results", type=Path, default=RESULTS, help="where they are")
    report.add_argument("--document", type=Path, default=ROOT / "docs/performance.md")
    return parser


def _add_common(parser: argparse.ArgumentParser, *, has_engine: bool) -> None:
    corpora = os.environ.get("LOGBOOM_CORPORA")
    parser.add_argument("--quick", action="store_true", help="small, to try the harness")
    parser.add_argument(
        "--corpora",
        type=Path,
        metavar="FOLDER",
        default=Path(corpora) if corpora else None,
        help="real logs, .txt or .log or these with .zst behind, one line an entry"
        " (default: $LOGBOOM_CORPORA, else lines made here)",
    )
    parser.add_argument(
        "--build",
        type=Path,
        default=ROOT / "build/plugin",
        help="the plugin, as `make plugin` makes it",
    )
    parser.add_argument(
        "--scratch", type=Path, default=Path("/var/tmp"), help="where stores are made for a while"
    )
    parser.add_argument(
        "--results",
        type=Path,
        help=f"where to keep results (default: {RESULTS.relative_to(ROOT)}, quick ones"
        f" {QUICK_RESULTS.relative_to(ROOT)})",
    )
    if has_engine:
        parser.add_argument(
            "--engine",
            choices=tuple(SUITES),
            help="which engine (default: the machine's own version)",
        )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
