"""What supervisor and worker hold and spend, with idle and with busy containers."""

import resource
import time
from collections.abc import Iterable

from benches.bench import Bench, Measured, Measurement, Size, Sizes
from benches.plugin import Session, start_writing
from benches.processes import cpu_s, pss_bytes
from benches.progress import say
from benches.results import Row
from benches.service import Service, running_service
from benches.spread import rounded

FEW = 100
"""Idle containers, before there are many."""

SETTLE_S = 2.0
"""After a change, memory is looked at so much later."""

SAMPLE_S = 0.2
PATIENCE_S = 60.0

TEN_LINES = 10


def measure(bench: Bench, sizes: Sizes) -> Measured:
    """Idle, with few and many idle containers, and with busy ones."""
    raise_open_files(sizes["containers"])
    idle_rows, idle = _measure_idle(bench, sizes)
    busy_rows, busy = _measure_busy(bench, sizes)
    return Measured([*idle_rows, *busy_rows], {**idle, **busy})


def raise_open_files(count: int) -> None:
    """We hold dockerd's end of every FIFO."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(count + 1024, hard), hard))


def ten_frames(text: bytes) -> bytes:
    """The frames of the first ten lines, all at one time."""
    frames = b""
    for line in text.splitlines()[:TEN_LINES]:
        # 1 source, 2 time_nano, 3 line
        message = b"\x0a\x06stdout\x10\x80\x80\x90\xca\xd2\xc6\x81\xcc\x17\x1a"
        message += bytes([len(line)]) + line
        frames += len(message).to_bytes(4, "big") + message
    return frames


def _measure_idle(bench: Bench, sizes: Sizes) -> tuple[list[Row], dict[str, float]]:
    text = bench.corpora.usual_lines()
    frames = ten_frames(text)
    with running_service(bench.build, bench.scratch) as service:
        say("memory: idle")
        rows = [_row(service, "no container", 0, sizes)]
        sessions: list[Session] = []
        for count in (FEW, sizes["containers"]):
            say(f"memory: {count} idle containers")
            sessions += start_idle(service, range(len(sessions), count), frames)
            rows.append(_row(service, f"{count} idle containers", count, sizes))
    held = [float(row["pss_mib"]) for row in rows]
    return rows, {
        "idle_mib": held[0],
        "idle_container_kib": rounded((held[-1] - held[0]) * 1024 / sizes["containers"]),
        "idle_cpu_percent": float(rows[-1]["cpu_percent"]),
    }


def start_idle(service: Service, numbers: Iterable[int], frames: bytes) -> list[Session]:
    """Containers that have printed a few lines and print no more."""
    sessions = []
    for number in numbers:
        session = service.port.start_session(f"idle{number}")
        session.write(frames)
        sessions.append(session)
    return sessions


def _row(service: Service, what: str, count: int, sizes: Sizes) -> Row:
    """What it holds after a while, and what it spends in the time after."""
    time.sleep(SETTLE_S)
    pids = service.pids
    before_s = cpu_s(pids)
    time.sleep(sizes["seconds"])
    cpu_percent = (cpu_s(pids) - before_s) / sizes["seconds"] * 100
    supervisor, *workers = pids
    return {
        "plugin_with": what,
        "pss_mib": rounded(pss_bytes(pids) / 2**20),
        "supervisor_mib": rounded(pss_bytes([supervisor]) / 2**20),
        "worker_mib": rounded(pss_bytes(workers) / 2**20),
        "cpu_percent": rounded(cpu_percent),
        "containers": count,
    }


def _measure_busy(bench: Bench, sizes: Sizes) -> tuple[list[Row], dict[str, float]]:
    """The most that it holds while containers print as fast as they can, over what it held before."""
    rows: list[Row] = []
    summary: dict[str, float] = {}
    for count in (1, sizes["busy"]):
        with running_service(bench.build, bench.scratch) as service:
            say(f"memory: {count} containers that print flat out")
            lines = service.home / "lines"
            lines.write_bytes(bench.corpora.usual_lines())
            time.sleep(SETTLE_S)
            pids = service.pids
            idle_bytes = pss_bytes(pids)
            sessions = [service.port.start_session(f"busy{number}") for number in range(count)]
            before_s = cpu_s(pids)
            writer = start_writing(bench.programs, lines, sessions, seconds=sizes["seconds"])
            most_bytes = 0
            while writer.poll() is None:
                most_bytes = max(most_bytes, pss_bytes(pids))
                time.sleep(SAMPLE_S)
            cpu_percent = (cpu_s(pids) - before_s) / sizes["seconds"] * 100
            writer.communicate()
        each_mib = (most_bytes - idle_bytes) / count / 2**20
        rows.append(
            {
                "plugin_with": f"{count} busy container{'s' if count > 1 else ''}",
                "pss_mib": rounded(most_bytes / 2**20),
                "cpu_percent": rounded(cpu_percent),
                "containers": count,
                "more_mib_each": rounded(each_mib),
            }
        )
        summary[f"busy_{'one' if count == 1 else 'many'}_mib_each"] = rounded(each_mib)
    return rows, summary


MEASUREMENT = Measurement(
    "memory",
    "what supervisor and worker hold and spend, idle, with idle containers and with busy ones",
    "service",
    (
        Size("containers", 1000, 150, "idle containers"),
        Size("busy", 10, 3, "containers that print flat out at the same time"),
        Size("seconds", 10, 2, "how long each state is watched"),
    ),
    measure,
)
