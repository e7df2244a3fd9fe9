"""A disk that takes nothing more costs new entries, and each of them is named; no container waits."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import trio

from tests.conformance.worker import Worker
from tests.disks.printers import POLL_S, Printer, start_printer
from tests.support.file_systems import MIB, fill, mounted, run

DEADLINE_S = 100
"""A backstop, less than pytest's own: that would leave processes and mounts behind."""

LONGEST_WAIT_S = 5
"""A container never waits longer for a disk that refuses: 200 ms, but the machine may be busy, and a worker that is killed comes
back within a second."""

QUIET = 3
LINES = 10_000
"""More than a FIFO and what is taken at a time hold: they are printed only if they are taken."""

PAD_BYTES = 1000
"""Of a line that cannot be compressed."""

FULL = "No space left on device"

Tell = Callable[[str], None]


async def start_all(worker: Worker) -> list[Printer]:
    """A loud one and some quiet ones."""
    printers = [await start_printer(worker.docker, number) for number in range(1 + QUIET)]
    for printer in printers:
        await printer.print(10)
    return printers


async def print_until_said(worker: Worker, reason: str, printers: Sequence[Printer]) -> None:
    while reason not in worker.log:
        for printer in printers:
            await printer.print(10)
        await trio.sleep(POLL_S)


async def print_through_a_kill(worker: Worker, reason: str, printers: Sequence[Printer]) -> None:
    """The disk refuses: containers print all the same, the worker is killed meanwhile, and what could be read can be read."""
    loud, *quiet = printers
    before = [await printer.account() for printer in printers]
    assert any(reason in account.fault for account in before), before
    await loud.print(LINES)
    for printer in quiet:
        await printer.print(5)
    worker.kill()
    await worker.docker.wait_ready(DEADLINE_S)
    await loud.print(LINES)
    after = [await printer.account() for printer in printers]
    for was, now in zip(before, after, strict=True):
        assert now.kept >= was.kept


async def see_all_kept_or_named(reason: str, printers: Sequence[Printer], tell: Tell) -> None:
    """The disk takes entries again."""
    for printer in printers:
        await printer.wait_kept()
    accounts = [await printer.settle() for printer in printers]
    assert all(reason in cause for account in accounts for cause in account.causes), accounts
    for printer, account in zip(printers, accounts, strict=True):
        await printer.print(1000)
        assert (await printer.settle()).dropped == account.dropped, "entries go on being dropped"
    longest_s = max(printer.longest_wait_s for printer in printers)
    total = sum(accounts[1:], accounts[0])
    tell(f"{total.text}; no container waited longer than {longest_s:.1f} s")
    # Not all: file systems reckon some of their quotas and free space late.
    assert accounts[0].dropped >= LINES // 2, "the disk has taken what it was to refuse"
    assert longest_s < LONGEST_WAIT_S


async def test_on_a_disk_that_a_foreign_file_has_filled(
    disk: Path, folder: Path, tell: Tell
) -> None:
    with Worker(folder) as worker, trio.fail_after(DEADLINE_S):
        printers = await start_all(worker)
        fill(disk / "foreign")
        await print_until_said(worker, FULL, printers)
        await print_through_a_kill(worker, FULL, printers)
        (disk / "foreign").unlink()
        await see_all_kept_or_named(FULL, printers, tell)


async def test_on_a_disk_that_logs_alone_have_filled(ext4: Path, folder: Path, tell: Tell) -> None:
    with Worker(folder, {"LOGBOOM_MIN_FREE_BYTES": "-1"}) as worker, trio.fail_after(DEADLINE_S):
        printers = await start_all(worker)
        fill(ext4 / "foreign", leave_bytes=16 * MIB)
        filling = await start_printer(worker.docker, 99, pad_bytes=PAD_BYTES)
        while FULL not in worker.log:
            await filling.print(1_000)
        await filling.print(LINES)
        for printer in printers:
            await printer.print(1_000)
        worker.kill()
        await worker.docker.wait_ready(DEADLINE_S)
        await filling.print(LINES)
        (ext4 / "foreign").unlink()
        await see_all_kept_or_named(FULL, [filling, *printers], tell)


async def test_a_disk_that_is_full_of_journals_alone_gets_free_by_cutting_them(
    ext4: Path, folder: Path, tell: Tell
) -> None:
    """What was found: a journal goes only when its entries lie in a segment, which takes room first, so all was dropped for ever."""
    with Worker(folder) as worker, trio.fail_after(DEADLINE_S):
        printers = [await start_printer(worker.docker, number) for number in range(2)]
        for printer in printers:
            # Less than what is cut within a second.
            await printer.print(3_000)
        fill(ext4 / "foreign")
        assert list(ext4.rglob("*.zst")) == []
        for printer in printers:
            # More than what a journal has taken from the disk.
            await printer.print(30_000)
        # Nobody has made room.
        for printer in printers:
            await printer.wait_kept()
        accounts = [await printer.settle() for printer in printers]
        tell(sum(accounts[1:], accounts[0]).text)


async def test_a_disk_that_a_foreign_file_has_filled_gets_room_from_old_logs(
    ext4: Path, folder: Path, tell: Tell
) -> None:
    """Entries wait in their FIFOs until the oldest segments have gone, which is over before anything is dropped."""
    with Worker(folder, {"LOGBOOM_MIN_FREE_BYTES": "2m"}) as worker, trio.fail_after(DEADLINE_S):
        old = await start_printer(
            worker.docker, 99, pad_bytes=PAD_BYTES, log_opts={"max-size": "1m", "max-file": "16"}
        )
        await old.print(14_000)
        await old.container.stop()
        streams = ext4 / "containers"
        while list(streams.glob(f"{99:064x}/*.journal")):
            await trio.sleep(POLL_S)
        printers = await start_all(worker)
        fill(ext4 / "foreign")
        held = held_bytes(streams)
        for printer in printers:
            await printer.print(LINES)
        for printer in printers:
            await printer.wait_kept()
        rest = await old.account_of_rest()
        accounts = [await printer.settle() for printer in printers]
        total = sum(accounts[1:], accounts[0])
        tell(f"{total.text}; of {held / MIB:.0f} MiB {rest.first - 1} old entries are gone")
        assert (rest.last, rest.dropped) == (old.printed, 0)
        assert rest.first > 1
        # The machine may be busy for longer than entries wait.
        assert total.dropped < LINES


async def test_without_any_inode_left(folder: Path, tell: Tell) -> None:
    data = folder / "data"
    few = ("-N", "128")
    with (
        mounted(folder / "image", data, make=few),
        Worker(folder) as worker,
        trio.fail_after(DEADLINE_S),
    ):
        printers = await start_all(worker)
        foreign = data / "foreign"
        foreign.mkdir()
        try:
            for number in range(1000):
                (foreign / str(number)).touch()
        except OSError as error:
            assert FULL in str(error)
        while FULL not in worker.log:
            await printers[0].print(LINES)
        await print_through_a_kill(worker, FULL, printers)
        # A container that starts only now.
        printers.append(await start_printer(worker.docker, 99))
        await printers[-1].print(10)
        for path in foreign.iterdir():
            path.unlink()
        await see_all_kept_or_named(FULL, printers, tell)


async def test_with_a_quota_that_is_used_up(folder: Path, tell: Tell) -> None:
    exceeded = "Disk quota exceeded"
    with mounted(folder / "image", folder / "disk", "btrfs"):
        data = folder / "disk/data"
        run("btrfs", "subvolume", "create", data)
        run("btrfs", "quota", "enable", data)
        run("btrfs", "qgroup", "limit", "24M", data)
        (folder / "data").symlink_to(data)
        with Worker(folder) as worker, trio.fail_after(DEADLINE_S):
            printers = await start_all(worker)
            fill(data / "foreign")
            await print_until_said(worker, exceeded, printers)
            await print_through_a_kill(worker, exceeded, printers)
            run("btrfs", "qgroup", "limit", "100M", data)
            await see_all_kept_or_named(exceeded, printers, tell)


async def test_on_a_disk_that_goes_read_only_by_an_error_and_is_mended(
    folder: Path, tell: Tell
) -> None:
    """No worker can have it writable again without being ended: the kernel demands that it is unmounted first."""
    data, image = folder / "data", folder / "image"
    read_only = "Read-only file system"
    with trio.fail_after(DEADLINE_S), Worker(folder) as worker:
        with mounted(image, data, mount="loop,errors=remount-ro"):
            worker.restart()
            printers = await start_all(worker)
            for printer in printers:
                await printer.account()
            # What has not reached the disk is lost with the file system, as when the power goes.
            run("sync", "--file-system", data)
            device = Path(run("findmnt", "--noheadings", "--output=SOURCE", data).strip())
            trigger_error(device)
            await print_until_said(worker, read_only, printers)
            await print_through_a_kill(worker, read_only, printers)
            worker.stop()
        # It ends with 1, which says that it has mended something.
        run("sh", "-c", f"fsck.ext4 -y {image} || [ $? = 1 ]")
        run("mount", "-o", "loop", image, data)
        try:
            worker.start()
            await see_all_kept_or_named(read_only, printers, tell)
            worker.stop()
        finally:
            run("umount", data)
        worker.start()


def trigger_error(device: Path) -> None:
    try:
        Path(f"/sys/fs/ext4/{device.name}/trigger_fs_error").write_text("a test")
    except OSError as error:
        # The file itself is written by way of the file system that fails.
        assert error.errno in {None, 30}, error


async def test_quiet_containers_keep_their_hours_while_a_loud_one_uses_up_the_store(
    folder: Path, tell: Tell
) -> None:
    most_bytes = 6_000_000
    settings = {"LOGBOOM_MAX_BYTES": str(most_bytes)}
    with Worker(folder, settings) as worker, trio.fail_after(DEADLINE_S):
        quiet = [await start_printer(worker.docker, number) for number in range(QUIET)]
        loud = await start_printer(
            worker.docker,
            99,
            pad_bytes=PAD_BYTES,
            log_opts={"max-size": "16m", "max-file": "1"},
        )
        for _ in range(15):
            await loud.print(1_000)
            for printer in quiet:
                await printer.print(1)
        await loud.container.stop()
        streams = folder / "data/containers"
        while held_bytes(streams) > most_bytes or list(streams.glob(f"{99:064x}/*.journal")):
            await trio.sleep(POLL_S)
        rest = await loud.account_of_rest()
        accounts = [await printer.settle() for printer in quiet]
        tell(f"{sum(accounts[1:], accounts[0]).text}; of the loud one {rest.first - 1} are gone")
        assert [(account.first, account.dropped) for account in accounts] == [(1, 0)] * QUIET
        assert (rest.last, rest.dropped) == (loud.printed, 0)
        assert rest.first > 5_000


def held_bytes(streams: Path) -> int:
    held = 0
    for path in streams.glob("*/*"):
        # One that is listed may be gone by now.
        with suppress(FileNotFoundError):
            held += path.stat().st_size if path.suffix in {".zst", ".journal"} else 0
    return held
