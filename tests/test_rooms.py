"""The rooms of the core use only rooms below them (ARCHITECTURE.md, Parts). import-linter checks the same of the service's modules."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "rust" / "core" / "src"

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


def documented(heading: str) -> dict[str, int]:
    """The floors of a table of ARCHITECTURE.md by the names on them; what it says is below all is on floor 0."""
    _, found, rest = (ROOT / "ARCHITECTURE.md").read_text().partition(f"\n| {heading} |")
    assert found
    floors: dict[str, int] = {}
    for floor, names in re.findall(r"^\| (\d) \| ([^|]+) \|", rest.split("\n\n")[0], re.MULTILINE):
        above, _, below = names.partition(";")
        floors |= dict.fromkeys(re.findall(r"`(\w+)`", above), int(floor))
        floors |= dict.fromkeys(re.findall(r"`(\w+)`", below), 0)
    return floors


def test_every_room_is_documented_with_its_floor() -> None:
    assert documented("floor | room") == FLOORS


def test_every_module_of_the_service_is_documented_with_its_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    layers = [layer.split(" | ") for layer in reversed(contracts[0]["layers"])]
    assert documented("layer | module") == {
        module: number for number, layer in enumerate(layers, 1) for module in layer
    }
