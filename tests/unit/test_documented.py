"""Nothing can be set that is not documented, and nothing is documented that cannot be set."""

import json
import re
from pathlib import Path

import pytest

from logboom.asgi import BODY_LIMIT_BYTES, BODY_TIME_LIMIT_S
from logboom.options import DOCKERD_OPTIONS, OPTIONS
from logboom.options.tag import METHODS, NUMBER_LIMIT, TAG_LIMIT, TEMPLATE_LIMIT
from logboom.plugin.documents import CONTAINER_ID_LIMIT, FILE_LIMIT_BYTES
from logboom.plugin.facts import FACTS_LIMIT_BYTES
from logboom.quantities import COUNT_LIMIT, DURATION_LIMIT_S, LENGTH_LIMIT, SIZE_LIMIT_BYTES
from logboom.settings import (
    BLOCK_SECONDS_LIMIT,
    SETTINGS,
    SOCKET_PATH_LIMIT_BYTES,
    Setting,
    read_settings,
)
from logboom.settings_file import CONTENT_LIMIT_BYTES, parse_settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "options.md").read_text()
MANIFEST = ROOT / "config.json"


def section(heading: str) -> str:
    """What stands under a heading, up to the next one."""
    _, found, rest = TEXT.partition(f"\n{heading}\n")
    assert found, f"docs/options.md has no heading {heading!r}"
    return re.split(r"\n#{1,3} ", rest)[0]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_has_its_section_and_its_row(option: str) -> None:
    assert len(section(f"### `{option}`")) > 100
    assert f"| [`{option}`](#{option}) |" in section("## Log options")


@pytest.mark.parametrize("option", DOCKERD_OPTIONS)
def test_every_option_of_dockerd_is_named(option: str) -> None:
    assert f"`{option}`" in section("### Options of dockerd")


def test_no_section_is_about_an_option_that_does_not_exist() -> None:
    assert re.findall(r"^### `(.+)`$", TEXT, re.MULTILINE) == list(OPTIONS)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.variable)
def test_every_setting_has_a_row_with_its_default(setting: Setting) -> None:
    (row,) = re.findall(
        rf"^\| `{setting.variable}` \|.*\|(.*)\|$", section("## Settings"), re.MULTILINE
    )
    assert f"`{setting.default}`" in row if setting.default else row.strip() == "empty"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.variable)
def test_every_row_of_a_setting_says_whether_it_may_stand_in_the_file(setting: Setting) -> None:
    key = f"`{setting.key}`" if setting.is_changeable else "–"
    assert f"\n| `{setting.variable}` | {key} | " in section("## Settings")


def test_the_example_of_a_settings_file_is_one() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", section("### The settings file"), re.DOTALL)
    environment = read_settings({}, {})[0]
    settings, faults = parse_settings(example.encode(), environment, environment)
    assert faults == []
    assert settings != environment


def test_no_setting_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"LOGBOOM_\w+", TEXT)) == {setting.variable for setting in SETTINGS}


def test_defaults_of_options_are_those_of_settings() -> None:
    defaults = {setting.variable: setting.default for setting in SETTINGS}
    rows = re.findall(
        r"^\| \[`([\w-]+)`\].*\| `(LOGBOOM_\w+)` \(`([^`]+)`.*\) \|$", TEXT, re.MULTILINE
    )
    assert [(option, defaults[variable]) for option, variable, _ in rows] == [
        (option, default) for option, _, default in rows
    ]
    assert len(rows) == 4


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_a_tag_has_a_row(method: str) -> None:
    assert f"| `.{method}` |" in section("### `tag`")


def test_limits_are_those_in_the_code() -> None:
    assert str(SIZE_LIMIT_BYTES) in section("### `max-size`")
    assert f"{LENGTH_LIMIT} characters" in section("### `max-size`")
    assert str(COUNT_LIMIT) in section("### `max-file`")
    assert f"({DURATION_LIMIT_S // 86_400}d)" in section("### `max-age`")
    tag = section("### `tag`")
    assert f"{TEMPLATE_LIMIT} characters in the template" in tag
    assert f"{TAG_LIMIT} in the tag" in tag
    assert f"0 to {NUMBER_LIMIT}" in tag
    assert f"1 to {BLOCK_SECONDS_LIMIT}" in section("## Settings")
    assert f"{SOCKET_PATH_LIMIT_BYTES} bytes" in section("## Settings")
    assert f"1 to {COUNT_LIMIT}" in section("## Settings")
    assert f"{CONTENT_LIMIT_BYTES // 1024} KiB" in section("### The settings file")
    limits = section("## Limits of what dockerd sends")
    assert f"| {BODY_LIMIT_BYTES // 1024 // 1024} MiB |" in limits
    assert f"| {BODY_TIME_LIMIT_S} s |" in limits
    assert f"| {CONTAINER_ID_LIMIT} characters" in limits
    assert f"| {FILE_LIMIT_BYTES} bytes" in limits
    assert f"| {FACTS_LIMIT_BYTES // 1024} KiB" in limits


STORE_LIMITS = (
    "LOGBOOM_MAX_BYTES",
    "LOGBOOM_MIN_FREE_BYTES",
    "LOGBOOM_MAX_STREAMS",
    "LOGBOOM_KEEP_ENDED",
)


@pytest.mark.parametrize("variable", STORE_LIMITS)
def test_every_limit_over_all_streams_is_explained_with_its_default(variable: str) -> None:
    defaults = {setting.variable: setting.default for setting in SETTINGS}
    text = (ROOT / "docs" / "retention.md").read_text()
    assert f"\n### `{variable}`\n" in text
    default = defaults[variable].replace("-1", "no limit")
    assert re.search(rf"^\| `{variable}` \|.*\| {default} \|$", text, re.MULTILINE)


@pytest.mark.skipif(not MANIFEST.exists(), reason="the plugin's manifest is not there yet")
def test_the_manifest_has_every_setting_and_all_can_be_set() -> None:
    variables = json.loads(MANIFEST.read_text())["env"]
    assert {variable["name"] for variable in variables} == {
        setting.variable for setting in SETTINGS
    }
    assert all(variable["settable"] == ["value"] for variable in variables)
