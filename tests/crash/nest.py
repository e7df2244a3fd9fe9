"""A process that forks workers which have nothing but the core, so that one lives and dies in milliseconds.

It is the supervisor of these tests: it reaps a worker before it forks the next one, and holds the socket on which they are
called. A worker can be traced, to be killed at its n-th change of a file.

Run as ``python -m tests.crash.nest ROOT SOCKET_DESCRIPTOR``. It reads commands from its input, one a line:

    fork        fork a worker, the last one must have been killed; answers ``PID``
    trace N     the same; the worker is killed when it begins its N-th change of a file; answers ``PID``, and in the end
                ``killed`` or ``ended``
"""

import json
import os
import signal
import socket
import sys

from logboom import _core
from tests.crash import tracing


def serve(root: str, listening: socket.socket) -> None:
    """Live as a worker: open the store, then do what is asked."""
    store = _core.Store.open(
        data=f"{root}/data", fifo_root=root, block_seconds=1, pipe_budget_bytes=32_000_000
    )
    while True:
        connection, _ = listening.accept()
        with connection, connection.makefile("rwb") as stream:
            request = json.loads(stream.readline())
            try:
                answer = {"result": act(store, **request)}
            except _core.LogboomError as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            stream.write(json.dumps(answer).encode() + b"\n")


def act(store: _core.Store, action: str, file: str, container_id: str = "") -> object:
    match action:
        case "start":
            store.start_session(
                file=file,
                container_id=container_id,
                facts="{}",
                # Small, so that some are sealed in each life.
                segment_bytes=256 * 1024,
                stream_bytes=None,
                max_age_s=None,
                compress=True,
            )
            return None
        case "stop":
            return store.stop_session(file=file)
        case _:
            raise ValueError(action)


def fork(root: str, listening: socket.socket, *, is_traced: bool) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        # What is said here goes to the test's own error output.
        os.close(0)
        if is_traced:
            tracing.stop_to_be_traced()
        serve(root, listening)
    finally:
        os._exit(1)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    root, descriptor = sys.argv[1], int(sys.argv[2])
    listening = socket.socket(fileno=descriptor)
    pid = 0
    for line in sys.stdin:
        if pid:
            os.waitpid(pid, 0)
        match line.split():
            case ["fork"]:
                pid = fork(root, listening, is_traced=False)
                say(str(pid))
            case ["trace", number]:
                pid = fork(root, listening, is_traced=True)
                say(str(pid))
                is_killed = tracing.kill_at_change(pid, int(number))
                pid = 0
                say("killed" if is_killed else "ended")
    if pid:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
