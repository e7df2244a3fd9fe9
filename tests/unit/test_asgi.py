import json
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from logboom.asgi import (
    BODY_LIMIT_BYTES,
    BODY_TIME_LIMIT_S,
    ClientGoneError,
    Receive,
    read_body,
    send_json,
    wait_disconnected,
)
from logboom.errors import RequestError

LAST = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


def part(body: bytes) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": True}


def receiving(messages: Sequence[dict[str, Any]]) -> Receive:
    left = list(messages)

    async def receive() -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        if not left:
            await trio.sleep_forever()
        return left.pop(0)

    return receive


async def test_a_body_is_joined() -> None:
    assert await read_body(receiving([part(b"ab"), part(b"c"), LAST])) == b"abc"
    assert await read_body(receiving([LAST])) == b""


async def test_a_body_at_the_limit_is_read_and_one_byte_more_is_refused() -> None:
    assert (
        len(await read_body(receiving([part(b"x" * BODY_LIMIT_BYTES), LAST]))) == BODY_LIMIT_BYTES
    )
    with pytest.raises(RequestError, match=str(BODY_LIMIT_BYTES)) as caught:
        await read_body(receiving([part(b"x" * BODY_LIMIT_BYTES), part(b"x"), LAST]))
    assert caught.value.status == 413


async def test_a_caller_that_hangs_up_gets_no_answer() -> None:
    with pytest.raises(ClientGoneError):
        await read_body(receiving([part(b"ab"), GONE]))


async def test_a_body_that_does_not_come_is_waited_for_so_long_only(
    autojump_clock: trio.testing.MockClock,
) -> None:
    started = trio.current_time()
    with pytest.raises(RequestError) as caught:
        await read_body(receiving([part(b"ab")]))
    assert caught.value.status == 408
    assert trio.current_time() - started == BODY_TIME_LIMIT_S


async def test_every_answer_closes_its_connection() -> None:
    sent = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await send_json(send, 404, {"Err": "ü"})
    headers = dict(sent[0]["headers"])
    assert sent[0]["status"] == 404
    assert headers[b"connection"] == b"close"
    assert int(headers[b"content-length"]) == len(sent[1]["body"])
    assert json.loads(sent[1]["body"]) == {"Err": "ü"}


async def test_a_disconnect_is_found_behind_what_is_left_of_the_request() -> None:
    await wait_disconnected(receiving([part(b"x"), LAST, GONE]))
