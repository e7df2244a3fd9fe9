import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from logboom.keeper import VARIABLE, Keeper


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """As the supervisor gives it to each worker."""
    put, take = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with put, take:
        yield {VARIABLE: f"{put.fileno()},{take.fileno()}"}


def worker(environment: dict[str, str]) -> Keeper:
    keeper = Keeper.from_environment(environment)
    assert keeper is not None
    return keeper


def test_a_socket_listens_from_one_worker_to_the_next(
    environment: dict[str, str], folder: Path
) -> None:
    first = worker(environment)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "s"))
        listening.listen()
        first.keep(listening, b"what it is")
    first.close()
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(folder / "s"))  # nobody accepts, but it listens
            keeper = worker(environment)
            kept = keeper.look()
            assert kept is not None
            listening, note = kept
            with listening:
                assert note == b"what it is"
                assert not listening.get_inheritable()
                listening.accept()[0].close()
            keeper.close()


def test_the_last_one_is_kept_only(environment: dict[str, str], folder: Path) -> None:
    keeper = worker(environment)
    for name in ("a", "b"):
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(folder / name))
            listening.listen()
            keeper.keep(listening, name.encode())
    kept = keeper.look()
    assert kept is not None
    assert kept[1] == b"b"
    kept[0].close()
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(str(folder / "a"))
    keeper.close()


def test_without_a_supervisor_there_is_none(environment: dict[str, str]) -> None:
    for text in ("", "3", "x,y", "1,2,3"):
        assert Keeper.from_environment({VARIABLE: text}) is None
    assert Keeper.from_environment({}) is None
    closed = os.dup(0)
    os.close(closed)
    assert Keeper.from_environment({VARIABLE: f"{closed},{closed}"}) is None


def test_nothing_is_there_before_anything_was_kept(environment: dict[str, str]) -> None:
    keeper = worker(environment)
    assert keeper.look() is None
    keeper.close()
