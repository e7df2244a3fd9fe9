"""The rooms of the core use only rooms below them (ARCHITECTURE.md, Parts)."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "rust" / "core" / "src"

FLOORS = {
    "verify": 9,
    "core": 8,
    "intake": 7,
    "playback": 7,
    "listing": 7,
    "store": 6,
    "replay": 6,
    "stream": 5,
    "segment": 4,
    "sync_log": 4,
    "journal": 3,
    "block": 3,
    "json_file": 3,
    "wire": 2,
    "disk": 2,
    "clock": 1,
    "error": 0,
    "fault": 1,
    "fields": 1,
    "stats": 1,
    "watchdog": 1,
    "pattern": 2,
}

USED = re.compile(r"\bcrate::(?:\{([^;]*?)\}|(\w+))", re.DOTALL)


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".rs")


def rooms_used(text: str) -> set[str]:
    code = re.sub(r"//.*", "", text)
    names = {
        name
        for group, name in USED.findall(code)
        for name in (re.findall(r"\w+", group) if group else [name])
    }
    return names & FLOORS.keys()


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.rs")), ids=lambda path: str(path.relative_to(SOURCE))
)
def test_a_room_uses_only_rooms_below_it(path: Path) -> None:
    room = room_of(path)
    if room == "lib":
        pytest.skip("lib.rs names all rooms for the outside")
    wrong = {
        used
        for used in rooms_used(path.read_text())
        if used != room and FLOORS[used] >= FLOORS[room]
    }
    assert not wrong, f"{room} (floor {FLOORS[room]}) uses {sorted(wrong)}"


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in SOURCE.rglob("*.rs")} - {"lib"}
    assert rooms == FLOORS.keys()
