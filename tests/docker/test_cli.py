"""``logboom`` on the host of an engine, through the plugin's own copy, shows what ``docker logs`` shows."""

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import termios
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from engines.private import Engine
from tests.docker.conftest import wait_until
from tests.docker.host import SCRIPT, TIMEOUT_S, Host
from tests.docker.support import container_id

PRINT = """
for number in 1 2 3; do
    echo out $number; sleep 0.02; echo err $number >&2; sleep 0.02
done
echo; printf 'no newline\\r\\n'; sleep 0.02
head -c 40000 /dev/zero | tr '\\0' x; echo end
"""


STREAMS = int(os.environ.get("LOGBOOM_TEST_STREAMS", "20"))
"""Of containers, half of which are removed."""

AT_ONCE = 4
"""So many containers start at the same time, and their lines come in turns."""

PRINT_NAME = "for number in 1 2 3 4 5; do echo $0 $number; sleep 0.1; done"


@pytest.fixture(scope="module")
def host(engine: Engine) -> Host:
    engine.docker("run", "--name=web", "--log-driver=logboom", "bb", "sh", "-c", PRINT)
    return Host.of(engine)


@pytest.fixture(scope="module")
def times(engine: Engine) -> list[str]:
    """When the container printed to its stdout."""
    shown = engine.docker_text("logs", "-t", "web").splitlines()
    return [line.split()[0] for line in shown[:3]]


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "--tail 3",
        "-n 0",
        "-n -1",
        "--tail all",
        "--since {0}",
        "--since {1}",
        "--until {1}",
        "--since {1} --until {2}",
        "--tail 4 --since {2}",
        "--since 1h",
        "--until 1h",
        "--since 1.5",
        "-t --until {2}",
        "--details",
        "--details -t",
    ],
)
def test_the_same_flags_show_the_same(host: Host, times: list[str], flags: str) -> None:
    words = flags.format(*times).split()
    expected = host.engine.docker("logs", *words, "web")
    shown = host.run("logs", *words, "web")
    assert shown.returncode == 0
    assert (shown.stdout, shown.stderr) == (expected.stdout, expected.stderr)


def test_a_removed_container_is_listed_and_read_still(host: Host) -> None:
    engine = host.engine
    identifier = engine.docker_text(
        *(
            "run",
            "--detach",
            "--name=gone",
            "--log-driver=logboom",
            "--label=a=b",
            "bb",
            "echo",
            "hi",
        )
    )
    engine.docker("wait", "gone")
    engine.docker("rm", "gone")
    listed = json.loads(host.run("ls", "gone", "--json").stdout)
    assert (listed["id"], listed["active"], listed["entries"]) == (identifier, False, 1)
    assert listed["removed"]
    assert not json.loads(host.run("ls", "web", "--json").stdout)["removed"]
    assert listed["image"] == "bb"
    assert listed["labels"] == {"a": "b"}
    assert host.run("logs", "gone").stdout == b"hi\n"


@pytest.mark.timeout(60 + 2 * STREAMS)
def test_many_streams_half_of_them_of_removed_containers_are_listed_and_merged(host: Host) -> None:
    docker = host.engine.docker
    names = [f"many-{number:03}" for number in range(STREAMS)]
    words = ("--network=none", "--log-driver=logboom", "bb", "sh", "-c", PRINT_NAME)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: docker("run", f"--name={name}", *words, name), names))
    docker("rm", *names[::2])
    listed = map(json.loads, host.run("ls", "--json", "--sort=name", "many-*").stdout.splitlines())
    told = [(each["name"], each["removed"], each["entries"]) for each in listed]
    assert told == [(name, place % 2 == 0, 5) for place, name in enumerate(names)]
    merged = host.run("logs", "--utc", "--timestamps", "many-*").stdout.decode().splitlines()
    lines = [line.split(" ") for line in merged]
    times = [time for _, _, time, _, _ in lines]
    assert times == sorted(times)
    shown = [(prefix, name, number) for prefix, _, _, name, number in lines]
    assert sorted(shown) == [(name, name, str(number)) for name in names for number in range(1, 6)]
    docker("rm", *names[1::2])


def test_a_log_is_removed_and_that_of_a_container_that_runs_is_not(host: Host) -> None:
    docker = host.engine.docker
    docker("run", "--name=ended", "--log-driver=logboom", "bb", "echo", "hi")
    docker("run", "--name=runs", "--detach", "--log-driver=logboom", "bb", "sleep", "1000")
    try:
        refused = host.run("rm", "ended")
        assert refused.returncode == 1
        assert b"--force" in refused.stderr
        assert docker("logs", "ended").stdout == b"hi\n"
        removed = host.run("rm", "--force", "ended", "runs")
        assert removed.returncode == 1
        assert removed.stdout.startswith(b"removed ended (")
        assert b"Warning: runs" in removed.stderr
        assert host.run("logs", "ended").returncode == 1
        # The container is still there; its log is not.
        assert docker("logs", "ended").stdout == b""
    finally:
        docker("rm", "--force", "ended", "runs")


def test_it_is_a_plugin_of_the_docker_client(host: Host) -> None:
    plugins = host.engine.home / "client" / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    shutil.copy(SCRIPT, plugins / "docker-logboom")
    shown = subprocess.run(
        host.engine.command_inside("docker", "logboom", "logs", "-n", "1", "web"),
        env=host.environment,
        capture_output=True,
        check=True,
        timeout=TIMEOUT_S,
    )
    assert shown.stdout == b"x" * (40_000 % 16_384) + b"end\n"


def test_a_terminal_has_colours_and_ctrl_c(host: Host) -> None:
    host.engine.docker("run", "--name=db", "--log-driver=logboom", "bb", "echo", "hello")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
    os.set_blocking(ours, False)
    shown = b""

    def has_shown_all() -> bool:
        nonlocal shown
        with suppress(BlockingIOError):
            shown += os.read(ours, 100_000)
        return b"\x1b[33mdb  | \x1b[0mhello\r\n" in shown

    # A session of its own, whose terminal this is.
    command = host.engine.command_inside(
        *("setsid", "--ctty", "--wait", host.script, "logs", "-f", "web", "db")
    )
    with subprocess.Popen(
        command,
        env=host.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as started:
        try:
            wait_until("the last line", has_shown_all)
            assert b"\x1b[36mweb | \x1b[0mout 1\r\n" in shown
            os.write(ours, b"\x03")
            assert started.wait(TIMEOUT_S) == 130
        finally:
            started.kill()
            os.close(ours)
            os.close(theirs)


@pytest.fixture
def is_disabled(host: Host) -> Iterator[None]:
    """The plugin is."""
    host.engine.docker("plugin", "disable", "--force", "logboom")
    yield
    host.engine.docker("plugin", "enable", "--timeout=0", "logboom")


@pytest.mark.usefixtures("is_disabled")
def test_while_the_plugin_is_disabled_its_copy_runs_on_the_host(host: Host) -> None:
    # Not in the folder where it is called, and with no module of the host.
    listed = json.loads(host.run("ls", "web", "--json").stdout)
    assert (listed["name"], listed["active"], listed["removed"]) == ("web", None, False)
    assert host.run("logs", "-n", "1", "web").stdout.endswith(b"end\n")
    copy = host.engine.home / "copy"
    shutil.copytree(host.engine.home / "data" / "logboom", copy)
    assert host.run("logs", "-n", "1", "--data", str(copy), "web").stdout.endswith(b"end\n")
    assert b"the plugin is disabled" in host.run("import", str(copy)).stderr
    assert b"cannot be used" in host.run("serve").stderr


def test_while_dockerd_does_not_run_logs_are_shown(host: Host) -> None:
    engine = host.engine
    # Its folder is where dockerd's is unless it was moved.
    script = f"""
    mkdir -p /var/lib
    mount -t tmpfs tmpfs /var/lib
    mkdir /var/lib/docker
    mount --bind {engine.data_root} /var/lib/docker
    exec {host.script} logs -n 1 web
    """
    done = subprocess.run(
        engine.command_inside("unshare", "--mount", "sh", "-ec", script),
        env={
            **host.environment,
            "DOCKER_HOST": f"unix://{engine.home}/nobody.sock",
            "LOGBOOM_DATA": str(engine.home / "data" / "logboom"),
        },
        capture_output=True,
        check=True,
        timeout=TIMEOUT_S,
    )
    assert done.stdout.endswith(b"end\n")


def test_a_file_is_written_on_the_host(host: Host) -> None:
    target = host.engine.home / "web.txt"
    assert host.run("export", "-to", str(target), "web").returncode == 0
    assert target.read_bytes().endswith(b"end\n")


def test_logs_of_json_file_are_taken_over_as_docker_shows_them(host: Host) -> None:
    engine = host.engine
    options = ("--log-driver=json-file", "--log-opt=max-size=100k", "--log-opt=max-file=9")
    engine.docker("run", "--name=old", *options, "--label=a=b", "bb", "sh", "-c", PRINT)
    # Enough for several files, compressed ones too.
    lines = "seq 1 10000; head -c 40000 /dev/zero | tr '\\0' x; echo; seq 10001 20000"
    engine.docker(
        "run", "--name=rotated", *options, "--log-opt=compress=true", "bb", "sh", "-c", lines
    )
    folders = {
        name: engine.data_root / "containers" / container_id(engine, name)
        for name in ("old", "rotated")
    }
    wait_until("compressed files", lambda: list(folders["rotated"].glob("*.gz")))
    done = host.run("import", *map(str, folders.values()))
    assert done.returncode == 0, done.stderr
    for name in folders:
        expected = engine.docker("logs", "-t", name)
        shown = host.run("logs", "--utc", "-t", name)
        assert (shown.stdout, shown.stderr) == (expected.stdout, expected.stderr)
    assert json.loads(host.run("ls", "old", "--json").stdout)["labels"] == {"a": "b"}


def test_without_the_plugin_it_says_what_to_do(host: Host) -> None:
    done = subprocess.run(
        host.command("ls"),
        env={**host.environment, "LOGBOOM_PLUGIN": "other"},
        capture_output=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 1
    assert b"docker plugin enable --timeout 0 other" in done.stderr
