"""``logboom doctor``: finds what goes wrong on real hosts, and says what mends it."""

import json
import os
from typing import Final, TextIO

import click

from logboom.cli.client import engine_option, plugin_name
from logboom.cli.doctor.checks import Report, examine
from logboom.cli.doctor.engine import PROBE_S, ask_engine, parse_answers
from logboom.cli.doctor.facts import gather
from logboom.cli.output import show
from logboom.cli.store import data_option, find_data

__all__ = ["WRONG", "doctor"]

WRONG: Final = 1
"""The exit code when something is wrong, and when nothing could be checked."""


@click.command()
@click.option(
    "--probe",
    is_flag=True,
    help=f"Follow the log of a container that runs for {PROBE_S} s, to see whether the engine ends it.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@engine_option
@data_option
def doctor(probe: bool, as_json: bool, engine: TextIO | None, data: str | None) -> int:
    """Find what goes wrong on a host, why, and the command that mends it.

    Nothing is changed. What could not be checked is said, too. The exit code is 1 when something is wrong.

    \b
    logboom doctor
    logboom doctor --probe    35 s; whether docker logs -f ends after 30 s
    logboom doctor --json | jq .findings
    """
    said = ask_engine(plugin_name(), probes=probe) if engine is None else engine.read()
    facts = gather(parse_answers(said), find_data(data), os.environ.get("LOGBOOM_FIFO_ROOT"))
    report = examine(facts)
    show(_document(report) if as_json else _text(report))
    return WRONG if report.is_wrong or not report.findings else 0


def _document(report: Report) -> str:
    document = {
        "wrong": report.is_wrong,
        "findings": [
            {
                "check": name,
                "wrong": each.is_wrong,
                "what": each.what,
                "why": each.why,
                "mend": each.mend,
            }
            for name, found in report.findings.items()
            for each in found
        ],
        "well": [name for name, found in report.findings.items() if not found],
        "not_checked": [{"check": name, "why": why} for name, why in report.not_checked.items()],
    }
    return json.dumps(document) + "\n"


def _text(report: Report) -> str:
    parts = [
        f"{'WRONG' if each.is_wrong else 'note '}  {name}: {each.what}\n"
        f"       why:  {each.why}\n"
        f"       mend: {each.mend}\n\n"
        for name, found in report.findings.items()
        for each in found
    ]
    parts += [f"not checked: {name}: {why}\n" for name, why in report.not_checked.items()]
    all_found = [each for found in report.findings.values() for each in found]
    wrong_count = sum(each.is_wrong for each in all_found)
    well_count = sum(not found for found in report.findings.values())
    parts.append(
        f"{wrong_count} wrong, {len(all_found) - wrong_count} to know, {well_count} well, {len(report.not_checked)} not checked\n"
    )
    return "".join(parts)
