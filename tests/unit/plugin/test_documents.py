import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given, strategies as st

from logboom.asgi import BODY_LIMIT_BYTES
from logboom.errors import RequestError
from logboom.plugin.documents import (
    CONTAINER_ID_LIMIT,
    FILE_LIMIT_BYTES,
    ReadLogs,
    StopLogging,
    parse_read_logs,
    parse_start_logging,
    parse_stop_logging,
)
from tests.support.fake_docker import container_info, go_json

FILE = "/run/docker/logging/" + "ab" * 32


def start(**info: Any) -> bytes:
    return go_json({"File": FILE, "Info": container_info("c1", {"max-size": "1m"}, **info)})


def read(**config: Any) -> ReadLogs:
    return parse_read_logs(go_json({"Info": {"ContainerID": "c1"}, "Config": config}))


def test_start_logging_is_read() -> None:
    request = parse_start_logging(start())
    assert request.file == FILE
    info = request.info
    assert info.container_id == "c1"
    assert info.name == "quirky_boom"
    assert info.command == "sh -c echo hello"
    assert info.image_name == "busybox:latest"
    assert info.created == "2026-01-31T12:00:00.123456789Z"
    assert info.environment == ("PATH=/bin", "SECRET=hidden")
    assert info.labels == {"com.example.team": "river"}
    assert info.log_opts == {"max-size": "1m"}
    assert info.daemon_name == "docker"


def test_null_and_missing_are_empty() -> None:
    nulls = dict.fromkeys(container_info("c1"))
    for info in ({**nulls, "ContainerID": "c1"}, {"ContainerID": "c1"}):
        read_info = parse_start_logging(go_json({"File": FILE, "Info": info})).info
        assert (read_info.labels, read_info.log_opts, read_info.environment, read_info.name) == (
            {},
            {},
            (),
            "",
        )


def test_keys_of_later_engines_are_passed_over() -> None:
    assert parse_stop_logging(b'{"File": "/f", "Later": {"deep": []}}') == StopLogging("/f")


def test_secrets_are_not_shown() -> None:
    assert "hidden" not in repr(parse_start_logging(start()))


def test_read_logs_is_read() -> None:
    assert read(
        Since="2026-01-31T12:00:00Z", Until="0001-01-01T00:00:00Z", Tail=10, Follow=True
    ) == ReadLogs(
        container_id="c1", tail=10, since_ns=1_769_860_800_000_000_000, until_ns=None, follow=True
    )


@pytest.mark.parametrize(
    ("tail", "expected"), [(0, 0), (1, 1), (-1, None), (-5, None), (None, None), (2**63, None)]
)
def test_a_negative_tail_is_all_there_is(tail: int | None, expected: int | None) -> None:
    assert read(Tail=tail).tail == expected


def test_without_a_config_all_is_read_and_nothing_followed() -> None:
    for document in (
        {"Info": {"ContainerID": "c1"}},
        {"Info": {"ContainerID": "c1"}, "Config": None},
    ):
        assert parse_read_logs(go_json(document)) == ReadLogs(
            container_id="c1", tail=None, since_ns=None, until_ns=None, follow=False
        )


@pytest.mark.parametrize("parse", [parse_start_logging, parse_stop_logging, parse_read_logs])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "has no body"),
        (b" ", "not JSON (line 1, column 2)"),
        (b'{"File":', "not JSON (line 1, column 9)"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b'{"File": NaN}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"File": ' + b"1" * 10_000 + b"}", "not JSON"),
        (b"[]", "must be a JSON object, not a list"),
        (b"null", "must be a JSON object, not null"),
        (b'"File"', "must be a JSON object, not a string"),
        (b"{}", "is missing"),
    ],
)
def test_what_is_no_document_is_refused(parse: Any, body: bytes, reason: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(body)
    assert reason in str(caught.value)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"File": 5}, "File must be a string, not a number"),
        ({"File": ""}, "File is missing"),
        ({"File": "relative"}, "not an absolute path"),
        ({"File": "/a\0b"}, "not an absolute path"),
        ({"File": FILE, "Info": []}, "Info must be an object, not a list"),
        ({"File": FILE, "Info": None}, "Info.ContainerID is missing"),
        ({"File": FILE}, "Info.ContainerID is missing"),
        ({"File": FILE, "Info": {"ContainerID": 5}}, "Info.ContainerID must be a string"),
        (
            {"File": FILE, "Info": {"ContainerID": "c", "ContainerName": True}},
            "Info.ContainerName must be a string, not true",
        ),
        (
            {"File": FILE, "Info": {"ContainerID": "c", "ContainerEnv": "A=1"}},
            "Info.ContainerEnv must be a list of strings",
        ),
        (
            {"File": FILE, "Info": {"ContainerID": "c", "ContainerEnv": [None]}},
            "must be a list of strings, not null",
        ),
        (
            {"File": FILE, "Info": {"ContainerID": "c", "ContainerLabels": [1]}},
            "Info.ContainerLabels must be an object",
        ),
        (
            {"File": FILE, "Info": {"ContainerID": "c", "Config": {"max-file": 5}}},
            "Info.Config.max-file must be a string",
        ),
    ],
)
def test_a_value_of_another_type_is_named(body: object, reason: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_start_logging(go_json(body))
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"Tail": "10"}, "Config.Tail must be a whole number, not a string"),
        ({"Tail": 1.5}, "Config.Tail must be a whole number"),
        ({"Tail": True}, "Config.Tail must be a whole number, not true or false"),
        ({"Follow": 1}, "Config.Follow must be true or false, not a number"),
        ({"Since": 5}, "Config.Since must be a string"),
        ({"Since": "yesterday"}, "Config.Since: 'yesterday' is not a time"),
        ({"Until": "2026-02-30T00:00:00Z"}, "Config.Until: "),
    ],
)
def test_a_mistake_in_the_config_is_named(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(**config)
    assert reason in str(caught.value)


@pytest.mark.parametrize("container_id", ["a", "A.b_c-1", "0" * CONTAINER_ID_LIMIT])
def test_a_container_id_names_a_folder(container_id: str) -> None:
    assert parse_start_logging(start(ContainerID=container_id)).info.container_id == container_id


@pytest.mark.parametrize(
    "container_id",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "-a",
        "_a",
        ".a",
        "a b",
        "a\n",
        "ä",
        "a\0",
        "0" * (CONTAINER_ID_LIMIT + 1),
    ],
)
def test_what_cannot_name_a_folder_is_refused(container_id: str) -> None:
    for parse, body in (
        (parse_start_logging, start(ContainerID=container_id)),
        (parse_read_logs, go_json({"Info": {"ContainerID": container_id}})),
    ):
        with pytest.raises(RequestError, match=r"Info\.ContainerID"):
            parse(body)


def test_a_path_is_limited_as_the_kernel_limits_it() -> None:
    longest = "/" + "f" * (FILE_LIMIT_BYTES - 1)
    assert parse_stop_logging(go_json({"File": longest})).file == longest
    with pytest.raises(RequestError, match=str(FILE_LIMIT_BYTES)):
        parse_stop_logging(go_json({"File": longest + "f"}))


def test_half_a_surrogate_pair_becomes_a_replacement_character_as_in_go() -> None:
    body = b'{"File": "/f", "Info": {"ContainerID": "c", "ContainerName": "a\\ud800b", "ContainerLabels": {"\\udc00": "\\ud83d\\ude00"}}}'
    info = parse_start_logging(body).info
    assert info.name == "a\ufffdb"
    assert info.labels == {"\ufffd": "\U0001f600"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=10), children, max_size=4)
    ),
    max_leaves=8,
)
keys = st.sampled_from(
    [*container_info("c"), "File", "Info", "Config", "Since", "Until", "Tail", "Follow"]
)


@given(
    st.dictionaries(keys, json_values | st.dictionaries(keys, json_values, max_size=6), max_size=6)
)
def test_any_json_is_read_or_refused(document: dict[str, Any]) -> None:
    for parse in (parse_start_logging, parse_stop_logging, parse_read_logs):
        try:
            parse(json.dumps(document).encode())
        except RequestError as error:
            assert error.status == 400
            assert str(error)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for parse in (parse_start_logging, parse_stop_logging, parse_read_logs):
        with pytest.raises(RequestError):
            parse(body)


def filled(start: bytes, unit: bytes, end: bytes) -> bytes:
    """A body of the largest size that is read."""
    return start + unit * ((BODY_LIMIT_BYTES - len(start) - len(end)) // len(unit)) + end


HOSTILE = {
    "depth": filled(b"", b"[", b""),
    "objects": filled(b"", b'{"Info":', b""),
    "a number": filled(b'{"Config":{"Tail":', b"9", b"}}"),
    "an exponent": b'{"Config":{"Tail":1e999999999}}',
    "keys": filled(b'{"Info":{"ContainerLabels":{', b'"k":"v",', b'"k":"v"}}}'),
    "labels": b'{"Info":{"ContainerLabels":{'
    + b",".join(b'"%d":""' % number for number in range(600_000))
    + b"}}}",
    "variables": filled(b'{"Info":{"ContainerEnv":[', b'"",', b'""]}}'),
    "escapes": filled(b'{"Info":{"ContainerName":"', b"\\ud800", b'"}}'),
    "an instant": filled(b'{"Info":{"ContainerID":"c"},"Config":{"Since":"', b"2", b'"}}'),
    "a fraction": filled(
        b'{"Info":{"ContainerID":"c"},"Config":{"Since":"2026-01-01T00:00:00.', b"0", b'Z"}}'
    ),
    "spaces": filled(b"{", b" ", b"}"),
    "an id": filled(b'{"Info":{"ContainerID":"', b"a", b'"}}'),
    "a file": filled(b'{"File":"/', b"a", b'"}'),
    "no UTF-8": filled(b'{"File":"', b"\xff", b'"}'),
    "UTF-16": '{"File": "/f"}'.encode("utf-16"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_no_body_of_the_largest_size_takes_long_or_does_harm(kind: str) -> None:
    body = HOSTILE[kind]
    assert len(body) <= BODY_LIMIT_BYTES
    begun = time.monotonic()
    for parse in (parse_start_logging, parse_stop_logging, parse_read_logs):
        with contextlib.suppress(RequestError):
            parse(body)
    assert time.monotonic() - begun < 30
