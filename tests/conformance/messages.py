"""What the cases log."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.support.fake_docker import Entry

MINUTE_NS = 60 * 10**9
PIECE_BYTES = 16 * 1024
"""dockerd cuts a line here; the rest is another entry."""


@dataclass(frozen=True, slots=True)
class Message:
    """One entry to be logged.

    Args:
        entry: as dockerd would write it. A time of 0 stands for the moment at which it is logged.
        is_printable: a program's output can be made into this entry, its time aside.
    """

    entry: Entry
    is_printable: bool = True

    @property
    def output(self) -> bytes:
        """What a program prints for it."""
        assert self.is_printable
        return self.entry.as_shown().line

    def dated(self, time_ns: int) -> "Message":
        return replace(self, entry=replace(self.entry, time_ns=time_ns))


def line(text: bytes, source: str = "stdout", *, time_ns: int = 0) -> Message:
    """A whole line, shorter than dockerd's limit."""
    assert len(text) < PIECE_BYTES
    assert b"\n" not in text
    return Message(Entry(source, time_ns, text))


def lines(count: int, text: str = "line", *, first: int = 0) -> list[Message]:
    return [line(f"{text} {number}".encode()) for number in range(first, first + count)]


def pieces(
    text: bytes,
    source: str,
    *,
    partial_id: str,
    time_ns: int = 0,
    cut_at: int = PIECE_BYTES,
) -> list[Message]:
    """A line that is too long, in pieces."""
    parts = [text[start : start + cut_at] for start in range(0, len(text), cut_at)]
    if len(parts[-1]) == cut_at:
        parts.append(b"")
    return [
        Message(
            Entry(
                source,
                time_ns,
                part,
                partial=True,
                partial_last=ordinal == len(parts),
                partial_id=partial_id,
                partial_ordinal=ordinal,
            ),
            is_printable=cut_at == PIECE_BYTES,
        )
        for ordinal, part in enumerate(parts, 1)
    ]


def dated_messages(now_ns: int | None = None) -> list[Message]:
    """The seven of moby's loggertest. After the last one "someone adjusted the clock"."""
    now_ns = time.time_ns() if now_ns is None else now_ns

    def minutes_ago(minutes: int) -> int:
        return now_ns - minutes * MINUTE_NS

    alone = Entry(
        "stdout",
        minutes_ago(20),
        b"another message",
        partial=True,
        partial_last=True,
        partial_id="aaaaaaaa",
        partial_ordinal=1,
    )
    return [
        line(b"a message", time_ns=minutes_ago(30)),
        Message(alone, is_printable=False),
        *pieces(
            b"to be...continued",
            "stderr",
            partial_id="bbbbbbbb",
            time_ns=minutes_ago(15),
            cut_at=len(b"to be..."),
        )[:1],
        Message(
            Entry(
                "stderr",
                minutes_ago(15),
                b"continued",
                partial=True,
                partial_last=True,
                partial_id="bbbbbbbb",
                partial_ordinal=2,
            ),
            is_printable=False,
        ),
        line(b"a really long message " + b"a" * 4096, "stderr", time_ns=minutes_ago(10)),
        line(b"just one more message", "stderr", time_ns=minutes_ago(10)),
        line(b"someone adjusted the clock", time_ns=minutes_ago(90)),
    ]


def printed_messages() -> list[Message]:
    """Seven that a program can print, alike as far as it goes."""
    return [
        line(b"a message"),
        line(b"another message"),
        *pieces(b"to be..." + b"." * PIECE_BYTES + b"continued", "stderr", partial_id="b" * 64),
        line(b"a really long message " + b"a" * 4096, "stderr"),
        line(b"just one more message", "stderr"),
        line(b"the last message"),
    ]


def shown(messages: Sequence[Message]) -> list[Entry]:
    """As they must be read back, where their times were chosen."""
    return [message.entry.as_shown() for message in messages]
