"""The calls of Docker's plugin protocol, by path, and how each of them fails.

A request that makes no sense gets an HTTP error; one that makes sense but is refused gets 200, as in Docker's own plugin
library: dockerd then shows the sentence in ``Err`` to the user without a frame of HTTP around it. Both have ``Err``.
dockerd never tries again after an HTTP status, only after a broken connection.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import trio

from logboom import _core
from logboom.asgi import (
    ClientGoneError,
    Message,
    Receive,
    Scope,
    Send,
    read_body,
    send_json,
    socket_of,
)
from logboom.engine_metrics import EngineMetrics
from logboom.errors import OptionError, RequestError
from logboom.measures import Measures
from logboom.plugin.documents import parse_read_logs, parse_start_logging, parse_stop_logging
from logboom.plugin.readlogs import LogStreams
from logboom.plugin.sessions import Sessions
from logboom.threads import Lane, run_in_core

__all__ = ["PluginRpc"]

_log: Final = logging.getLogger(__name__)

_Document: TypeAlias = Mapping[str, object]

_NO_ERROR: Final[_Document] = {"Err": ""}
_READ_LOGS_PATH: Final = "/LogDriver.ReadLogs"
_PATH_SHOWN_LIMIT: Final = 128


class PluginRpc:
    """The ASGI application that dockerd talks to.

    Documents are parsed in the lanes of their calls: one of the largest size takes seconds.
    """

    def __init__(
        self,
        sessions: Sessions,
        streams: LogStreams,
        engine_metrics: EngineMetrics,
        measures: Measures,
    ) -> None:
        self._sessions = sessions
        self._streams = streams
        self._engine_metrics = engine_metrics
        self._measures = measures
        self._calls: dict[str, Callable[[bytes], Awaitable[_Document]]] = {
            "/Plugin.Activate": self._activate,
            "/LogDriver.Capabilities": self._capabilities,
            "/LogDriver.StartLogging": self._start_logging,
            "/LogDriver.StopLogging": self._stop_logging,
            "/MetricsCollector.StartMetrics": self._start_metrics,
            "/MetricsCollector.StopMetrics": self._stop_metrics,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Every request gets an answer, whatever happens."""
        if scope["type"] != "http":
            return  # the server refuses what is not answered
        path: str = scope["path"]
        is_known = path in self._calls or path == _READ_LOGS_PATH
        outcome = _Outcome(path[1:] if is_known else "unknown", send, self._measures)
        try:
            await self._answer(scope, receive, outcome)
        except ClientGoneError:
            outcome.note("gone")
        except RequestError as error:
            await send_json(outcome.send, error.status, {"Err": f"logboom: {error}"})
        except Exception as error:  # noqa: BLE001  (it is logged, and said to the caller)
            _log.exception("%s failed", path[:_PATH_SHOWN_LIMIT])
            if not outcome.is_answered:
                await send_json(
                    outcome.send,
                    500,
                    {
                        "Err": f"logboom: unforeseen {type(error).__name__}; see the log of the plugin"
                    },
                )

    async def _answer(self, scope: Scope, receive: Receive, outcome: "_Outcome") -> None:
        body = await read_body(receive)
        path: str = scope["path"]
        call = self._calls.get(path)
        if call is None and path != _READ_LOGS_PATH:
            known = ", ".join([*self._calls, _READ_LOGS_PATH])
            raise RequestError(
                404, f"{path[:_PATH_SHOWN_LIMIT]!r} is not a call of this plugin; it knows {known}"
            )
        if scope["method"] != "POST":
            raise RequestError(
                405, f"{path} must be called with POST, not {scope['method'][:16]!r}"
            )
        try:
            if call is None:
                request = await run_in_core(Lane.READS, parse_read_logs, body)
                await self._streams.answer(request, socket_of(scope), receive, outcome.send)
            else:
                document = await call(body)
                outcome.is_refused = bool(document.get("Err"))
                await send_json(outcome.send, 200, document)
        except _core.InvalidArgumentError as error:
            raise RequestError(400, str(error)) from None
        except _core.ClosedError:
            raise RequestError(503, "the plugin is stopping; try again") from None

    async def _activate(self, _body: bytes) -> _Document:
        """Only a plugin that is an ordinary process is asked; a managed one has it in its manifest."""
        return {"Implements": ["LogDriver", "MetricsCollector"]}

    async def _capabilities(self, _body: bytes) -> _Document:
        """Answered before the store is open: after a failure dockerd would quietly keep a second log of its own."""
        return {"Cap": {"ReadLogs": True}, "Err": ""}

    async def _start_logging(self, body: bytes) -> _Document:
        try:
            request = await run_in_core(Lane.SESSIONS, parse_start_logging, body)
            await self._sessions.start(request)
        except (OptionError, _core.SessionExistsError, _core.StorageError) as error:
            return {"Err": f"logboom: {error}"}
        return _NO_ERROR

    async def _stop_logging(self, body: bytes) -> _Document:
        if not body:
            # dockerd's second try, whose body is lost. An error would make it keep the FIFO for ever; after a success
            # it closes the FIFO, and that ends the session just as well.
            await self._sessions.stop_unknown()
            return {}
        request = await run_in_core(Lane.SESSIONS, parse_stop_logging, body)
        await self._sessions.stop(request)
        return _NO_ERROR

    async def _start_metrics(self, _body: bytes) -> _Document:
        """Answered at once: dockerd waits for it when it starts."""
        self._engine_metrics.start()
        return _NO_ERROR

    async def _stop_metrics(self, _body: bytes) -> _Document:
        self._engine_metrics.stop()
        return _NO_ERROR


class _Outcome:
    """What becomes of one call, measured until its answer begins."""

    def __init__(self, call: str, send: Send, measures: Measures) -> None:
        self._call = call
        self._send = send
        self._measures = measures
        self._begun_at = trio.current_time()
        self.is_answered = False
        self.is_refused = False

    async def send(self, message: Message) -> None:
        if not self.is_answered:
            self.is_answered = True
            self.note(self._result(message["status"]))
        await self._send(message)

    def note(self, result: str) -> None:
        seconds = trio.current_time() - self._begun_at
        self._measures.calls[self._call, result].note(seconds)

    def _result(self, status: int) -> str:
        if status >= 500:
            return "failed"
        if status >= 400:
            return "invalid"
        return "refused" if self.is_refused else "ok"
