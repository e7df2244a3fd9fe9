"""``docker-compose logs``, with the docker-compose of the machine's Debian."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.private import Engine
from tests.docker.conftest import wait_until

COMPOSE = shutil.which("docker-compose")
EXAMPLE = Path(__file__).parents[2] / "examples/compose.yaml"
PATIENCE_S = 60

pytestmark = pytest.mark.skipif(
    COMPOSE is None, reason="there is no docker-compose: apt-get install docker-compose"
)

FILE = """
version: "2.4"
services:
  bank:
    image: bb
    network_mode: none
    command: sh -c 'for i in $$(seq 100); do echo bank $$i; done; {wait}; echo bank end'
    volumes: ["{told}:/told"]
    logging: {{driver: logboom, options: {{max-size: 1m}}}}
  river:
    image: bb
    network_mode: none
    command: sh -c 'for i in $$(seq 100); do echo river $$i; done; {wait}; echo river end'
    volumes: ["{told}:/told"]
    logging: {{driver: logboom}}
"""


def run_command(command: list[str | Path], engine: Engine) -> str:
    result = subprocess.run(
        command,
        # The image of the example.
        env={**engine.environment, "IMAGE": "bb"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


class Project:
    """Two containers that print a hundred lines, and one more when they are told to; then they end."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.folder = engine.home / "project"
        self.folder.mkdir()
        wait = "until [ -e /told/go ]; do sleep 0.05; done"
        (self.folder / "docker-compose.yml").write_text(FILE.format(wait=wait, told=self.folder))

    def command(self, *words: str) -> list[str | Path]:
        assert COMPOSE is not None
        return [COMPOSE, "--project-name=boom", f"--project-directory={self.folder}", *words]

    def run(self, *words: str) -> str:
        return run_command(self.command(*words), self.engine)


@pytest.fixture
def project(engine: Engine) -> Iterator[Project]:
    project = Project(engine)
    project.run("up", "--detach")
    wait_until("both have printed", lambda: project.run("logs").count(" 100\n") == 2)
    yield project
    (project.folder / "go").touch()
    project.run("down", "--timeout=1")
    shutil.rmtree(project.folder)


def by_service(read: str) -> dict[str, list[str]]:
    """What each has printed, from lines like ``bank_1   | bank 7``."""
    printed: dict[str, list[str]] = {"bank": [], "river": []}
    for line in re.sub(r"\x1b\[[0-9;]*m", "", read).splitlines():
        name, bar, text = line.partition("| ")
        if bar:
            printed["bank" if "bank" in name else "river"].append(text)
    return printed


def wanted(first: int) -> dict[str, list[str]]:
    return {
        service: [f"{service} {number}" for number in range(first, 101)]
        for service in ("bank", "river")
    }


def test_logs_of_all_services(project: Project) -> None:
    assert by_service(project.run("logs")) == wanted(1)


def test_tail_counts_for_each_service(project: Project) -> None:
    assert by_service(project.run("logs", "--tail=5")) == wanted(96)


def test_logs_of_one_service(project: Project) -> None:
    assert by_service(project.run("logs", "river")) == {"bank": [], "river": wanted(1)["river"]}


def test_a_follower_ends_with_the_containers(project: Project) -> None:
    client = subprocess.Popen(
        project.command("logs", "--follow", "--tail=2"),
        cwd=project.folder,
        env=project.engine.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with client:
        (project.folder / "go").touch()
        read, _ = client.communicate(timeout=PATIENCE_S)
    printed = by_service(read)
    for service, lines in printed.items():
        # How many of the last two are of before depends on when the client came.
        assert lines[-1] == f"{service} end" or lines[-2] == f"{service} end", lines
    after = by_service(project.run("logs"))
    assert [lines[-1] for lines in after.values()] == ["bank end", "river end"]


@pytest.mark.parametrize(("service", "line"), [("web", "GET /"), ("worker", "job done")])
def test_the_example_of_the_source_tree_works(engine: Engine, service: str, line: str) -> None:
    assert COMPOSE is not None
    command = [COMPOSE, "--project-name=example", f"--file={EXAMPLE}"]
    try:
        run_command([*command, "up", "--detach"], engine)
        wait_until(line, lambda: line in run_command([*command, "logs", service], engine))
    finally:
        run_command([*command, "down", "--timeout=1"], engine)
