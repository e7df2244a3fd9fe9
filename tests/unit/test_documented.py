"""Nothing can be set that is not documented, and nothing is documented that cannot be set."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from logboom.api import answers, doors, entries, gate, router, streams
from logboom.api.families import Families, engine_up
from logboom.api.health import FAULTS, WARNINGS, Health
from logboom.asgi import BODY_LIMIT_BYTES, BODY_TIME_LIMIT_S
from logboom.engine_metrics import FETCH_SECONDS, TEXT_LIMIT_BYTES, EngineMetrics
from logboom.measures import Measures
from logboom.options import DOCKERD_OPTIONS, OPTIONS, UNKNOWN_LIMIT
from logboom.options.attributes import PATTERN_LIMIT, SEARCH_LIMIT
from logboom.options.tag import METHODS, NUMBER_LIMIT, TAG_LIMIT, TEMPLATE_LIMIT
from logboom.plugin.documents import CONTAINER_ID_LIMIT, FILE_LIMIT_BYTES
from logboom.plugin.facts import FACTS_LIMIT_BYTES
from logboom.quantities import COUNT_LIMIT, DURATION_LIMIT_S, LENGTH_LIMIT, SIZE_LIMIT_BYTES
from logboom.server import (
    CONNECTION_LIMIT,
    HEAD_LIMIT_BYTES,
    HEAD_TIME_LIMIT_S,
    IDLE_CONNECTION_LIMIT,
    IDLE_TIME_LIMIT_S,
)
from logboom.settings import (
    BLOCK_SECONDS_LIMIT,
    GROUP_ID_LIMIT,
    METRICS_CONTAINERS_LIMIT,
    SETTINGS,
    SOCKET_PATH_LIMIT_BYTES,
    Setting,
    read_settings,
)
from logboom.settings_file import CONTENT_LIMIT_BYTES, parse_settings
from logboom.store import OpenStore
from tests.support.fake_store import FakeStore

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
    assert f"0 to {METRICS_CONTAINERS_LIMIT}" in section("## Settings")
    assert f"below {GROUP_ID_LIMIT}" in section("## Settings")
    limits = section("## Limits of what dockerd sends")
    assert f"| {BODY_LIMIT_BYTES // 1024 // 1024} MiB |" in limits
    assert f"| {BODY_TIME_LIMIT_S} s |" in limits
    assert f"| {HEAD_LIMIT_BYTES // 1024} KiB |" in limits
    assert f"first byte on | {HEAD_TIME_LIMIT_S} s |" in limits
    assert f"without a request | {IDLE_TIME_LIMIT_S} s |" in limits
    assert f"not sent a head | {IDLE_CONNECTION_LIMIT} |" in limits
    assert f"| connections | {CONNECTION_LIMIT} |" in limits
    assert f"| {SEARCH_LIMIT} characters |" in limits
    assert f"length of a pattern | {PATTERN_LIMIT} characters |" in limits
    assert f"| {UNKNOWN_LIMIT} |" in limits
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


# --- metrics --------------------------------------------------------------------------------------------------------

METRICS_TEXT = (ROOT / "docs" / "metrics.md").read_text()
API_TEXT = (ROOT / "docs" / "api.md").read_text()


def all_metrics() -> dict[str, tuple[str, set[str]]]:
    """Type and labels of every metric of ours, by the name that it has in ``/metrics``."""
    place = OpenStore()
    store = FakeStore()
    store.counted = {"store_oldest_seconds": 1}
    place.set(store)
    measures = Measures()
    measures.calls["a", "ok"].note(1)
    families = Families(
        open_store=place,
        health=Health(place, tuple, EngineMetrics(Path("/nonexistent"))),
        measures=measures,
        pipe_budget_bytes=1,
        restart_count=0,
        start_time_s=0,
    )
    found = {}
    for family in [engine_up(True), *families.collect()]:
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        kind = "gauge" if family.type == "info" else family.type
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert family.samples, family.name
        found[family.name + suffix] = (kind, labels)
    return found


def test_every_metric_is_documented_with_its_type_and_labels_and_no_other_is() -> None:
    rows = re.findall(
        r"^\| `(logboom_\w+)` \| (\w+) \| ?(.*?) ?\| .+ \|$", METRICS_TEXT, re.MULTILINE
    )
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert documented == all_metrics()
    assert len(rows) == len(documented)


def test_names_of_metrics_follow_the_conventions_of_prometheus() -> None:
    for name, (kind, _) in all_metrics().items():
        assert re.fullmatch(r"logboom_[a-z0-9]+(_[a-z0-9]+)*", name)
        assert name.endswith("_total") == (kind == "counter"), name
        assert kind != "histogram" or name.endswith("_seconds"), name


def metrics_named_in(text: str) -> Iterator[str]:
    for name in re.findall(r"\blogboom_\w+", text):
        yield re.sub(r"_(bucket|sum|count)$", "", name)


@pytest.mark.parametrize(
    "name", ["docs/metrics.md", "docs/operating.md", "grafana/rules.yaml", "grafana/dashboard.json"]
)
def test_no_metric_is_named_that_does_not_exist(name: str) -> None:
    assert set(metrics_named_in((ROOT / name).read_text())) <= all_metrics().keys() | {"logboom_"}


def test_every_alarm_in_the_documentation_is_a_rule() -> None:
    _, _, listed = METRICS_TEXT.partition("## Worth an alarm")
    expressions = re.findall(r"^\* `([^`]+)`", listed, re.MULTILINE)
    rules = re.findall(r"^ *expr: (.+)$", (ROOT / "grafana/rules.yaml").read_text(), re.MULTILINE)
    assert expressions == rules


def test_the_dashboard_is_a_document_whose_panels_have_places_of_their_own() -> None:
    dashboard = json.loads((ROOT / "grafana/dashboard.json").read_text())
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)
    assert all(panel["targets"] and panel["description"] for panel in dashboard["panels"])


def test_limits_of_metrics_are_those_in_the_code() -> None:
    defaults = {setting.variable: setting.default for setting in SETTINGS}
    assert (
        f"`LOGBOOM_METRICS_CONTAINERS` ({defaults['LOGBOOM_METRICS_CONTAINERS']})" in METRICS_TEXT
    )
    assert f"{FETCH_SECONDS} s for it and {TEXT_LIMIT_BYTES // 1024 // 1024} MiB" in METRICS_TEXT


# --- the API --------------------------------------------------------------------------------------------------------


def rows_of_api(heading: str) -> list[tuple[str, ...]]:
    _, found, rest = API_TEXT.partition(f"\n## {heading}\n")
    assert found
    lines = re.findall(r"^\| (.+) \|$", rest.split("\n## ")[0], re.MULTILINE)
    return [tuple(line.split(" | ")) for line in lines]


def test_every_problem_is_documented_with_its_status_and_no_other_is() -> None:
    rows = {row[0]: row[1] for row in rows_of_api("Problems") if row[0].startswith("`")}
    assert rows == {f"`{slug}`": str(status) for slug, (status, _) in answers.PROBLEMS.items()}


def test_every_fault_and_every_warning_is_documented_and_no_other_is() -> None:
    names = [row[0].strip("`") for row in rows_of_api("`/readyz`") if row[0].startswith("`")]
    assert names == [*FAULTS, *WARNINGS]


def test_every_path_has_its_section_and_no_other_has() -> None:
    documented = re.findall(r"^## `(?:([A-Z]+) )?(/.*)`$", API_TEXT, re.MULTILINE)
    source = (ROOT / "python/logboom/api/application.py").read_text()
    routes = re.findall(r'Route\("([^"]+)"(?:.*method="([A-Z]+)")?', source)
    assert documented == [(method, path) for path, method in routes]


def test_limits_of_the_api_are_those_in_the_code() -> None:
    limits = {row[0]: row[1] for row in rows_of_api("Limits")}
    assert limits == {
        "limit": "value",
        "connections at once, at each address": f"{doors.CONNECTIONS_LIMIT}",
        "time for a request's head to arrive": f"{doors.REQUEST_TIME_LIMIT_S} s",
        "length of a head that has not come whole": f"{HEAD_LIMIT_BYTES} bytes",
        "time for a request's body to arrive": f"{BODY_TIME_LIMIT_S} s",
        "length of a request's body": f"{router.BODY_LIMIT_BYTES} bytes",
        "parameters": f"{answers.PARAMETERS_LIMIT}",
        "followers at once, at all addresses": f"{entries.FOLLOWERS_LIMIT}",
        "streams in a page": f"{streams.PAGE_LIMIT}",
        "`tail`": f"{entries.TAIL_LIMIT}",
        "time for a client to take a piece of its answer": f"{doors.TAKE_TIME_LIMIT_S} s",
    }
    assert f"at most {gate.TOKEN_LIMIT_BYTES} bytes" in API_TEXT
    assert f"every {doors.RETRY_SECONDS} seconds" in API_TEXT
    assert f"1 to {streams.PAGE_LIMIT}, {streams.PAGE_DEFAULT} by default" in API_TEXT
