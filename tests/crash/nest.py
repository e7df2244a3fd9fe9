"""A process that forks workers which have nothing but the core, so that one lives and dies in milliseconds.

It is the supervisor of these tests: it reaps a worker before it forks the next one, and holds the socket on which they are
called. A worker can be traced, to be killed at its n-th change of a file.

Run as ``python -m tests.crash.nest ROOT SOCKET_DESCRIPTOR``. It reads commands from its input, one a line:

    fork        fork a worker, the last one must have been killed; answers ``PID``
    trace N     the same with one that waits to be traced; answers ``PID``
    go          let that one run, and kill it when it begins its N-th change of a file; answers when it has ended, with the
                changes that it began, as JSON

A worker that gets SIGTERM closes the store and ends.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable

from logboom import _core
from tests.crash import tracing


def serve(root: str, listening: socket.socket) -> None:
    """Live as a worker: open the store, then do what is asked."""
    # Only this thread may get it: another one would leave it waiting for a connection.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    store = _core.Store.open(
        data=f"{root}/data",
        fifo_root=root,
        block_seconds=1,
        pipe_budget_bytes=32_000_000,
        named_containers=100,
        sync="1s",
    )
    signal.signal(signal.SIGTERM, close_and_exit(store))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    while True:
        connection, _ = listening.accept()
        with connection, connection.makefile("rwb") as stream:
            request = json.loads(stream.readline())
            try:
                answer = {"result": act(store, **request)}
            except _core.LogboomError as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            stream.write(json.dumps(answer).encode() + b"\n")


def close_and_exit(store: _core.Store) -> Callable[[int, object], None]:
    def handle(_number: int, _frame: object) -> None:
        store.close()
        os._exit(0)

    return handle


def act(store: _core.Store, action: str, file: str, container_id: str = "") -> object:
    match action:
        case "start":
            store.start_session(
                file=file,
                container_id=container_id,
                facts="{}",
                # Small, so that some are sealed in each life.
                max_size_bytes=64 * 1024,
                max_file=1_000_000,
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


def reap_killed(pid: int) -> None:
    check_ended(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), is_killed=True)


def check_ended(code: int, *, is_killed: bool) -> None:
    """A worker that ends of itself proves nothing, and is wrong."""
    assert code == (-signal.SIGKILL if is_killed else 0), f"a worker ended with {code}"


def main() -> None:
    root, descriptor = sys.argv[1], int(sys.argv[2])
    listening = socket.socket(fileno=descriptor)
    pid = number = 0
    for line in sys.stdin:
        match line.split():
            case ["fork"]:
                if pid:
                    reap_killed(pid)
                pid = fork(root, listening, is_traced=False)
                say(str(pid))
            case ["trace", text]:
                if pid:
                    reap_killed(pid)
                number = int(text)
                pid = fork(root, listening, is_traced=True)
                say(str(pid))
            case ["go"]:
                changes, code = tracing.kill_at_change(pid, number)
                pid = 0
                check_ended(code, is_killed=len(changes) == number)
                say(json.dumps(changes))
    if pid:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
