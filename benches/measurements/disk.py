"""What real logs take on disk, each printed once, beside gzip of the same entries."""

import subprocess
import time
import zlib

from benches.bench import Bench, Measured, Measurement, Size, Sizes
from benches.corpora import Corpus
from benches.errors import BenchError
from benches.frames import local_record, split_frames
from benches.progress import say
from benches.results import Row
from benches.spread import geometric_mean, rounded
from benches.yard import JSON_FILE, LOCAL, LOGBOOM, READABLE, Yard, open_yard

SETTLE_S = 3.0
"""So long after the container's end the sizes are taken."""

GZIP_LEVEL = 6
GZIP_FORMAT = 31


def measure(bench: Bench, sizes: Sizes) -> Measured:
    """Print each log once with each driver that keeps one."""
    logs = bench.corpora.logs[: sizes["logs"]]
    with open_yard(bench, READABLE) as yard:
        rows = [_measure_log(yard, corpus) for corpus in logs]
        facts = {"engine": yard.version}
    summary = {
        name: geometric_mean(row[name] for row in rows)
        for name in ("smaller_than_local_gzip", "smaller_than_text_gzip")
    }
    means: Row = {"log": "geometric mean", **summary}
    return Measured([*rows, means], summary, facts)


def _measure_log(yard: Yard, corpus: Corpus) -> Row:
    say(f"disk: {corpus.name}")
    path = yard.add_text("log", corpus.text)
    lines = corpus.text.count(b"\n")
    containers = {driver: yard.create(driver, ["text", path, str(lines)]) for driver in READABLE}
    for container in containers.values():
        container.start()
        container.wait()
    time.sleep(SETTLE_S)
    stored = {driver: container.stored_bytes() for driver, container in containers.items()}
    logboom = containers[LOGBOOM]
    folder = yard.port().stream_folder(logboom.id)
    all_bytes = sum(file.stat().st_size for file in folder.iterdir())
    shown = subprocess.run(["zstdcat", *logboom.stored_files()], stdout=subprocess.PIPE, check=True)
    if shown.stdout != corpus.text:
        raise BenchError(
            f"{SETTLE_S} s after its end, zstdcat does not show what the container printed: {folder}"
        )
    frames = bytearray()
    yard.port().read_logs(logboom.id, frames.extend)
    records = b"".join(map(local_record, split_frames(bytes(frames))))
    local_gzip, text_gzip = _gzip_bytes(records), _gzip_bytes(corpus.text)
    for container in containers.values():
        container.remove()
    return {
        "log": corpus.name,
        "lines": lines,
        "text_bytes": len(corpus.text),
        "logboom_zst_bytes": stored[LOGBOOM],
        "logboom_all_bytes": all_bytes,
        "json-file_bytes": stored[JSON_FILE],
        "local_bytes": stored[LOCAL],
        "local_gzip_bytes": local_gzip,
        "text_gzip_bytes": text_gzip,
        "smaller_than_local_gzip": rounded(local_gzip / stored[LOGBOOM]),
        "smaller_than_text_gzip": rounded(text_gzip / stored[LOGBOOM]),
    }


def _gzip_bytes(data: bytes) -> int:
    """What ``gzip -6`` makes of it; Python's zlib is the same code."""
    packer = zlib.compressobj(GZIP_LEVEL, wbits=GZIP_FORMAT)
    return len(packer.compress(data)) + len(packer.flush())


MEASUREMENT = Measurement(
    "disk",
    "what real logs take on disk, beside gzip -6 of the same entries and of the bare text",
    "engine",
    (Size("logs", 1000, 3, "at most so many of the given logs"),),
    measure,
)
