import errno
import logging
import os
import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from logboom.errors import ValueSyntaxError
from logboom.settings import SETTINGS, Settings, read_settings
from logboom.settings_file import (
    CONTENT_LIMIT_BYTES,
    FAULT_LIMIT,
    SettingsFile,
    parse_settings,
)

ENVIRONMENT = read_settings({"LOGBOOM_MAX_BYTES": "50g", "LOGBOOM_MAX_FILE": "7"}, {})[0]
CHANGEABLE = {setting.key for setting in SETTINGS if setting.is_changeable}
FIXED = {
    "data",
    "socket",
    "fifo_root",
    "block_seconds",
    "pipe_budget",
    "sync",
    "listen",
    "metrics_listen",
    "api_group",
    "metrics_containers",
}


def parsed(text: str, in_force: Settings = ENVIRONMENT) -> tuple[Settings, list[str]]:
    return parse_settings(text.encode(), ENVIRONMENT, in_force)


def fault_of(text: str) -> str:
    settings, (fault,) = parsed(text)
    assert settings == ENVIRONMENT
    return fault


def test_every_setting_that_can_change_is_read_and_wins_over_the_environment() -> None:
    text = """
        # a comment
        max_size = "1g"
        max_file = 3
        max_age = "2w"
        compress = false
        max_bytes = "20g"
        min_free_bytes = 5_000_000
        max_streams = "1000"
        keep_ended = -1
        log_level = "debug"
    """
    expected = replace(
        ENVIRONMENT,
        max_size_bytes=10**9,
        max_file=3,
        max_age_s=1_209_600,
        compress=False,
        max_bytes=20 * 10**9,
        min_free_bytes=5_000_000,
        max_streams=1000,
        keep_ended_s=None,
        log_level="debug",
    )
    assert parsed(text) == (expected, [])
    assert all(f"{key} =" in text for key in CHANGEABLE)


def test_what_is_not_in_the_file_is_as_in_the_environment() -> None:
    in_force = replace(ENVIRONMENT, max_bytes=1, max_streams=2)
    assert parsed("max_streams = 2", in_force) == (replace(ENVIRONMENT, max_streams=2), [])
    assert parsed("", in_force) == (ENVIRONMENT, [])


@pytest.mark.parametrize("key", sorted(FIXED))
def test_what_is_fixed_at_the_start_is_refused(key: str) -> None:
    assert {setting.key for setting in SETTINGS} == CHANGEABLE | FIXED
    fault = fault_of(f'{key} = "1"')
    assert (
        fault == f"{key} is fixed when the service starts and cannot be set here;"
        f" set LOGBOOM_{key.upper()}"
    )


@pytest.mark.parametrize(
    ("mistaken", "nearest"),
    [("max_byte", "max_bytes"), ("max-size", "max_size"), ("LOG_LEVEL", "log_level")],
)
def test_an_unknown_setting_is_a_mistake_that_names_the_nearest(
    mistaken: str, nearest: str
) -> None:
    assert fault_of(f"{mistaken} = 1") == f"{mistaken!r} is unknown; did you mean {nearest}?"


def test_a_setting_that_resembles_none_is_told_all_of_them() -> None:
    fault = fault_of("zzz = 1")
    assert all(key in fault for key in CHANGEABLE)
    assert not any(f" {key}," in fault for key in FIXED)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('max_bytes = "many"', "is not a size"),
        ("max_bytes = true", "is not a size"),
        ("max_bytes = 0", "is too small"),
        ('max_bytes = ""', "is not a size"),
        ("keep_ended = 30", "is not a duration"),
        ("max_streams = -1", "is not a whole number"),
        ("compress = 2", "is neither true nor false"),
        ('log_level = "loud"', "is not one of"),
        ("max_bytes = 1.5", "is neither text"),
        ("max_bytes = 2026-11-26", "is neither text"),
        ('max_bytes = ["1g"]', "is neither text"),
        ("[max_bytes]\nmax_file = 1", "is neither text"),
        (f"max_bytes = {2**64}", "the number is too large"),
        (f"max_bytes = 0x{'f' * 10_000}", "the number is too large"),
    ],
)
def test_a_value_that_cannot_be_read_is_a_mistake_of_its_setting(text: str, why: str) -> None:
    key = text.lstrip("[").split()[0].rstrip("]")
    fault = fault_of(text)
    assert fault.startswith(f"{key}: ")
    assert why in fault


def test_a_mistaken_setting_stays_as_it_is_in_force_and_the_others_change() -> None:
    in_force = replace(ENVIRONMENT, max_bytes=1, max_streams=2, max_file=3)
    settings, faults = parsed('max_bytes = "x"\nmax_streams = 5', in_force)
    assert settings == replace(ENVIRONMENT, max_bytes=1, max_streams=5)
    assert len(faults) == 1


@pytest.mark.parametrize("count", [FAULT_LIMIT, FAULT_LIMIT + 1])
def test_only_so_many_mistakes_are_told(count: int) -> None:
    _, faults = parsed("\n".join(f"x{number} = 1" for number in range(count)))
    assert len(faults) == count
    assert (faults[-1] == "and 1 more mistakes") == (count > FAULT_LIMIT)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_content_is_read_or_told(content: bytes) -> None:
    try:
        _, faults = parse_settings(content, ENVIRONMENT, ENVIRONMENT)
    except ValueSyntaxError as error:
        faults = [str(error)]
    assert all(faults)


@pytest.fixture
def file(folder: Path) -> SettingsFile:
    """One whose data folder is not there yet."""
    return SettingsFile(replace(ENVIRONMENT, data=str(folder / "data")))


def write(file: SettingsFile, content: str | bytes) -> None:
    file.path.parent.mkdir(exist_ok=True)
    file.path.write_bytes(content if isinstance(content, bytes) else content.encode())


def settle(file: SettingsFile) -> bool:
    """Look until a change would have been read; whether there was one."""
    return any([file.look(), file.look()])


def test_without_a_file_the_environment_holds(file: SettingsFile) -> None:
    file.read()
    assert not settle(file)
    file.path.parent.mkdir()
    assert not settle(file)
    file.path.parent.rmdir()
    file.path.parent.write_text("no folder")
    assert not settle(file)
    assert (file.settings.max_bytes, file.faults) == (50 * 10**9, ())


def test_a_file_that_is_there_at_the_start_is_read_at_once(file: SettingsFile) -> None:
    write(file, "max_bytes = 1")
    file.read()
    assert file.settings.max_bytes == 1
    assert not settle(file)


def test_a_change_is_read_once_and_a_file_that_goes_gives_back_the_environment(
    file: SettingsFile,
) -> None:
    file.read()
    for number in (1, 2):
        write(file, f"max_bytes = {number}")
        assert settle(file)
        assert file.settings.max_bytes == number
        assert not settle(file)
    write(file, "max_file = 1")
    assert settle(file)
    assert (file.settings.max_bytes, file.settings.max_file) == (50 * 10**9, 1)
    file.path.unlink()
    assert settle(file)
    assert (file.settings.max_bytes, file.settings.max_file) == (50 * 10**9, 7)


def test_a_file_that_is_being_written_is_read_when_it_is_whole(file: SettingsFile) -> None:
    write(file, "max_bytes = 1")
    file.read()
    for part in ("max_bytes = 2", "max_bytes = 20", "max_bytes = 200\n"):
        write(file, part)
        assert not file.look()
        assert file.settings.max_bytes == 1
    assert file.look()
    assert file.settings.max_bytes == 200


def test_a_file_that_is_put_in_the_place_of_another_is_read(file: SettingsFile) -> None:
    """An editor moves the old one away, and a moment later there is a new one, which may have the same size and time."""
    write(file, "max_bytes = 1")
    file.read()
    times = (0, 0)
    os.utime(file.path, ns=times)
    assert settle(file)
    backup = file.path.rename(f"{file.path}~")
    assert not file.look()
    write(file, "max_bytes = 2")
    os.utime(file.path, ns=times)
    assert settle(file)
    assert file.settings.max_bytes == 2
    backup.replace(file.path)
    assert settle(file)
    assert file.settings.max_bytes == 1


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


STRANGE: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a symbolic link": lambda path: path.symlink_to("elsewhere"),
    "a FIFO": os.mkfifo,
    "a socket": make_socket,
    "a device": lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5)),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_file_changes_nothing_and_lets_nobody_wait(
    kind: str, file: SettingsFile
) -> None:
    write(file, "max_bytes = 1")
    file.read()
    file.path.unlink()
    (file.path.parent / "elsewhere").write_text("max_bytes = 2")
    try:
        STRANGE[kind](file.path)
    except PermissionError:
        pytest.skip(f"{kind} cannot be made here")
    assert settle(file)
    assert file.faults == ("it is no regular file",)
    assert file.settings.max_bytes == 1
    assert not settle(file)


DEEP = "x = " + "[" * (CONTENT_LIMIT_BYTES - 4)
DOTS = ".".join("a" * (CONTENT_LIMIT_BYTES // 2 - 2)) + "=1"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"max_bytes = ", "it is not TOML"),
        (b"max_bytes = 2\nmax_bytes = 3", "it is not TOML"),
        (b"max_bytes = 1" + b"0" * 5_000, "it is not TOML"),
        (DEEP.encode(), "it is not TOML"),
        (b'max_bytes = "\xff"', "it is not UTF-8 text"),
        (DOTS.encode(), "'a' is unknown"),
        (b"#" * (CONTENT_LIMIT_BYTES + 1), f"it has {CONTENT_LIMIT_BYTES + 1} bytes"),
    ],
)
def test_a_file_that_cannot_be_read_leaves_what_is_in_force(
    content: bytes, why: str, file: SettingsFile
) -> None:
    write(file, content)
    file.read()
    assert file.settings.max_bytes == 50 * 10**9
    assert file.faults[0].startswith(why)
    write(file, "max_bytes = 1")
    assert settle(file)
    assert (file.settings.max_bytes, len(file.faults)) == (1, 0)
    write(file, content)
    assert settle(file)
    assert file.faults[0].startswith(why)
    assert not settle(file)


def test_the_largest_file_is_read(file: SettingsFile) -> None:
    text = "max_bytes = 1\n"
    write(file, text + "#" * (CONTENT_LIMIT_BYTES - len(text)))
    file.read()
    assert (file.settings.max_bytes, file.faults) == (1, ())


def test_a_disk_that_refuses_is_told_once_and_asked_again(
    file: SettingsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(file, "max_bytes = 1")
    with monkeypatch.context() as context:

        def refuse(*_: object) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        context.setattr("logboom.settings_file.os.read", refuse)
        file.read()
        assert file.faults == ("it cannot be read: Input/output error",)
        assert not settle(file)
    assert settle(file)
    assert (file.settings.max_bytes, len(file.faults)) == (1, 0)


def test_a_folder_that_cannot_be_looked_into_is_a_fault(folder: Path) -> None:
    (folder / "data").symlink_to("data")
    file = SettingsFile(replace(ENVIRONMENT, data=str(folder / "data")))
    file.read()
    assert file.faults == (f"it cannot be read: {os.strerror(errno.ELOOP)}",)


def test_a_file_that_changes_while_it_is_read_is_read_again(
    file: SettingsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(file, "max_bytes = 1")
    read = os.read

    def read_and_write(*arguments: Any) -> bytes:
        content = read(*arguments)
        write(file, "max_bytes = 22")
        return content

    with monkeypatch.context() as context:
        context.setattr("logboom.settings_file.os.read", read_and_write)
        file.read()
    assert file.settings.max_bytes == 50 * 10**9
    assert settle(file)
    assert (file.settings.max_bytes, file.faults) == (22, ())


def test_the_log_is_told_what_changes_and_what_is_wrong(
    file: SettingsFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "logboom")
    write(file, "max_bytes = -1\nmax_fle = 1")
    before = file.settings
    file.read()
    file.tell(before)
    assert caplog.messages == [
        f"settings file {file.path}: 'max_fle' is unknown; did you mean max_file?",
        f"settings file {file.path}: now max_bytes is -1",
    ]
