"""``logboom ls`` over a store in files."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from logboom.cli.client import SHORT_ANSWER_S
from tests.support.written_store import START_NS, WrittenStore, entry
from tests.unit.cli.conftest import Run

WEB = "a" * 64
OLD_WEB = "b" * 64
DATABASE = "c" * 64


@pytest.fixture(autouse=True)
def containers(written: WrittenStore) -> None:
    written.run(OLD_WEB, "web", [entry(0, "old")], labels={"tier": "front"})
    written.run(DATABASE, "db", [entry(5, "x" * 999)] * 10, image="postgres:17")
    written.start(WEB, "web", labels={"tier": "front", "canary": ""})
    written.print(WEB, [entry(1, "new"), entry(9, "newer")])


def names(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    return [json.loads(line)["id"][0] for line in done.stdout.splitlines()]


def test_a_table_says_what_there_is(run: Run) -> None:
    head, *rows = run("ls").stdout.decode().splitlines()
    assert head.split() == [
        *("NAME", "ID", "IMAGE", "STATE", "FIRST", "LAST", "ENTRIES", "SIZE", "STORED")
    ]
    cells = [row.split() for row in rows]
    assert cells[0][:-1] == [
        *("web", WEB[:12], "bb", "active", "2026-01-31", "12:00:01", "2026-01-31", "12:00:09"),
        *("2", "10B"),
    ]
    assert [row[:4] for row in cells[1:]] == [
        ["db", DATABASE[:12], "postgres:17", "ended"],
        ["web", OLD_WEB[:12], "bb", "ended"],
    ]
    assert cells[1][8:10] == ["10", "10kB"]


def test_json_has_it_exactly(run: Run) -> None:
    documents = [json.loads(line) for line in run("ls", "--json").stdout.splitlines()]
    (old,) = [document for document in documents if document["id"] == OLD_WEB]
    assert old.pop("stored_bytes") > 4
    assert old == {
        "name": "web",
        "id": OLD_WEB,
        "image": "bb",
        "labels": {"tier": "front"},
        "active": False,
        "removed": None,
        "first_ns": START_NS,
        "last_ns": START_NS,
        "entries": 1,
        "text_bytes": 4,
    }


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "acb"),
        (["--sort", "first"], "bac"),
        (["--sort", "name"], "cba"),
        (["--sort", "size"], "cab"),
        (["--sort", "entries"], "cab"),
        (["web"], "ab"),
        (["w*", "d?"], "acb"),
        (["bbb"], "b"),
        (["--label", "tier"], "ab"),
        (["--label", "tier=front", "--label", "canary"], "a"),
        (["--label", "t*=f*"], "ab"),
        (["--label", "tier=back"], ""),
        (["--active"], "a"),
        (["--ended"], "cb"),
    ],
)
def test_it_is_sorted_and_filtered(run: Run, arguments: list[str], expected: str) -> None:
    assert names(run("ls", "--json", *arguments)) == list(expected)


def test_without_fifos_nobody_knows_what_runs(written: WrittenStore) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "logboom", "ls", "--data", str(written.data), "--json"],
        capture_output=True,
        check=True,
        env={},
    )
    assert [json.loads(line)["active"] for line in done.stdout.splitlines()] == [None] * 3


def states(done: subprocess.CompletedProcess[bytes]) -> dict[str, object]:
    documents = map(json.loads, done.stdout.splitlines())
    return {document["id"][0]: document["removed"] for document in documents}


@pytest.fixture
def said(folder: Path) -> Path:
    """What an engine says that has one of the ended containers; the one that runs has begun since."""
    path = folder / "said"
    path.write_text(f"ids {'d' * 64} {DATABASE}\n")
    return path


def test_what_the_engine_no_longer_has_was_removed(run: Run, said: Path) -> None:
    done = run("ls", "--json", "--engine", str(said))
    assert states(done) == {"a": False, "b": True, "c": False}
    _, *rows = run("ls", "--engine", str(said)).stdout.decode().splitlines()
    assert [row.split()[3] for row in rows] == ["active", "ended", "removed"]
    assert names(run("ls", "--json", "--ended", "--engine", str(said))) == ["c", "b"]
    assert names(run("ls", "--json", "--active", "--engine", str(said))) == ["a"]


def test_an_engine_without_containers_has_removed_all_that_ended(run: Run, said: Path) -> None:
    said.write_text("ids \n")
    assert states(run("ls", "--json", "--engine", str(said))) == {"a": False, "b": True, "c": True}


@pytest.mark.parametrize("text", ["", "ids-error Cannot connect to the Docker daemon\n", "id\n"])
def test_an_engine_that_has_not_answered_has_removed_nothing(
    run: Run, said: Path, text: str
) -> None:
    said.write_text(text)
    done = run("ls", "--json", "--engine", str(said))
    assert states(done) == {"a": False, "b": None, "c": None}


CLIENT = """#!/bin/sh
case "$*" in
"plugin inspect --format={{json .}} logboom") cat "$PLUGIN" ;;
"ps --all --quiet --no-trunc") echo "$ID"; [ -z "$FAILS" ] ;;
*) exit 1 ;;
esac
"""


@pytest.fixture
def host(written: WrittenStore, folder: Path) -> dict[str, str]:
    """A host's variables: its docker client knows the plugin, and a container."""
    client = folder / "bin" / "docker"
    client.parent.mkdir()
    client.write_text(CLIENT)
    client.chmod(0o755)
    plugin = folder / "plugin"
    mount = {"Name": "data", "Source": str(written.data.parent), "Destination": "/data"}
    document = {
        "Id": "0123",
        "Name": "logboom:latest",
        "Enabled": True,
        "Settings": {"Env": [f"LOGBOOM_DATA=/data/{written.data.name}"], "Mounts": [mount]},
        "Config": {"Mounts": [mount], "PropagatedMount": ""},
    }
    plugin.write_text(json.dumps(document))
    path = f"{client.parent}:{os.environ['PATH']}"
    return {"PATH": path, "PLUGIN": str(plugin), "ID": OLD_WEB, "FAILS": ""}


def list_on(host: dict[str, str], *words: str) -> dict[str, object]:
    command = [sys.executable, "-m", "logboom", "ls", "--json", *words]
    return states(subprocess.run(command, env=host, capture_output=True, check=True))


def test_on_a_host_the_engine_is_asked_for_the_data_of_its_own_plugin(
    host: dict[str, str], written: WrittenStore
) -> None:
    assert list_on(host) == {"a": True, "b": False, "c": True}
    # Half an answer is none.
    assert list_on({**host, "FAILS": "yes"}) == dict.fromkeys("abc")
    # A copy may come from anywhere.
    assert list_on(host, "--data", str(written.data)) == dict.fromkeys("abc")
    assert list_on({**host, "LOGBOOM_DATA": str(written.data)}) == dict.fromkeys("abc")


SCRIPT = Path(__file__).parents[3] / "packaging" / "logboom"


def run_script(host: dict[str, str], folder: Path, *words: str) -> str:
    """The words that the host's script hands on, and behind them what comes as stdin."""
    python = folder / "bin" / "python3"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] || { echo "$*"; cat; }\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["sh", SCRIPT, *words],
        env=host,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_hosts_script_hands_on_what_the_engine_has(host: dict[str, str], folder: Path) -> None:
    shown = run_script(host, folder, "ls", "--sort", "name", "web")
    assert shown == f"-m logboom ls --engine - --sort name web\nids {OLD_WEB}\n"
    shown = run_script({**host, "FAILS": "yes"}, folder, "ls")
    assert shown.startswith("-m logboom ls --engine -\nids-error ")
    assert run_script(host, folder, "ls", "--data", "x") == "-m logboom ls --data x\n"
    assert f"timeout {SHORT_ANSWER_S} docker ps" in SCRIPT.read_text()


def test_ten_thousand_containers_are_handed_on(host: dict[str, str], folder: Path) -> None:
    ids = "\n".join(f"{number:064x}" for number in range(10_000))
    (folder / "ids").write_text(ids)
    client = folder / "bin" / "docker"
    client.write_text(f"#!/bin/sh\ncat {folder}/ids\n")
    assert run_script(host, folder, "ls").endswith(f"\nids {ids.replace(chr(10), ' ')}\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_whoever_is_not_root_is_told_so(folder: Path) -> None:
    """They were told to enable a plugin that was enabled."""
    done = subprocess.run(
        # The script may lie where another user cannot read it.
        ["sh", "-s", "logs", "web"],
        input=SCRIPT.read_bytes(),
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "DOCKER_HOST": "unix:///nowhere"},
        cwd="/",
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == b"logboom: the plugin and its logs are root's: sudo logboom ...\n"


def test_a_folder_that_is_no_store_is_named(run: Run) -> None:
    done = run("ls", "--data", "/proc", code=1)
    assert done.stderr == b"Error: /proc holds no store of Logboom\n"


def test_neither_trio_nor_a_server_is_imported(written: WrittenStore) -> None:
    script = (
        "import sys; from logboom.cli import main; main(['ls', '--data', sys.argv[1]]);"
        "assert not {'trio', 'hypercorn', 'google.protobuf'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script, str(written.data)], check=True)


def test_it_starts_at_once(run: Run) -> None:
    """Beside a Python that does nothing, since machines differ: where that takes 15 ms these are 150."""

    def least_cpu_s(*arguments: str) -> float:
        taken = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(taken)

    assert least_cpu_s("-m", "logboom", "ls", "--help") < 10 * least_cpu_s("-c", "pass")
