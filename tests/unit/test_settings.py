import pytest
from hypothesis import example, given, strategies as st

from logboom.settings import (
    GROUP_ID_LIMIT,
    METRICS_CONTAINERS_LIMIT,
    SETTINGS,
    SOCKET_PATH_LIMIT_BYTES,
    Settings,
    read_settings,
)

DEFAULTS = Settings(
    data="/var/log/logboom",
    socket="/run/docker/plugins/logboom.sock",
    fifo_root="",
    max_size_bytes=20_000_000,
    max_file=5,
    max_age_s=None,
    compress=True,
    max_bytes=None,
    min_free_bytes=1_000_000_000,
    max_streams=100_000,
    keep_ended_s=2_592_000,
    block_seconds=300,
    pipe_budget_bytes=32_000_000,
    listen=None,
    metrics_listen=None,
    api_group_id=None,
    metrics_containers=100,
    sync="1s",
    log_level="info",
)


def test_without_anything_set_the_defaults_in_code_hold() -> None:
    assert read_settings({}, {}) == (DEFAULTS, [])


def test_an_empty_variable_counts_as_not_set() -> None:
    assert read_settings({setting.variable: "" for setting in SETTINGS}, {}) == (DEFAULTS, [])


def test_every_variable_is_read() -> None:
    environment = {
        "LOGBOOM_DATA": "/data/logboom/",
        "LOGBOOM_SOCKET": "fd://3",
        "LOGBOOM_FIFO_ROOT": "/tmp/root/",
        "LOGBOOM_MAX_SIZE": "1g",
        "LOGBOOM_MAX_FILE": "7",
        "LOGBOOM_MAX_AGE": "2w",
        "LOGBOOM_COMPRESS": "false",
        "LOGBOOM_MAX_BYTES": "50g",
        "LOGBOOM_MIN_FREE_BYTES": "5g",
        "LOGBOOM_MAX_STREAMS": "1000",
        "LOGBOOM_KEEP_ENDED": "1w",
        "LOGBOOM_BLOCK_SECONDS": "60",
        "LOGBOOM_PIPE_BUDGET": "1m",
        "LOGBOOM_LISTEN": "[::1]:9324",
        "LOGBOOM_METRICS_LISTEN": "0.0.0.0:9323",
        "LOGBOOM_API_GROUP": "998",
        "LOGBOOM_METRICS_CONTAINERS": "0",
        "LOGBOOM_SYNC": "always",
        "LOGBOOM_LOG_LEVEL": "debug",
    }
    assert set(environment) == {setting.variable for setting in SETTINGS}
    assert read_settings(environment, {}) == (
        Settings(
            data="/data/logboom",
            socket="fd://3",
            fifo_root="/tmp/root",
            max_size_bytes=1_000_000_000,
            max_file=7,
            max_age_s=1_209_600,
            compress=False,
            max_bytes=50_000_000_000,
            min_free_bytes=5_000_000_000,
            max_streams=1_000,
            keep_ended_s=604_800,
            block_seconds=60,
            pipe_budget_bytes=1_000_000,
            listen=("::1", 9324),
            metrics_listen=("0.0.0.0", 9323),
            api_group_id=998,
            metrics_containers=0,
            sync="always",
            log_level="debug",
        ),
        [],
    )


def test_limits_over_all_streams_can_be_lifted() -> None:
    variables = ("LOGBOOM_MAX_BYTES", "LOGBOOM_MIN_FREE_BYTES", "LOGBOOM_KEEP_ENDED")
    settings, faults = read_settings(dict.fromkeys(variables, "-1"), {})
    assert (settings.max_bytes, settings.min_free_bytes, settings.keep_ended_s) == (None,) * 3
    assert faults == []


def test_the_command_line_wins_over_the_environment() -> None:
    settings, faults = read_settings(
        {"LOGBOOM_DATA": "/a", "LOGBOOM_SOCKET": "/b"}, {"data": "/c", "socket": None}
    )
    assert (settings.data, settings.socket, faults) == ("/c", "/b", [])


def test_what_cannot_be_read_is_reported_and_the_default_used() -> None:
    environment = {
        "LOGBOOM_SOCKET": "tcp://1.2.3.4",
        "LOGBOOM_MAX_SIZE": "many",
        "LOGBOOM_MAX_FILE": "0",
        "LOGBOOM_MAX_AGE": "soon",
        "LOGBOOM_COMPRESS": "perhaps",
        "LOGBOOM_MAX_BYTES": "0",
        "LOGBOOM_MIN_FREE_BYTES": "10%",
        "LOGBOOM_MAX_STREAMS": "-1",
        "LOGBOOM_KEEP_ENDED": "ever",
        "LOGBOOM_BLOCK_SECONDS": "86401",
        "LOGBOOM_PIPE_BUDGET": "-1",
        "LOGBOOM_SYNC": "2s",
        "LOGBOOM_LOG_LEVEL": "loud",
    }
    settings, faults = read_settings(environment, {})
    assert settings == DEFAULTS
    assert [fault.split(":")[0] for fault in faults] == list(environment)
    assert faults[1].endswith("using '20m'")
    assert "from 1 to 86400;" in faults[list(environment).index("LOGBOOM_BLOCK_SECONDS")]


def test_a_mistake_on_the_command_line_is_reported_by_its_name_there() -> None:
    _, faults = read_settings({}, {"socket": "fd://three"})
    assert faults[0].startswith("--socket: ")


def test_a_setting_that_does_not_exist_is_reported() -> None:
    settings, faults = read_settings({"LOGBOOM_MAXSIZE": "1m", "PATH": "/bin"}, {})
    assert settings == DEFAULTS
    assert faults == ["LOGBOOM_MAXSIZE is no setting of this version and has no effect"]


def test_a_socket_path_is_limited_by_the_kernel() -> None:
    longest = "/" + "s" * (SOCKET_PATH_LIMIT_BYTES - 1)
    assert read_settings({"LOGBOOM_SOCKET": longest}, {})[0].socket == longest
    settings, faults = read_settings({"LOGBOOM_SOCKET": longest + "s"}, {})
    assert settings.socket == DEFAULTS.socket
    assert len(faults) == 1


@example({"LOGBOOM_API_GROUP": "\0"})
@given(
    st.dictionaries(
        st.sampled_from([setting.variable for setting in SETTINGS]), st.text(max_size=200)
    )
)
def test_no_environment_stops_the_start(environment: dict[str, str]) -> None:
    settings, faults = read_settings(environment, {})
    assert isinstance(settings, Settings)
    assert len(faults) <= len(environment)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("localhost:65535", ("localhost", 65535)),
        ("[::]:9323", ("::", 9323)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    settings, faults = read_settings({"LOGBOOM_METRICS_LISTEN": text}, {})
    assert (settings.metrics_listen, faults) == (address, [])


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        *(
            ("LOGBOOM_LISTEN", text)
            for text in ("9323", ":9323", "host:", "host:0", "host:65536", "host:x", "::1:9323")
        ),
        ("LOGBOOM_API_GROUP", "no-such-group"),
        ("LOGBOOM_API_GROUP", str(GROUP_ID_LIMIT)),
        ("LOGBOOM_METRICS_CONTAINERS", "-1"),
        ("LOGBOOM_METRICS_CONTAINERS", str(METRICS_CONTAINERS_LIMIT + 1)),
    ],
)
def test_what_is_beyond_a_limit_is_named_and_the_default_used(variable: str, text: str) -> None:
    settings, faults = read_settings({variable: text}, {})
    assert settings == DEFAULTS
    assert len(faults) == 1
    assert faults[0].startswith(f"{variable}: {text!r}")


def test_settings_at_their_limits_are_taken() -> None:
    environment = {
        "LOGBOOM_API_GROUP": str(GROUP_ID_LIMIT - 1),
        "LOGBOOM_METRICS_CONTAINERS": str(METRICS_CONTAINERS_LIMIT),
    }
    settings, faults = read_settings(environment, {})
    assert (settings.api_group_id, settings.metrics_containers) == (2**32 - 2, 10_000)
    assert faults == []


def test_a_group_can_be_named_where_it_is_known() -> None:
    assert read_settings({"LOGBOOM_API_GROUP": "root"}, {})[0].api_group_id == 0
