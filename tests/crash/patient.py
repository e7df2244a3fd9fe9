"""The stand-in for dockerd before a service whose workers come and go."""

from dataclasses import dataclass
from typing import Any

import trio

from tests.crash.numbered import FrameCheck, Verdict
from tests.crash.writers import Writer
from tests.support.fake_docker import FakeDocker, container_info

ANSWER_DEADLINE_S = 300
"""A backstop, less than pytest's own: that would leave processes behind."""


@dataclass(frozen=True, slots=True)
class PatientDocker(FakeDocker):
    """Tries again when the plugin dies before it answers, as dockerd does: without the request's body."""

    async def call_checked(  # type: ignore[explicit-override]  # typing has the mark from 3.12 on
        self, path: str, document: object = None
    ) -> Any:
        body: bytes | None = None
        with trio.fail_after(ANSWER_DEADLINE_S):
            while True:
                try:
                    answer = await self.call(path, document, body=body)
                except (EOFError, trio.BrokenResourceError):
                    # A container's start fails then, and its user tries once more.
                    body = b"" if path == "/LogDriver.StopLogging" else None
                    continue
                # The worker that began the session died before it could say so.
                assert answer.status in {200, 503}, answer
                if answer.status == 200:
                    assert not answer.error or "already" in answer.error, answer.error
                    return answer.document


async def read_verdict(docker: FakeDocker, writer: Writer) -> Verdict:
    check = FrameCheck(writer.frames)
    async with docker.open_logs(container_info(writer.container_id)) as reading:
        async for piece in reading.connection.body():
            check.feed(piece)
    return check.verdict(writer.logged)
