"""What handlers take and give: requests, answers, and problems.

A problem is an answer that says what is wrong, as RFC 9457 wants it. Each kind has a slug that never changes; ``docs/api.md`` has all of them.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias
from urllib.parse import parse_qsl

from logboom.asgi import Header, Receive, Scope, Send, send_body
from logboom.store import OpenStore, Store

__all__ = [
    "PROBLEMS",
    "Answer",
    "Handler",
    "Json",
    "Problem",
    "Request",
    "Text",
    "encode_problem",
    "opened",
]

PARAMETERS_LIMIT: Final = 32
"""How many parameters a request may have; no handler knows as many."""

PROBLEMS: Final = {
    "bad-parameter": (400, "A parameter cannot be used"),
    "unauthorized": (401, "A token is needed"),
    "not-found": (404, "There is nothing at this path"),
    "stream-not-found": (404, "There is no such stream"),
    "method-not-allowed": (405, "This path has other methods"),
    "request-timeout": (408, "The request took too long to arrive"),
    "stream-in-use": (409, "The stream is in use"),
    "body-too-large": (413, "The request's body is too long"),
    "internal": (500, "A mistake in Logboom"),
    "storage": (500, "The store cannot be read"),
    "engine-metrics": (503, "The engine's metrics cannot be had"),
    "starting": (503, "The store is not open yet"),
    "stopping": (503, "The service stops"),
    "too-many-connections": (503, "There are too many connections"),
    "too-many-followers": (503, "There are too many followers"),
    "http-version": (505, "Only HTTP/1.1 is spoken"),
}
"""Status and title by slug. A test holds ``docs/api.md`` to it."""

_TYPE: Final = "application/problem+json"


class Problem(Exception):  # noqa: N818  (what RFC 9457 calls it)
    """Why a request is not answered.

    Args:
        slug: one of ``PROBLEMS``.
        detail: what is wrong here, and what to do.
        headers: more of the answer's.
    """

    def __init__(self, slug: str, detail: str, headers: Sequence[Header] = ()) -> None:
        super().__init__(detail)
        self.status: Final = PROBLEMS[slug][0]
        self.slug = slug
        self.headers = tuple(headers)

    async def send(self, send: Send) -> None:
        """Answer with it."""
        body = encode_problem(self.slug, str(self))
        await send_body(send, self.status, _TYPE, body, self.headers)


def encode_problem(slug: str, detail: str) -> bytes:
    """The document of a problem (RFC 9457, section 3)."""
    status, title = PROBLEMS[slug]
    problem_type = f"urn:logboom:problem:{slug}"
    return json.dumps(
        {"type": problem_type, "title": title, "status": status, "detail": detail}
    ).encode()


def opened(open_store: OpenStore) -> Store:
    """The store.

    Raises:
        Problem: it is not open yet.
    """
    store = open_store.get_nowait()
    if store is None:
        raise Problem("starting", "the store is not open yet; try again")
    return store


@dataclass(frozen=True, slots=True)
class Request:
    """One request whose body has been read."""

    scope: Scope
    receive: Receive
    path_parameters: Mapping[str, str]
    body: bytes

    def parameters(self, *known: str) -> dict[str, str]:
        """The query's parameters.

        Raises:
            Problem: one is not among ``known``, comes twice, or cannot be read.
        """
        try:
            pairs = parse_qsl(
                self.scope["query_string"].decode("ascii"),
                keep_blank_values=True,
                strict_parsing=bool(self.scope["query_string"]),
                errors="strict",
                max_num_fields=PARAMETERS_LIMIT,
            )
        except ValueError:
            raise Problem(
                "bad-parameter",
                f"the query cannot be read as name=value&..., with at most {PARAMETERS_LIMIT} of them",
            ) from None
        parameters: dict[str, str] = {}
        for name, value in pairs:
            if name not in known:
                names = ", ".join(known) or "none"
                raise Problem(
                    "bad-parameter", f"{name[:64]!r} is no parameter of this; known: {names}"
                )
            if name in parameters:
                raise Problem("bad-parameter", f"{name} is given twice")
            parameters[name] = value
        return parameters


class Answer(Protocol):
    """What a handler gives."""

    async def send(self, send: Send) -> None:
        """Send all of it."""


Handler: TypeAlias = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Text:
    """A whole body."""

    body: bytes
    content_type: str

    async def send(self, send: Send) -> None:
        """Send all of it."""
        await send_body(send, 200, self.content_type, self.body)


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON document."""

    document: Mapping[str, object]
    status: int = 200

    async def send(self, send: Send) -> None:
        """Send all of it."""
        body = json.dumps(self.document).encode() + b"\n"
        await send_body(send, self.status, "application/json", body)
