"""Containers that print at a given rate, with each driver: what that costs dockerd and the plugin."""

import time
from collections import defaultdict
from collections.abc import Mapping

from benches.bench import Bench, Measured, Measurement, Size, Sizes
from benches.progress import say
from benches.results import Row
from benches.spread import rounded, spread
from benches.yard import (
    JSON_FILE,
    LOCAL,
    LOGBOOM,
    NONE,
    NULL,
    Yard,
    dockerd_and_plugin_cpu_s,
    open_yard,
)

DRIVERS = (LOGBOOM, JSON_FILE, LOCAL, NULL, NONE)

WARM_UP_S = 2.0
"""So long after the last container's start it begins to count: starting costs more than printing for a while."""

MARGIN_S = 60
"""The containers would print so much longer than is watched."""


def measure(bench: Bench, sizes: Sizes) -> Measured:
    """Print with one driver after the other, again and again."""
    costs: Mapping[str, list[tuple[float, float]]] = defaultdict(list)
    with open_yard(bench, DRIVERS) as yard:
        path = yard.add_text("lines", bench.corpora.usual_lines())
        for number in range(sizes["runs"]):
            for driver in DRIVERS:
                say(f"paced: {driver}, run {number + 1} of {sizes['runs']}")
                costs[driver].append(_run(yard, driver, path, sizes))
        facts = {"engine": yard.version}
    rows: list[Row] = [
        {
            "driver": driver,
            "dockerd_us_per_line": spread(dockerd for dockerd, _ in costs[driver]),
            "plugin_us_per_line": spread(plugin for _, plugin in costs[driver]),
            "both_us_per_line": spread(dockerd + plugin for dockerd, plugin in costs[driver]),
        }
        for driver in DRIVERS
    ]
    medians = {row["driver"]: row["both_us_per_line"]["median"] for row in rows}
    summary = {
        f"cpu_over_{other}": rounded(medians[LOGBOOM] / medians[other])
        for other in (JSON_FILE, LOCAL, NULL)
    }
    return Measured(rows, summary, facts)


def _run(yard: Yard, driver: str, path: str, sizes: Sizes) -> tuple[float, float]:
    """Microseconds a line: dockerd's and the plugin's."""
    most_lines = sizes["rate"] * (sizes["seconds"] + MARGIN_S)
    command = ["paced", path, str(sizes["rate"]), str(most_lines)]
    containers = [yard.create(driver, command) for _ in range(sizes["containers"])]
    for container in containers:
        container.start()
    time.sleep(WARM_UP_S)
    started = time.monotonic()
    before = dockerd_and_plugin_cpu_s(yard, driver)
    time.sleep(sizes["seconds"])
    after = dockerd_and_plugin_cpu_s(yard, driver)
    lines = sizes["rate"] * sizes["containers"] * (time.monotonic() - started)
    for container in containers:
        container.remove()
    dockerd, plugin = (
        (end - begin) / lines * 1e6 for begin, end in zip(before, after, strict=True)
    )
    return dockerd, plugin


MEASUREMENT = Measurement(
    "paced",
    "containers that print real text at a given rate: CPU a line",
    "engine",
    (
        Size("containers", 10, 2, "containers that print at the same time"),
        Size("rate", 1000, 500, "lines a second of each"),
        Size("seconds", 10, 2, "how long they are watched"),
        Size("runs", 5, 1, "runs with each driver"),
    ),
    measure,
)
