"""Finds the handler of a request, and turns whatever goes wrong into a problem."""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from logboom import _core
from logboom.api.answers import Handler, Problem, Request
from logboom.asgi import ClientGoneError, Message, Receive, Scope, Send, read_body
from logboom.errors import RequestError

__all__ = ["BODY_LIMIT_BYTES", "Route", "Router"]

BODY_LIMIT_BYTES: Final = 64 * 1024
"""The largest body of a request. Those that there are have none."""

_PATH_SHOWN_LIMIT: Final = 128

_PROBLEM_OF_STATUS: Final = {408: "request-timeout", 413: "body-too-large"}

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Route:
    """One resource: ``{name}`` in its path stands for anything but a slash."""

    path: str
    handler: Handler
    method: str = "GET"
    is_open: bool = False
    """Nobody is asked for a token. It is for probes, some of which ask with HEAD; the server leaves the body of that answer out."""
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        parts = re.split(r"\{(\w+)\}", self.path)
        parts[::2] = map(re.escape, parts[::2])
        parts[1::2] = (f"(?P<{name}>[^/]+)" for name in parts[1::2])
        object.__setattr__(self, "pattern", re.compile("".join(parts)))

    @property
    def methods(self) -> tuple[str, ...]:
        """What it answers."""
        return (self.method, "HEAD") if self.is_open else (self.method,)


class Router:
    """An ASGI application of routes.

    Args:
        routes: where each path leads.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(routes)

    def open_ones(self) -> "Router":
        """The same with nothing but what needs no token."""
        return Router(route for route in self._routes if route.is_open)

    def reading_ones(self) -> "Router":
        """The same with nothing that changes the store."""
        return Router(route for route in self._routes if route.method == "GET")

    def is_open(self, path: str) -> bool:
        """Whether all that is at a path needs no token."""
        found = [route for route in self._routes if route.pattern.fullmatch(path)]
        return bool(found) and all(route.is_open for route in found)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return  # the server refuses what is not answered
        is_answered = False

        async def send_noting(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        try:
            await self._answer(scope, receive, send_noting)
        except ClientGoneError:
            pass
        except Problem as problem:
            await problem.send(send)
        except Exception as error:  # noqa: BLE001  (it is logged, and said to the caller)
            _log.exception("%s failed", scope["path"][:_PATH_SHOWN_LIMIT])
            if not is_answered:
                detail = f"unforeseen {type(error).__name__}; see the log of the plugin"
                await Problem("internal", detail).send(send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive, BODY_LIMIT_BYTES)
        except RequestError as error:
            raise Problem(_PROBLEM_OF_STATUS[error.status], str(error)) from None
        if scope["http_version"] not in {"1.0", "1.1"}:
            raise Problem("http-version", f"this is HTTP/{scope['http_version']}")
        route, path_parameters = self._find(scope["path"], scope["method"])
        request = Request(scope, receive, path_parameters, body)
        try:
            answer = await route.handler(request)
        except _core.ClosedError:
            raise Problem("stopping", "the service stops; try again") from None
        await answer.send(send)

    def _find(self, path: str, method: str) -> tuple[Route, dict[str, str]]:
        methods: list[str] = []
        for route in self._routes:
            found = route.pattern.fullmatch(path)
            if found and method in route.methods:
                return route, found.groupdict()
            if found:
                methods.extend(route.methods)
        if not methods:
            paths = ", ".join(route.path for route in self._routes)
            raise Problem("not-found", f"{path[:_PATH_SHOWN_LIMIT]!r} is none of {paths}")
        allowed = ", ".join(methods)
        raise Problem("method-not-allowed", f"use {allowed}", [(b"allow", allowed.encode())])
