"""The measurements: what each needs and does. ``MEASUREMENTS`` lists them all."""

from collections.abc import Mapping

from benches.bench import Measurement
from benches.measurements import (
    disk,
    follow,
    memory,
    micro,
    paced,
    printing,
    readlogs,
    start,
    tail,
    writer,
)

MEASUREMENTS: Mapping[str, Measurement] = {
    module.MEASUREMENT.name: module.MEASUREMENT
    for module in (printing, paced, disk, tail, follow, readlogs, memory, writer, start, micro)
}
