"""An entry of our own in the answer to ``ReadLogs``: how ``docker logs`` says what is wrong.

There is no other way to the user's terminal: an HTTP error reaches it for a request that fails at once, but not for a
stream that breaks in the middle, and it would keep the part that can be read from being read.
"""

from typing import Final

from logboom.plugin.entry_pb2 import LogEntry

__all__ = ["NOTICE_LIMIT", "encode_notice"]

NOTICE_LIMIT: Final = 4096
"""Characters of a notice."""


def encode_notice(text: str, *, now_ns: int, since_ns: int | None, until_ns: int | None) -> bytes:
    """A frame with one line on stderr.

    Args:
        text: what is wrong.
        now_ns: the time to give the entry.
        since_ns: with ``until_ns``, the times that the reader asked for. dockerd drops what is older and stops at what
            is newer, so the entry is dated between them.
        until_ns: see ``since_ns``.
    """
    time_ns = now_ns
    if since_ns is not None:
        time_ns = max(time_ns, since_ns)
    if until_ns is not None:
        time_ns = min(time_ns, until_ns)
    line = f"logboom: {text[:NOTICE_LIMIT]}\n"
    entry = LogEntry(
        source="stderr", time_nano=time_ns, line=line.encode(errors="replace")
    ).SerializeToString()
    return len(entry).to_bytes(4, "big") + entry
