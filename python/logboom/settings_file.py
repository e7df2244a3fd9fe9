"""``DATA/logboom.toml``: settings that can change while the service runs. They win over the environment.

``docker plugin set`` needs a disabled plugin, and a disk that gets full at night does not wait for that. Nothing that is wrong with the
file stops anything: what is mistaken in it keeps the value that is in force. ``docs/options.md`` documents it.
"""

import difflib
import logging
import os
import stat
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from logboom.errors import ValueSyntaxError
from logboom.quantities import UNLIMITED
from logboom.settings import SETTINGS, Settings

__all__ = ["CONTENT_LIMIT_BYTES", "FILE_NAME", "SettingsFile", "parse_settings"]

FILE_NAME: Final = "logboom.toml"
"""Its name in the data folder."""

CONTENT_LIMIT_BYTES: Final = 8 * 1024
"""Every setting with a page of comments fits, and no text of this size keeps the parser busy for a second: one with thousands of dots can."""

FAULT_LIMIT: Final = 10
"""So many mistakes are told one by one; the service's log is also dockerd's."""

INTEGER_LIMIT_BITS: Final = 64
"""Larger numbers are no setting's; Python refuses to write down those of thousands of digits."""

_KEYS: Final = {setting.key: setting for setting in SETTINGS}

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stamp:
    """What changes when a file does."""

    errno: int = 0
    """Why nothing is known of it."""
    mode: int = 0
    inode: int = 0
    size_bytes: int = 0
    modified_ns: int = 0
    changed_ns: int = 0

    @classmethod
    def of(cls, found: os.stat_result) -> Self:
        return cls(
            mode=found.st_mode,
            inode=found.st_ino,
            size_bytes=found.st_size,
            modified_ns=found.st_mtime_ns,
            changed_ns=found.st_ctime_ns,
        )


class SettingsFile:
    """The file, and the settings that are in force with it.

    Args:
        environment: the settings without it. They name the data folder, too.

    Attributes:
        path: where it is looked for.
        settings: what is in force.
        faults: what is wrong with the file, a sentence each; none when all of it is in force.
    """

    def __init__(self, environment: Settings) -> None:
        self.path = Path(environment.data, FILE_NAME)
        self.settings = environment
        self.faults: tuple[str, ...] = ()
        self._environment = environment
        # As if there were no file: nothing is to be done then.
        self._seen: _Stamp | None = None
        self._read: _Stamp | None = None
        self._is_unread = False

    def read(self) -> None:
        """Read it as it is now. May block."""
        self._seen = self._look()
        self._take(self._seen)

    def look(self) -> bool:
        """Read it again when it has changed, and has not changed any more since the last call. May block.

        So one that an editor is just writing is not read in parts, nor is one missed that is moved away and back.

        Returns:
            whether there is anything to tell: it was read, or has another fault.
        """
        stamp, before = self._look(), self._seen
        self._seen = stamp
        is_changed = stamp != self._read
        if stamp != before or not (is_changed or self._is_unread):
            return False
        faults = self.faults
        self._take(stamp)
        return is_changed or self.faults != faults

    def tell(self, before: Settings) -> None:
        """Tell the service's log what the last reading has brought.

        Args:
            before: what was in force.
        """
        for fault in self.faults:
            _log.error("settings file %s: %s", self.path, fault)
        changed = [
            f"{setting.key} is {_shown(getattr(self.settings, setting.field))}"
            for setting in SETTINGS
            if getattr(self.settings, setting.field) != getattr(before, setting.field)
        ]
        if changed:
            _log.info("settings file %s: now %s", self.path, ", ".join(changed))

    def _look(self) -> _Stamp | None:
        try:
            return _Stamp.of(self.path.lstat())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return _Stamp(errno=error.errno or -1)

    def _take(self, stamp: _Stamp | None) -> None:
        self._read = stamp
        self._is_unread = False
        if stamp is None:
            self.settings, self.faults = self._environment, ()
            return
        try:
            content = _read(self.path, stamp)
            self.settings, faults = parse_settings(content, self._environment, self.settings)
        except ValueSyntaxError as error:
            faults = [str(error)]
        except OSError as error:
            # The next look may find it well again, without any change.
            self._is_unread = True
            faults = [f"it cannot be read: {error.strerror}"]
        self.faults = tuple(faults)


def parse_settings(
    content: bytes, environment: Settings, in_force: Settings
) -> tuple[Settings, list[str]]:
    """The settings with those of a file over them.

    Args:
        content: the file.
        environment: the settings without it.
        in_force: whence a mistaken one is taken.

    Returns:
        the settings, and a sentence for each mistake.

    Raises:
        ValueSyntaxError: it is not TOML.
    """
    try:
        document = tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise ValueSyntaxError("it is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        # Not only TOMLDecodeError: numbers of thousands of digits and brackets in brackets are told otherwise.
        raise ValueSyntaxError(f"it is not TOML: {error}") from None
    values: dict[str, Any] = {}
    faults: list[str] = []
    for key, value in document.items():
        setting = _KEYS.get(key)
        if setting is None:
            faults.append(_unknown(key))
        elif not setting.is_changeable:
            faults.append(
                f"{key} is fixed when the service starts and cannot be set here; set {setting.variable}"
            )
        else:
            try:
                values[setting.field] = setting.parse(_written(value))
            except ValueSyntaxError as error:
                values[setting.field] = getattr(in_force, setting.field)
                faults.append(f"{key}: {error}")
    if len(faults) > FAULT_LIMIT:
        faults[FAULT_LIMIT:] = [f"and {len(faults) - FAULT_LIMIT} more mistakes"]
    return replace(environment, **values), faults


def _written(value: object) -> str:
    """A value of TOML as it would stand in a variable."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() <= INTEGER_LIMIT_BITS:
            return str(value)
        case int():
            raise ValueSyntaxError("the number is too large")
        case _:
            raise ValueSyntaxError(
                "the value is neither text, nor a whole number, nor true or false"
            )


def _shown(value: object) -> object:
    return UNLIMITED if value is None else value


def _unknown(key: str) -> str:
    known = [setting.key for setting in SETTINGS if setting.is_changeable]
    nearest = difflib.get_close_matches(key[:64].lower(), known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"the settings are {', '.join(known)}"
    return f"{key[:64]!r} is unknown; {hint}"


def _read(path: Path, stamp: _Stamp) -> bytes:
    """Read a file, if it is one.

    Raises:
        ValueSyntaxError: it is none that can hold settings, or is not the one of ``stamp`` any more.
        OSError: the disk refused.
    """
    if stamp.errno:
        raise OSError(stamp.errno, os.strerror(stamp.errno))
    if not stat.S_ISREG(stamp.mode):
        raise ValueSyntaxError("it is no regular file")
    if stamp.size_bytes > CONTENT_LIMIT_BYTES:
        raise ValueSyntaxError(
            f"it has {stamp.size_bytes} bytes; the limit is {CONTENT_LIMIT_BYTES}"
        )
    # Another file may stand there by now, of a kind that lets its reader wait.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(path, flags)
    try:
        content = os.read(descriptor, CONTENT_LIMIT_BYTES)
        if _Stamp.of(os.fstat(descriptor)) != stamp:
            raise ValueSyntaxError("it is being changed, and is read again when that is over")
        return content
    finally:
        os.close(descriptor)
