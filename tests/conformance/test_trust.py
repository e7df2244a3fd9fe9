"""What a container, or who can write where the service looks, cannot do to it: on ``logboom serve``, with real files."""

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.conformance.worker import Worker, new_container_id
from tests.support.fake_docker import FakeContainer, FakeDocker, PluginError, container_info

SECRET = "hunter2-is-no-secret-any-more"

pytestmark = pytest.mark.slow


@contextmanager
def run_worker() -> Iterator[Worker]:
    """Whatever the service is started with, nothing it makes is anybody's but root's."""
    folder = Path(tempfile.mkdtemp(prefix="logboom-"))
    before = os.umask(0)
    try:
        with Worker(folder) as worker:
            yield worker
    finally:
        os.umask(before)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One for all that are refused, or harmless."""
    with run_worker() as worker:
        yield worker


@pytest.fixture
def fresh() -> Iterator[Worker]:
    """One whose folders are looked through, or planted with something."""
    with run_worker() as worker:
        yield worker


async def print_and_stop(
    docker: FakeDocker,
    container_id: str | None = None,
    log_opts: dict[str, str] | None = None,
    **info: object,
) -> list[bytes]:
    """A container that prints one line; what its log has afterwards."""
    await docker.wait_ready()
    container = await docker.start_container(container_id or new_container_id(), log_opts, **info)
    await container.log("stdout", b"a line")
    await container.stop()
    return [entry.line for entry in await container.logs()]


def contents_below(folder: Path) -> dict[Path, bytes]:
    """All files as they were at one moment: looked for again when one has got another name meanwhile."""
    while True:
        with suppress(FileNotFoundError):
            return {
                path: path.read_bytes()
                for path in folder.rglob("*")
                if path.is_file() and not path.is_symlink()
            }


async def test_all_that_is_made_is_roots_alone_also_under_umask_0(fresh: Worker) -> None:
    await fresh.docker.wait_ready()
    container = await fresh.docker.start_container(new_container_id())
    await container.log("stdout", b"a line")
    await container.write(b"\xff" * 100)
    assert await container.logs()
    await print_and_stop(fresh.docker)
    made = [fresh.data, *fresh.data.rglob("*"), *fresh.folder.glob("run/docker/logboom/*")]
    suffixes = {path.suffix for path in made}
    assert {".json", ".sync", ".journal"} <= suffixes
    for path in made:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
        assert path.stat().st_uid == os.geteuid()
    assert stat.S_IMODE((fresh.folder / "run/docker/logboom").stat().st_mode) == 0o700
    await container.stop()


async def test_no_value_of_the_environment_is_kept_that_was_not_asked_for(fresh: Worker) -> None:
    environment = [f"PASSWORD={SECRET}", "WANTED=kept-for-sure", f"{SECRET}"]
    log_opts = {"env": "WANTED", "env-regex": "^WANT", "tag": "{{.Name}}"}
    await fresh.docker.wait_ready()
    container = await fresh.docker.start_container(
        new_container_id(), log_opts, ContainerEnv=environment
    )
    await container.log("stdout", b"a line")
    # While it runs its record is there, and after it its facts.
    for _ in range(2):
        for path, content in contents_below(fresh.folder).items():
            assert SECRET.encode() not in content, path
        if container._fifo >= 0:
            await container.stop()
    fresh.restart()
    await fresh.docker.wait_ready()
    assert [entry.line for entry in await container.logs()] == [b"a line\n"]
    contents = contents_below(fresh.folder).values()
    assert any(b"kept-for-sure" in content for content in contents)
    assert not any(SECRET.encode() in content for content in contents)


@pytest.mark.parametrize(
    "container_id",
    [
        "..",
        ".",
        "../../escaped",
        "a/b",
        "/etc",
        "a\0b",
        "-rf",
        ".removed-x",
        "x" * 129,
        "\u202eabc",
        "a\n",
    ],
)
async def test_an_id_that_is_no_name_is_refused_and_leaves_nothing(
    worker: Worker, container_id: str
) -> None:
    await worker.docker.wait_ready()
    before = sorted(worker.folder.rglob("*"))
    with pytest.raises(PluginError, match="ContainerID"):
        await FakeContainer(worker.docker, container_info(container_id)).start()
    answer = await worker.docker.call(
        "/LogDriver.ReadLogs", {"Info": {"ContainerID": container_id}, "Config": {}}
    )
    assert answer.status == 400
    made = set(worker.folder.rglob("*")) - set(before)
    assert {path.parent.name for path in made if path.is_file() or path.is_fifo()} <= {
        "logging",
        "sync",
        worker.data.name,
    }


HOSTILE_NAMES = [
    "\x1b]0;title\x07\x1b[31mred",
    "../../../etc/passwd",
    "a\0b",
    "\n{{.Name}}\n",
    "x" * 100_000,
]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
async def test_any_name_label_and_tag_are_kept_as_text(worker: Worker, name: str) -> None:
    lines = await print_and_stop(
        worker.docker,
        log_opts={"labels": name, "tag": "{{.Name}}/{{.ImageName}}", "labels-regex": "."},
        ContainerName=f"/{name}",
        ContainerImageName=name,
        ContainerLabels={name: name},
        ContainerEntrypoint=name,
        ContainerArgs=[name],
        DaemonName=name,
    )
    assert lines == [b"a line\n"]
    # What the service says of it is plain text, a line each.
    assert all(line.isprintable() and len(line) <= 1000 for line in worker.log.splitlines())


@pytest.mark.parametrize(
    "labels",
    [
        {"one": "x" * 1_000_000},
        {"x" * 1_000_000: "one"},
        {f"label.{number}": "v" for number in range(100_000)},
    ],
    ids=["1 MB value", "1 MB key", "100,000 labels"],
)
async def test_a_container_starts_with_any_labels(worker: Worker, labels: dict[str, str]) -> None:
    lines = await print_and_stop(
        worker.docker,
        log_opts={"labels": ",".join(list(labels)[:1000]), "labels-regex": "[ab]*a[ab]{500}c"},
        ContainerLabels=labels,
    )
    assert lines == [b"a line\n"]


async def test_a_hundred_thousand_options_are_one_error(worker: Worker) -> None:
    await worker.docker.wait_ready()
    options = {f"option-{number}\x1b[31m": "x" for number in range(20_000)}
    with pytest.raises(PluginError, match="option-0"):
        await worker.docker.start_container(new_container_id(), options)
    assert await print_and_stop(worker.docker) == [b"a line\n"]


# --- links that somebody has planted ----------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Where nothing may be written, read or removed."""
    (tmp_path / "precious").write_text("precious")
    return tmp_path


def is_untouched(outside: Path) -> bool:
    return [path.name for path in outside.iterdir()] == ["precious"] and (
        outside / "precious"
    ).read_text() == "precious"


async def test_a_link_in_place_of_a_stream_is_not_followed(fresh: Worker, outside: Path) -> None:
    container_id = new_container_id()
    assert (await print_and_stop(fresh.docker))[0] == b"a line\n"
    (fresh.data / "containers" / container_id).symlink_to(outside)
    (fresh.data / "containers" / ".removed-x").symlink_to(outside)
    container = await fresh.docker.start_container(container_id)
    await container.log("stdout", b"a line")
    answer = await fresh.docker.call("/LogDriver.ReadLogs", {"Info": container.info, "Config": {}})
    assert b"a line" not in answer.body
    await container.stop()
    assert (await print_and_stop(fresh.docker))[0] == b"a line\n"
    fresh.restart()
    assert (await print_and_stop(fresh.docker))[0] == b"a line\n"
    assert is_untouched(outside)


@pytest.mark.parametrize(
    "name", ["container.json", "container.tmp", f"{0:020}.journal", f"{0:020}.zst"]
)
async def test_a_link_in_place_of_a_file_is_not_followed(
    fresh: Worker, outside: Path, name: str
) -> None:
    container_id = new_container_id()
    folder = fresh.data / "containers" / container_id
    await fresh.docker.wait_ready()
    folder.mkdir(parents=True)
    (folder / name).symlink_to(outside / "precious")
    container = await fresh.docker.start_container(container_id)
    await container.log("stdout", b"a line")
    await container.stop()
    assert (await print_and_stop(fresh.docker))[0] == b"a line\n"
    fresh.stop()
    assert is_untouched(outside)
    fresh.start()


@pytest.mark.parametrize("kind", ["link to a FIFO", "link to a file", "file", "folder", "socket"])
async def test_what_is_no_fifo_is_refused(worker: Worker, outside: Path, kind: str) -> None:
    await worker.docker.wait_ready()
    logging = worker.folder / "run/docker/logging"
    logging.mkdir(parents=True, exist_ok=True)
    file = logging / f"planted-{secrets.token_hex(8)}"
    match kind:
        case "link to a FIFO":
            os.mkfifo(logging / f"{file.name}-fifo")
            file.symlink_to(logging / f"{file.name}-fifo")
        case "link to a file":
            file.symlink_to(outside / "precious")
        case "file":
            file.write_text("precious")
        case "folder":
            file.mkdir()
        case _:
            file.symlink_to(worker.folder / "s")
    document = {
        "File": f"/run/docker/logging/{file.name}",
        "Info": container_info(new_container_id()),
    }
    answer = await worker.docker.call("/LogDriver.StartLogging", document)
    assert answer.status == 400
    assert "File" in answer.error
    assert is_untouched(outside)


@pytest.mark.parametrize(
    "file", ["/run/../../etc/passwd", "/run/docker/../../x", "relative", "/a\0b"]
)
async def test_a_path_that_leads_elsewhere_is_refused(worker: Worker, file: str) -> None:
    await worker.docker.wait_ready()
    document = {"File": file, "Info": container_info(new_container_id())}
    answer = await worker.docker.call("/LogDriver.StartLogging", document)
    assert answer.status == 400
    assert "File" in answer.error
