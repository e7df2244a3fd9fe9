"""Commands in the documentation do what they are there for: those in blocks that are marked as ``sh`` or ``bash`` are run."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.private import Engine
from tests.docker.host import TIMEOUT_S, Host

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/cli.md", "docs/operating.md")
BLOCK = re.compile(r"^ *```(sh|bash)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)

NOT_HERE = {"docker plugin install": "there is no registry"}
"""Beginnings of commands that are not run, and why."""

FOLLOWS = re.compile(r"logs -f\b")
FOLLOW_S = 1

PRINT = "while true; do echo an error; sleep 1; done"


@pytest.fixture(scope="module")
def host(engine: Engine) -> Iterator[Host]:
    """As the pages take it to be: an image nginx, containers that have ended and one with another driver, a swarm."""
    # Any free port, and no other machine: private engines of other tests may be in swarms of their own.
    engine.docker("swarm", "init", "--advertise-addr=127.0.0.1", "--listen-addr=127.0.0.1:0")
    for name in ("web-1", "db"):
        engine.docker("run", f"--name={name}", "--log-driver=logboom", "bb", "echo", "an error")
    options = ("--detach", "--log-driver=json-file", "--stop-signal=KILL")
    engine.docker("run", "--name=old", *options, "bb", "sh", "-c", PRINT)
    engine.docker("create", "--name=image", "bb", "true")
    engine.docker("commit", f'--change=CMD ["sh", "-c", "{PRINT}"]', "image", "nginx")
    engine.docker("rm", "image")
    yield Host.of(engine)
    engine.docker("swarm", "leave", "--force")


def run(host: Host, shell: str, command: str, folder: Path) -> str | None:
    """What went wrong with a command."""
    for ours, theirs in {
        "/var/log/logboom": str(host.engine.home / "data" / "logboom"),
        "/var/lib/docker": str(host.engine.data_root),
    }.items():
        command = command.replace(ours, theirs)
    # The folder where the test is called does not count inside.
    words = [shell, "-euc", f"cd {folder}\n{command}"]
    if FOLLOWS.search(command):
        words = ["timeout", "--signal=INT", str(FOLLOW_S), *words]
    done = subprocess.run(
        host.engine.command_inside(*words),
        env=host.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    # 124: it was ended while it followed.
    is_well = done.returncode == 0 or (done.returncode == 124 and words[0] == "timeout")
    return None if is_well else f"{command}\n{done.returncode}: {done.stderr.decode()}"


def test_all_of_them_in_their_order(host: Host, tmp_path: Path) -> None:
    count = 0
    wrong = []
    for page in PAGES:
        blocks = BLOCK.findall((ROOT / page).read_text())
        assert blocks, f"{page} has no block of commands"
        for shell, block in blocks:
            for line in block.splitlines():
                command = line.strip()
                if not command.startswith(tuple(NOT_HERE)):
                    wrong.append(run(host, shell, command, tmp_path))
                    count += 1
    assert count >= 20
    assert not any(wrong), "\n".join(filter(None, wrong))
    assert b"an error" in (tmp_path / "web.txt").read_bytes()
    assert run(host, "sh", "logboom logs old | grep error", tmp_path) is None


def test_a_command_that_makes_no_sense_is_found(host: Host, tmp_path: Path) -> None:
    said = run(host, "sh", "logboom logs --no-such-option web-1", tmp_path)
    assert said is not None
    assert "No such option" in said


def test_a_copy_is_put_back(host: Host, tmp_path: Path) -> None:
    """As the page of operating tells it."""
    for command in (
        "cp -a /var/log/logboom/. /var/log/another-copy",
        "docker run --name later --log-driver logboom bb echo later",
        "docker plugin disable -f logboom",
        "mv /var/log/logboom /var/log/logboom-before",
        "cp -a /var/log/another-copy /var/log/logboom",
        "docker plugin enable --timeout 0 logboom",
        "docker logs web-1 | grep 'an error'",
        "logboom logs web-1 | grep 'an error'",
        "logboom verify",
    ):
        assert run(host, "sh", command, tmp_path) is None
    assert "no container" in str(run(host, "sh", "logboom logs later", tmp_path))
