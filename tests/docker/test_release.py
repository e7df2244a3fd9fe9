"""A release: what it consists of, and that its plugin can be installed from a registry by the tag of its architecture."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from engines.debian import native_architecture
from engines.private import Engine
from engines.registry import Registry
from tests.docker.packages import REPOSITORY


@pytest.fixture
def build(plugin_build: Path, tmp_path: Path) -> Path:
    """A folder to work in, with what ``make plugin`` has made."""
    (tmp_path / "build").mkdir()
    (tmp_path / "build/plugin").symlink_to(plugin_build)
    (tmp_path / "build/wheel").symlink_to(plugin_build.with_name("wheel"))
    return tmp_path


def run_release(
    folder: Path, *words: str, environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, REPOSITORY / "packaging/release.py", *words],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


def gather(folder: Path) -> Path:
    gathered = run_release(folder, "gather")
    assert gathered.returncode == 0, gathered.stderr
    (release,) = (folder / "build/release").iterdir()
    return release


def test_what_is_published_can_be_installed_by_the_tag_of_its_architecture(
    bare_engine: Engine, build: Path
) -> None:
    release = gather(build)
    data = bare_engine.home / "released-data"
    data.mkdir()
    with Registry() as registry:
        repository = f"{registry.address}/logboom"
        published = run_release(build, "publish", repository, environment=bare_engine.environment)
        assert published.returncode == 0, published.stderr
        reference = f"{repository}:{release.name}-{native_architecture()}"
        words = ("--alias=logboom", "--grant-all-permissions")
        bare_engine.docker("plugin", "install", *words, reference, f"data.source={data}")
    try:
        bare_engine.docker("run", "--name=released", "--log-driver=logboom", "bb", "echo", "kept")
        assert bare_engine.docker("logs", "released").stdout == b"kept\n"
    finally:
        bare_engine.docker("rm", "--force", "released")
        bare_engine.remove_plugin()


def test_a_release_has_a_plugin_a_wheel_notes_and_checksums_and_is_the_same_when_made_again(
    build: Path,
) -> None:
    release = gather(build)
    text = (release / "SHA256SUMS").read_text()
    sums = {name: digest for digest, name in (line.split("  ") for line in text.splitlines())}
    assert set(sums) == {file.name for file in release.iterdir()} - {"SHA256SUMS"}
    for name, expected in sums.items():
        assert hashlib.sha256((release / name).read_bytes()).hexdigest() == expected
    assert f"logboom-plugin-{release.name}-{native_architecture()}.tar.gz" in sums
    assert any(name.endswith(".whl") and "-abi3-" in name for name in sums)
    assert f"## {release.name}" in (release / "NOTES.md").read_text()
    assert (gather(build) / "SHA256SUMS").read_text() == text


def test_nothing_is_published_before_a_release_was_made(build: Path) -> None:
    refused = run_release(build, "publish", "localhost:1/logboom")
    assert refused.returncode == 1
    assert "make release comes first" in refused.stderr
