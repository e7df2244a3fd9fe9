"""Where paths lead, and how what goes wrong is said."""

import json
from typing import Any, cast

import httpx
import pytest

from logboom import _core
from logboom.api.answers import PROBLEMS, Json, Problem, Request
from logboom.api.router import Route, Router
from logboom.asgi import Application


async def echo(request: Request) -> Json:
    return Json({**request.path_parameters, **request.parameters("tail", "since")})


async def refuse(request: Request) -> Json:
    raise Problem("bad-parameter", "as it is")


async def close(request: Request) -> Json:
    raise _core.ClosedError


async def fail(request: Request) -> Json:
    raise RuntimeError("a secret")


ROUTER = Router(
    (
        Route("/api/v1/streams/{id}/entries", echo),
        Route("/refuse", refuse, is_open=True),
        Route("/close", close),
        Route("/fail", fail),
    )
)


async def ask(path: str, method: str = "GET", application: Application = ROUTER) -> httpx.Response:
    transport = httpx.ASGITransport(cast("Any", application))
    async with httpx.AsyncClient(transport=transport, base_url="http://logboom") as client:
        return await client.request(method, path)


def problem_of(answer: httpx.Response) -> str:
    document = answer.json()
    slug = str(document["type"]).removeprefix("urn:logboom:problem:")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (document["status"], document["title"]) == PROBLEMS[slug]
    assert answer.status_code == document["status"]
    assert document["detail"]
    return slug


async def test_parameters_of_path_and_query_reach_the_handler() -> None:
    answer = await ask("/api/v1/streams/web-1/entries?tail=10&since=")
    assert answer.json() == {"id": "web-1", "tail": "10", "since": ""}


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/streams//entries", "/api/v1/streams/a/b/entries", "/x" * 300]
)
async def test_what_is_nowhere_is_not_found(path: str) -> None:
    answer = await ask(path)
    assert problem_of(answer) == "not-found"
    assert "/refuse" in answer.json()["detail"]


async def test_another_method_is_told_which_ones_there_are() -> None:
    for path, methods in (("/close", "GET"), ("/refuse", "GET, HEAD")):
        answer = await ask(path, "DELETE")
        assert problem_of(answer) == "method-not-allowed"
        assert answer.headers["allow"] == methods


@pytest.mark.parametrize(
    "query", ["tial=1", "tail=1&tail=2", "tail", "tail=%ff", "tail=1&" * 40 + "tail=1"]
)
async def test_a_query_that_makes_no_sense_is_refused(query: str) -> None:
    assert problem_of(await ask(f"/api/v1/streams/a/entries?{query}")) == "bad-parameter"


async def test_what_a_handler_raises_is_a_problem(caplog: pytest.LogCaptureFixture) -> None:
    assert problem_of(await ask("/refuse")) == "bad-parameter"
    assert problem_of(await ask("/close")) == "stopping"
    answer = await ask("/fail")
    assert problem_of(answer) == "internal"
    assert "secret" not in answer.text
    assert "a secret" in caplog.text


async def test_other_versions_of_http_are_refused() -> None:
    sent = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await ROUTER({"type": "http", "http_version": "2", "path": "/refuse"}, receive, send)
    assert sent[0]["status"] == 505
    assert json.loads(str(sent[1]["body"], "ascii"))["type"].endswith("http-version")  # type: ignore[call-overload]


def test_a_path_is_open_when_all_that_is_there_is() -> None:
    assert ROUTER.is_open("/refuse")
    assert not ROUTER.is_open("/fail")
    assert not ROUTER.is_open("/nothing")
