"""The core alone, by ``logboom-bench micro``."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benches.bench import Bench, Measured, Measurement, Size, Sizes
from benches.errors import BenchError
from benches.progress import say
from benches.results import Row
from benches.spread import rounded

STEPS = ("decode", "split", "pack", "rebuild", "append", "append_in_chunks")


def measure(bench: Bench, sizes: Sizes) -> Measured:
    """Run it on the same logs and keep its medians."""
    say("micro: the core alone")
    with tempfile.TemporaryDirectory() as folder:
        for corpus in bench.corpora.logs:
            Path(folder, f"{corpus.name}.txt").write_bytes(corpus.text)
        output = Path(folder, "micro.json")
        command = [
            *(str(bench.programs.bench), "micro", folder, "--json", str(output)),
            *("--runs", str(sizes["runs"]), "--bytes", str(sizes["mb"] * 1_000_000)),
            *("--read-bytes", str(sizes["read-mb"] * 1_000_000)),
        ]
        if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
            raise BenchError("the measurement of the core failed")
        document = json.loads(output.read_text())
    rows = [_row(corpus) for corpus in document["corpora"]]
    means = document["geometric_means"]
    read = document["read"]
    rows.append(
        {
            "log": "geometric mean",
            **{f"{step}_gb_s": means[f"{step}.gb_per_core_s.median"] for step in STEPS},
            "local_gzip": means["ratios.local_gzip"],
            "text_gzip": means["ratios.text_gzip"],
        }
    )
    summary = {
        "pack_worst_gb_per_core_s": min(row["pack_gb_s"] for row in rows),
        "pack_mean_gb_per_core_s": means["pack.gb_per_core_s.median"],
        "append_mean_gb_per_core_s": means["append.gb_per_core_s.median"],
        "read_gb_per_core_s": read["all"]["gb_per_core_s"]["median"],
        "tail_ended_p99_ms": rounded(read["tail_ended"]["p99_us"] / 1e3),
        "tail_active_p99_ms": rounded(read["tail_active"]["p99_us"] / 1e3),
        "since_ended_p99_ms": rounded(read["since_ended"]["p99_us"] / 1e3),
    }
    return Measured(rows, summary)


def _row(corpus: dict[str, Any]) -> Row:
    return {
        "log": corpus["name"],
        "bytes_per_line": rounded(corpus["text_bytes"] / corpus["lines"]),
        **{f"{step}_gb_s": corpus[step]["gb_per_core_s"]["median"] for step in STEPS},
        "split_ns": corpus["split"]["ns_per_entry"]["median"],
        "pack_ns": corpus["pack"]["ns_per_entry"]["median"],
        "local_gzip": corpus["ratios"]["local_gzip"],
        "text_gzip": corpus["ratios"]["text_gzip"],
    }


MEASUREMENT = Measurement(
    "micro",
    "the core alone, step by step: decode, split, pack, rebuild, append, read back",
    "core",
    (
        Size("mb", 64, 8, "what each run of a step works through at least"),
        Size("read-mb", 1000, 50, "size of the stream that is read back"),
        Size("runs", 5, 2, "runs of each step"),
    ),
    measure,
)
