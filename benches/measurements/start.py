"""From the exec of the plugin to its first answer, on stores of several kinds."""

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benches.bench import Bench, Measured, Measurement, Size, Sizes
from benches.measurements.memory import ten_frames
from benches.plugin import UNLIMITED, write_frames
from benches.progress import say
from benches.results import Row
from benches.service import Service
from benches.spread import spread

CHUNK_BYTES = 256 * 1024

STREAMS_OF_LARGE_STORE = 10

MODEL = "model"
"""The ended stream that all others are copies of."""


def measure(bench: Bench, sizes: Sizes) -> Measured:
    """Start again and again on the same store."""
    rows: list[Row] = []
    stores: Mapping[str, Callable[[Bench, Service, Sizes], None]] = {
        "empty": lambda *_: None,
        f"{sizes['mb']} MB of frames": _fill_large,
        f"{sizes['streams']} ended streams": _fill_many,
    }
    for store, fill in stores.items():
        with Service(bench.build, bench.scratch) as service:
            say(f"start: making the store, {store}")
            service.start()
            fill(bench, service, sizes)
            service.stop()
            answered, opened = [], []
            # The first one reads what the page cache does not hold.
            for number in range(sizes["runs"] + 1):
                say(f"start: {store}, run {number} of {sizes['runs']}")
                answered_s = service.start()
                began = time.monotonic()
                # Waits for the store.
                service.port.read_logs("nobody", len)
                if number > 0:
                    answered.append(answered_s * 1e3)
                    opened.append((answered_s + time.monotonic() - began) * 1e3)
                service.stop()
        rows.append(
            {"store": store, "capabilities_ms": spread(answered), "store_open_ms": spread(opened)}
        )
    medians = [row["capabilities_ms"]["median"] for row in rows]
    names = ("empty_ms", "large_ms", "many_ms")
    return Measured(rows, dict(zip(names, medians, strict=True)))


def _fill_large(bench: Bench, service: Service, sizes: Sizes) -> None:
    lines = service.home / "lines"
    lines.write_bytes(bench.corpora.usual_lines())
    for number in range(STREAMS_OF_LARGE_STORE):
        session = service.port.start_session(f"large{number}", UNLIMITED)
        write_frames(
            bench.programs,
            lines,
            [session],
            bytes=sizes["mb"] * 1_000_000 // STREAMS_OF_LARGE_STORE,
            chunk=CHUNK_BYTES,
            start_ns=1_700_000_000_000_000_000,
        )
        service.port.stop_session(session)


def _fill_many(bench: Bench, service: Service, sizes: Sizes) -> None:
    """One by the plugin, the others copied from it: a thousand a second instead of a hundred."""
    session = service.port.start_session(MODEL)
    session.write(ten_frames(bench.corpora.usual_lines()))
    service.port.stop_session(session)
    model = service.port.stream_folder(MODEL)
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    for number in range(sizes["streams"]):
        _copy(files, model.with_name(f"copy{number}"))
    shutil.rmtree(model)


def _copy(files: Mapping[str, bytes], folder: Path) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


MEASUREMENT = Measurement(
    "start",
    "from the exec of the plugin to the first Capabilities answered, with stores of several kinds",
    "service",
    (
        Size("mb", 10_000, 50, "size of the large store, in MB of frames"),
        Size("streams", 100_000, 1_000, "ended streams of the store that has many"),
        Size("runs", 5, 2, "starts on each store"),
    ),
    measure,
)
