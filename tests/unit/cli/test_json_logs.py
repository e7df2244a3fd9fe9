"""What a json-file log may be at most, at the limit and above."""

import json
from pathlib import Path

import pytest

from logboom.cli.json_logs import (
    CHUNK_BYTES,
    CONFIG_LIMIT_BYTES,
    DAMAGE_TOLD_LIMIT,
    LINE_LIMIT_BYTES,
    Damage,
    JsonLogError,
    find_in_folder,
    of_files,
)

LINE = b'{"log":"x\\n","stream":"stdout","time":"2026-01-31T12:00:00Z"}\n'


@pytest.mark.parametrize(
    ("length", "run_count"), [(LINE_LIMIT_BYTES, 1), (LINE_LIMIT_BYTES + CHUNK_BYTES, 2)]
)
def test_a_line_is_looked_at_as_a_whole_up_to_the_limit(
    tmp_path: Path, length: int, run_count: int
) -> None:
    path = tmp_path / "some.log"
    path.write_bytes(LINE + b"x" * length + b"\n" + LINE)
    damage = Damage()
    log = of_files([path], "web", "some")
    assert sum(converted.entry_count for converted in log.read(damage)) == 2
    assert damage.count == run_count


def test_a_document_has_up_to_as_many_bytes(tmp_path: Path) -> None:
    (tmp_path / "hostconfig.json").write_text(json.dumps({"LogConfig": {"Type": "json-file"}}))
    config = tmp_path / "config.v2.json"
    config.write_bytes(json.dumps({"ID": "some"}).encode().ljust(CONFIG_LIMIT_BYTES))
    assert find_in_folder(tmp_path).container_id == "some"
    config.write_bytes(config.read_bytes() + b" ")
    with pytest.raises(JsonLogError, match=f"over {CONFIG_LIMIT_BYTES} bytes"):
        find_in_folder(tmp_path)


def test_the_limits_are_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    section = text.partition("\n## import\n")[2].partition("\n## ")[0]
    assert f"the first {DAMAGE_TOLD_LIMIT} of them" in section
    assert f"lines of over {LINE_LIMIT_BYTES >> 20} MiB" in section
    assert f"may have {CONFIG_LIMIT_BYTES >> 20} MiB each" in section
