"""``logboom serve`` with an illness that comes when it is told, which the product has no door for.

Run as ``python -m tests.crash.sick_service ILLNESS FOLDER HANG_SECONDS``; it listens on file descriptor 3. Files in the folder:

    sick     made by the test: be ill
    ill      made by the service: it is; one that hangs has removed ``sick``, so that the next worker is well
    <call>   made by the service: this call waits for the disk
"""

import os
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import trio

from logboom import app
from logboom.settings import Settings, read_settings
from logboom.telemetry import start_log

POLL_S = 0.01
FOR_EVER_S = 3600

WAITING = {"start_session", "stop_session", "drain", "read", "close"}
"""What ``_core.pyi`` says of them: *May block*. All but ``next_frames``: a reader that waits there would not get to its ``close``."""


def sleep_for_ever() -> None:
    time.sleep(FOR_EVER_S)


def compute_for_ever() -> None:
    # One call that takes years, and no other thread of the interpreter runs meanwhile.
    re.fullmatch(r"(a+)+b", "a" * 100)


HANGS: dict[str, Callable[[], None]] = {"sleeps": sleep_for_ever, "computes": compute_for_ever}


async def hang_when_told(folder: Path, hang: Callable[[], None]) -> None:
    while not (folder / "sick").exists():
        await trio.sleep(POLL_S)
    (folder / "sick").unlink()
    # Whole, or not there.
    told = folder / "ill.tmp"
    told.write_text(str(os.getpid()))
    told.rename(folder / "ill")
    hang()


class StalledStore:
    """Its calls wait as long as the disk stalls, before they do anything or when they have done all."""

    def __init__(self, store: Any, folder: Path, *, is_late: bool) -> None:
        self._store = store
        self._folder = folder
        self._is_late = is_late

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        if name not in WAITING:
            return value

        def call(*arguments: object, **keywords: object) -> object:
            if not self._is_late:
                self._wait(name)
            answer = value(*arguments, **keywords)
            if self._is_late:
                self._wait(name)
            if name != "read":
                return answer
            return StalledStore(answer, self._folder, is_late=self._is_late)

        return call

    def _wait(self, name: str) -> None:
        while (self._folder / "sick").exists():
            (self._folder / name).touch()
            time.sleep(POLL_S)


STALLS = ("stalled", "late")
"""Calls wait before they do anything, or when they have done all and are not answered yet."""


def open_stalled(folder: Path, is_late: bool, settings: Settings) -> Any:
    return StalledStore(app.open_store(settings), folder, is_late=is_late)


def main() -> None:
    illness, folder, hang_seconds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    start_log("info")
    given = {"data": str(folder / "data"), "socket": "fd://3", "fifo_root": str(folder)}
    settings, _ = read_settings({}, given)
    if illness in STALLS:
        opener = partial(open_stalled, folder, illness == "late")
        app.run(settings, opener=opener, hang_seconds=hang_seconds)
        return
    serve = app.serve

    async def serve_until_hung(*arguments: Any, **keywords: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hang_when_told, folder, HANGS[illness])
            await serve(*arguments, **keywords)
            nursery.cancel_scope.cancel()

    with patch.object(app, "serve", serve_until_hung):
        app.run(settings, hang_seconds=hang_seconds)


if __name__ == "__main__":
    main()
