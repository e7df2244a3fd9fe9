"""``logboom verify`` on stores that a core wrote, beside it and after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from logboom.cli import main
from logboom.cli.verify import DAMAGED, LINE_LIMIT, MENDED, UNKNOWN, WELL, check_store
from tests.format.host import Host, run_host, wait_until
from tests.format.reader import Entry, Stream

ENTRIES = [Entry(b"stdout", number, b"line %d" % number) for number in range(40)]

KINDS = ("format", "first-sequence", "facts", "segment", "journal", "sync", "record")


@pytest.fixture
def host(folder: Path) -> Iterator[Host]:
    with run_host(folder) as host:
        yield host


def check(host: Host, *, repair: bool = False) -> int:
    return check_store(str(host.data), str(host.root), repair=repair)


def write_all_kinds(host: Host) -> None:
    """A store with a sealed segment, an open one, and a session that a later worker finds."""
    for number in range(2):
        session = host.start(segment_bytes=1)
        session.print(ENTRIES[20 * number : 20 * (number + 1)])
        host.stop(session)
        host.wait_until_cut()
    (host.data / "first-sequence").write_text("0\n")
    running = host.start()
    running.print([Entry(b"stdout", 1, b"in the journal")])
    host.store.drain()
    wait_until(lambda: (host.folder / "container.json").read_text().count('"file"') == 3)


def file_of(kind: str, host: Host) -> Path:
    match kind:
        case "format" | "first-sequence":
            return host.data / kind
        case "facts":
            return host.folder / "container.json"
        case "segment":
            return host.folder / host.names(".zst")[0]
        case "journal":
            return host.folder / host.names(".journal")[0]
        case "sync":
            return min((host.data / "sync").iterdir())
        case _:
            return next((host.root / "run/docker/logboom").iterdir())


def damage(path: Path, at: int = 0) -> bytes:
    """Changes a byte in place: a worker may append meanwhile."""
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 0x80]))
    return path.read_bytes()


def test_a_store_is_well_beside_its_worker_and_after_it(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    write_all_kinds(host)
    assert check(host) == WELL
    assert "1 streams" in capsys.readouterr().out
    host.store.close()
    assert check(host) == WELL
    assert check(host, repair=True) == WELL
    assert not (host.data / "damaged").exists()


@pytest.mark.slow
def test_a_store_is_well_whatever_its_worker_does_meanwhile(host: Host) -> None:
    session = host.start(segment_bytes=2000)
    for number in range(60):
        session.print([Entry(b"stdout", number, b"x" * 20_000)] * 20)
        host.store.drain()
        assert check(host) == WELL


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_damage_is_found_beside_a_worker_and_set_aside_only_without_one(
    host: Host, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_all_kinds(host)
    path = file_of(kind, host)
    damaged = damage(path)
    assert check(host) == DAMAGED
    assert f"{path}: byte 0: " in capsys.readouterr().out

    assert check(host, repair=True) == UNKNOWN
    told = capsys.readouterr()
    assert "held by another process" in told.err
    assert "disable the plugin first" in told.out
    assert path.read_bytes()[: len(damaged)] == damaged


@pytest.mark.parametrize("kind", ["format", "first-sequence", "facts", "segment"])
def test_what_was_set_aside_is_as_it_was_and_the_rest_is_well(
    host: Host, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_all_kinds(host)
    path = file_of(kind, host)
    host.store.close()
    damaged = damage(path)
    assert check(host, repair=True) == MENDED
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "set aside as" in line)
    aside = Path(line.rpartition(" set aside as ")[2])
    assert aside.read_bytes() == damaged
    assert aside.relative_to(host.data).parts[0] == "damaged"
    assert check(host) == WELL
    host.restart()
    lines = [line.rstrip(b"\n") for _, _, line in host.read_by_core()]
    assert lines[-21:-1] == [entry.line for entry in ENTRIES[20:]]
    assert lines[-1] == b"in the journal"
    if kind != "segment":
        assert lines[:-1] == [entry.line for entry in ENTRIES]


def test_what_a_segment_has_lost_is_an_entry_after_the_repair(host: Host) -> None:
    write_all_kinds(host)
    path = file_of("segment", host)
    host.store.close()
    damage(path, at=40)  # in the header of its block
    assert check(host, repair=True) == MENDED
    found = [entry.line for _, entry in Stream(host.folder)]
    assert found[0].startswith(b"logboom: 20 entries cannot be read: ")
    assert found[1:] == [*(entry.line for entry in ENTRIES[20:]), b"in the journal"]


def test_a_link_or_a_fifo_in_place_of_a_file_is_a_fault(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_all_kinds(host)
    host.store.close()
    facts = host.folder / "container.json"
    elsewhere = tmp_path / "elsewhere"
    facts.rename(elsewhere)
    facts.symlink_to(elsewhere)
    assert check(host) == DAMAGED
    assert str(facts) in capsys.readouterr().out


def test_the_command_ends_with_what_was_found(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all_kinds(host)
    host.store.close()
    monkeypatch.setenv("LOGBOOM_FIFO_ROOT", str(host.root))
    verify = ["verify", "--data", str(host.data)]
    assert main(verify) == WELL
    damage(file_of("record", host))
    assert main(verify) == DAMAGED
    assert main([*verify, "--repair"]) == MENDED
    assert main(verify) == WELL


def test_no_store_or_a_newer_one_is_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_store(str(folder / "none"), "", repair=True) == UNKNOWN
    # A folder that is no store passed for a store without faults, and got a lock.
    for repair in (False, True):
        assert check_store(str(folder), "", repair=repair) == UNKNOWN
        assert "holds no store of Logboom" in capsys.readouterr().err
    (folder / "format").write_text("logboom store 999\n")
    assert check_store(str(folder), "", repair=True) == UNKNOWN
    assert "has format 999" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["format"]


def test_what_is_printed_is_plain_and_short(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names come from whoever could write to the folder."""
    data = folder / "\x1b[31m"
    assert check_store(str(data), "", repair=False) == UNKNOWN
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert len(told) <= LINE_LIMIT + 1
