"""Where this worker leaves a listening socket for the next one: with the supervisor, which holds it and does not look at it.

The supervisor gives each worker both ends of a pair of sockets (``rust/init/src/keeper.rs``). What is sent into one waits in the
other, and lives as long as the supervisor.
"""

import array
import os
import re
import socket
from collections.abc import Mapping
from typing import Final

__all__ = ["VARIABLE", "Keeper"]

VARIABLE: Final = "SUPERVISOR_KEEPER"
"""Names the numbers of both ends."""

NOTE_LIMIT_BYTES: Final = 1024
"""A note tells what the socket is: a path that a socket can be bound to, and two numbers."""


class Keeper:
    """Holds one listening socket, with a note of what it is."""

    def __init__(self, put: socket.socket, take: socket.socket) -> None:
        self._put = put
        self._take = take

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Keeper | None":
        """The supervisor's; ``None`` where none is."""
        numbers = re.fullmatch(r"(\d+),(\d+)", environment.get(VARIABLE, ""))
        if numbers is None:
            return None
        try:
            put, take = (socket.socket(fileno=os.dup(int(number))) for number in numbers.groups())
        except OSError:
            return None
        return cls(put, take)

    def keep(self, listening: socket.socket, note: bytes) -> None:
        """Leave a socket for the next worker, in place of the one that is there.

        Raises:
            OSError: it cannot be kept.
        """
        kept = self._receive(0)
        if kept is not None:
            kept[0].close()
        socket.send_fds(self._put, [note], [listening.fileno()])

    def look(self) -> tuple[socket.socket, bytes] | None:
        """What an earlier worker has left, which stays there."""
        return self._receive(socket.MSG_PEEK)

    def close(self) -> None:
        """Give up our hold of the supervisor's sockets; what is kept stays."""
        self._put.close()
        self._take.close()

    def _receive(self, flags: int) -> tuple[socket.socket, bytes] | None:
        flags |= socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        space_bytes = socket.CMSG_LEN(array.array("i").itemsize)
        try:
            # Not recv_fds: it takes flags and forgets them in Python 3.11.
            note, ancillary, _, _ = self._take.recvmsg(NOTE_LIMIT_BYTES, space_bytes, flags)
        except OSError:
            return None  # nothing is there
        if not ancillary:
            return None
        descriptors = array.array("i", ancillary[0][2])
        return socket.socket(fileno=descriptors[0]), note
