"""A session that is not dockerd's: frames go into a FIFO, and the service that runs keeps them as a container's log.

What dockerd does is done in the same order (moby, ``daemon/logger/plugin.go`` and ``plugin_unix.go``).
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from logboom.cli.client import plugin_name
from logboom.cli.plugin import inspect_plugin
from logboom.cli.store import DEFAULT_DATA
from logboom.cli.worker import WorkerGoneError, exchange

__all__ = ["Service", "SessionError", "find_service", "forget", "is_unfinished", "session"]

FOLDER: Final = "importing"
"""In the store's folder: a folder for each container whose import has begun and not ended, with its FIFO."""

DOCKER_EXEC_ROOT: Final = "/run/docker"
"""dockerd's ``--exec-root``, unless it was given another."""

STOP_PATIENCE_S: Final = 60
"""So long the end of a session is tried: a worker that was killed is back within seconds."""


class SessionError(Exception):
    """The service cannot be reached, or refuses; the message says why."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that runs."""

    socket: str
    """Where dockerd would call it."""
    data: str
    """Its data folder, as seen from here."""
    data_inside: str
    """The same, as the service has to be told."""

    def start(self, file: str, info: Mapping[str, Any]) -> None:
        """Begin a session.

        Raises:
            SessionError: it was refused.
        """
        self._call("StartLogging", {"File": file, "Info": info})

    def stop(self, file: str) -> None:
        """End a session once all is taken out of its FIFO, which must stay open until this has returned.

        Raises:
            SessionError: that could not be done in time.
        """
        deadline = time.monotonic() + STOP_PATIENCE_S
        while True:
            try:
                self._call("StopLogging", {"File": file})
            except SessionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)
            else:
                return

    def _call(self, method: str, document: Mapping[str, Any]) -> None:
        try:
            reply = exchange(
                Path(self.socket), "POST", f"/LogDriver.{method}", json.dumps(document)
            )
        except WorkerGoneError as error:
            raise SessionError(str(error)) from None
        said = reply.document.get("Err") if reply.body else None
        if said or reply.status != HTTPStatus.OK:
            raise SessionError(said or f"{method} was answered with {reply.status}")


def find_service() -> Service:
    """The one that ``LOGBOOM_SOCKET`` names, as in the plugin, or else the plugin on this machine.

    Raises:
        SessionError: there is none, or it is disabled.
    """
    if path := os.environ.get("LOGBOOM_SOCKET"):
        data = os.path.normpath(os.environ.get("LOGBOOM_DATA") or DEFAULT_DATA)
        return Service(path, data, data.removeprefix(os.environ.get("LOGBOOM_FIFO_ROOT", "")))
    plugin = inspect_plugin()
    data_outside = plugin and plugin.on_host(plugin.data_inside)
    if plugin is None or not data_outside:
        raise SessionError("there is no plugin on this machine that could keep an imported log")
    if not plugin.is_enabled:
        raise SessionError(
            f"the plugin is disabled: docker plugin enable --timeout 0 {plugin_name()}"
        )
    # 20.10 has it in /run/docker whatever its --exec-root, later engines below that.
    roots = (os.environ.get("LOGBOOM_EXEC_ROOT"), DOCKER_EXEC_ROOT)
    paths = [f"{root}/plugins/{plugin.identifier}/logboom.sock" for root in roots if root]
    path = next(filter(os.path.exists, paths), paths[-1])
    return Service(path, os.path.normpath(data_outside), plugin.data_inside)


def is_unfinished(folder: str, container_id: str) -> bool:
    """Whether a session of a container has not come to its end, and nobody is at it any more."""
    home = Path(folder, FOLDER, container_id)
    with suppress(FileNotFoundError, NotADirectoryError, SessionError), _locked(home):
        return True
    return False


def forget(folder: str, container_id: str) -> None:
    """Remove what a killed session has left beside a log that is not wanted any more."""
    home = Path(folder, FOLDER, container_id)
    with suppress(FileNotFoundError, NotADirectoryError, SessionError), _locked(home):
        (home / "fifo").unlink(missing_ok=True)
        _remove(home)


@contextmanager
def session(service: Service, folder: str, info: Mapping[str, Any]) -> Iterator[int]:
    """What is written to the descriptor that this gives is in the store when the context has ended.

    When it ends with an error, what was written may be there: ``is_unfinished`` says so until another session is begun.

    Args:
        service: who keeps it.
        folder: the store's, in the data folder or beside it.
        info: the container, as dockerd tells it.

    Raises:
        SessionError: the service refuses, or somebody else has a session of this container.
        OSError: the FIFO cannot be made.
    """
    home = Path(folder, FOLDER, str(info["ContainerID"]))
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(home):
        path = home / "fifo"
        inside = service.data_inside + str(path).removeprefix(service.data)
        is_begun = False
        try:
            with _made_fifo(path) as fifo:
                service.start(inside, info)
                is_begun = True
                try:
                    yield fifo
                finally:
                    service.stop(inside)
        except BaseException:
            # Nothing was taken, so nothing is in the way of another try.
            if not is_begun:
                _remove(home)
            raise
        _remove(home)


@contextmanager
def _made_fifo(path: Path) -> Iterator[int]:
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    try:
        # As dockerd has it: while the service is away a writer waits, and sees no broken pipe.
        fifo = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            yield fifo
        finally:
            os.close(fifo)
    finally:
        path.unlink(missing_ok=True)


def _remove(home: Path) -> None:
    home.rmdir()
    # Others may be importing.
    with suppress(OSError):
        home.parent.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SessionError("it is being imported by another process") from None
        yield
    finally:
        os.close(descriptor)
