"""The engine's own metrics, as dockerd gives them to a metrics collector plugin.

dockerd listens on a socket that it mounts into the plugin, and serves ``GET /metrics`` there. It says when with
``/MetricsCollector.StartMetrics`` and, only when it ends, ``StopMetrics``. A worker that was started anew has not been told, so
until it is told otherwise it asks.

With live-restore a dockerd that starts makes a new socket, and the plugin goes on with the mount of the old one, which refuses
for ever. Only a restart of the plugin mends that, and nobody but an operator can restart it.
"""

import contextlib
import logging
from pathlib import Path
from typing import Final

import h11
import trio

from logboom.threads import Lane, run_in_core

__all__ = ["ENGINE_SOCKET", "EngineMetrics", "EngineMetricsError"]

ENGINE_SOCKET: Final = "/run/docker/metrics.sock"
"""Where dockerd mounts its socket (moby, ``daemon/metrics_unix.go``)."""

FETCH_SECONDS: Final = 0.8
"""How long dockerd may take. A scrape of ours must be answered within a second, with our own metrics in any case."""

TEXT_LIMIT_BYTES: Final = 1024 * 1024
"""The longest text that is passed on. It is read before that, which takes a second for so much; dockerd has some 40 KB."""

_OURS: Final = "logboom_"

_PIECE_BYTES: Final = 65_536

_log: Final = logging.getLogger(__name__)


class EngineMetricsError(Exception):
    """There are no metrics of the engine; the message says why, and what to do."""


class EngineMetrics:
    """Asks dockerd for its metrics.

    Args:
        socket: the path of dockerd's socket.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._is_stopped = False
        self._has_answered = True
        self._told = trio.Event()
        self._watching = trio.CancelScope()
        self.problem: str | None = None
        """Why there were none the last time."""

    def start(self) -> None:
        """Dockerd says that it serves them."""
        self._is_stopped = False
        self._has_answered = False
        self._told.set()

    def stop(self) -> None:
        """Dockerd says that it ends."""
        self._is_stopped = True

    async def watch(self) -> None:
        """Ask once each time that dockerd says so, so that what is wrong is said before anybody scrapes. Runs until ``close``."""
        with self._watching:
            while True:
                await self._told.wait()
                self._told = trio.Event()
                # What is wrong is in the log.
                with contextlib.suppress(EngineMetricsError):
                    await self.fetch()

    def close(self) -> None:
        """End ``watch``."""
        self._watching.cancel()

    async def fetch(self) -> bytes:
        """What dockerd has now: whole lines that can be read, none of a name of ours.

        Raises:
            EngineMetricsError: it has no such text, or does not answer within ``FETCH_SECONDS``.
        """
        try:
            text = await self._fetch()
        except EngineMetricsError as error:
            self._note(str(error))
            raise
        self._has_answered = True
        self._note(None)
        return text

    def _note(self, problem: str | None) -> None:
        """Remember what is wrong, and tell the log when that changes."""
        if problem != self.problem:
            if problem is not None:
                _log.warning("no metrics of the engine: %s", problem)
            else:
                _log.info("the engine's metrics are there again")
        self.problem = problem

    async def _fetch(self) -> bytes:
        if self._is_stopped:
            raise EngineMetricsError("dockerd has said that it ends")
        try:
            with trio.fail_after(FETCH_SECONDS):
                text = await _get(self._socket)
        except trio.TooSlowError:
            raise EngineMetricsError(f"dockerd does not answer within {FETCH_SECONDS} s") from None
        except ConnectionRefusedError:
            raise EngineMetricsError(self._describe_refusal()) from None
        except FileNotFoundError:
            raise EngineMetricsError(
                f"there is no {self._socket}, where dockerd would serve them"
            ) from None
        except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError) as error:
            raise EngineMetricsError(f"asking dockerd for its metrics: {error}") from None
        # One bad line, and Prometheus would refuse all that stands beside it.
        fault = await run_in_core(Lane.ENGINE_METRICS, _find_fault, text)
        if fault is not None:
            raise EngineMetricsError(f"dockerd's text cannot be passed on: {fault}")
        return text

    def _describe_refusal(self) -> str:
        if self._has_answered:
            return f"{self._socket} refuses connections: dockerd does not run"
        # It has called us since, so it runs.
        return (
            f"{self._socket} is that of a dockerd that has ended, as live-restore leaves it, and stays so;"
            " `docker plugin disable -f logboom` and `docker plugin enable --timeout 0 logboom` mend it, containers go on meanwhile"
        )


async def _get(socket: Path) -> bytes:
    """The body of the answer to ``GET /metrics``.

    Raises:
        EngineMetricsError: it is no answer that can be used.
        OSError, trio.BrokenResourceError, h11.RemoteProtocolError: it does not come.
    """
    client = h11.Connection(h11.CLIENT)
    headers = [("host", "docker"), ("accept", "text/plain; version=0.0.4"), ("connection", "close")]
    head = client.send(h11.Request(method="GET", target="/metrics", headers=headers))
    body = bytearray()
    async with await trio.open_unix_socket(socket) as stream:
        await stream.send_all((head or b"") + (client.send(h11.EndOfMessage()) or b""))
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                client.receive_data(await stream.receive_some(_PIECE_BYTES))
            elif isinstance(event, h11.Response) and event.status_code != 200:
                raise EngineMetricsError(f"dockerd answers with status {event.status_code}")
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > TEXT_LIMIT_BYTES:
                    raise EngineMetricsError(f"dockerd's text is over {TEXT_LIMIT_BYTES} bytes")
            elif isinstance(event, h11.EndOfMessage):
                return bytes(body)


def _find_fault(text: bytes) -> str | None:
    """Why Prometheus would refuse a text, or that it has names of ours; ``None``: it is well."""
    if text and not text.endswith(b"\n"):
        return "its last line is not whole"
    # Imported here because it takes a tenth of a second, and dockerd waits until the plugin listens.
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    try:
        names = [family.name for family in text_string_to_metric_families(text.decode())]
    except Exception as error:  # noqa: BLE001  (the parser documents none, and raises several)
        return f"{error}"[:200]
    if any(name.startswith(_OURS) for name in names):
        return f"it has names that begin with {_OURS}"
    return None
