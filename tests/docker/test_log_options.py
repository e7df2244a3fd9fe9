"""``--log-opt`` as docker's user meets it."""

import json
from collections.abc import Sequence

import pytest
import trio

from engines.private import Engine
from tests.docker.outputs import NASTY
from tests.docker.support import DEADLINE_S, POLL_S, stored_text, stream_folder, wait_stored


def create_words(name: str, options: Sequence[str]) -> list[str]:
    return [
        f"--name={name}",
        "--network=none",
        "--log-driver=logboom",
        *(f"--log-opt={option}" for option in options),
    ]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("max-sise=10m", ["max-sise", "did you mean max-size?"]),
        ("maxfile=3", ["maxfile", "did you mean max-file?"]),
        ("compres=true", ["compres", "did you mean compress?"]),
        ("label=a", ["label", "did you mean labels?"]),
        ("Max-Size=10m", ["Max-Size", "did you mean max-size?"]),
        ("colour=blue", ["colour", "max-size"]),
        ("max-size=ten", ["max-size", "'ten'"]),
        ("max-size=0", ["max-size", "'0'"]),
        ("max-file=0", ["max-file", "'0'"]),
        ("max-age=soon", ["max-age", "'soon'"]),
        ("compress=maybe", ["compress", "'maybe'"]),
        ("env-regex=(", ["env-regex"]),
        ("tag={{.Nothing}}", ["tag", "Nothing"]),
    ],
)
def test_a_mistake_fails_the_start_and_says_what_is_wrong(
    option: str, said: list[str], engine: Engine
) -> None:
    result = engine.docker("run", *create_words("mistaken", [option]), "bb", "true", check=False)
    engine.docker("rm", "--force", "mistaken", check=False)
    assert result.returncode == 125
    message = result.stderr.decode()
    assert "error creating logger" in message
    for words in said:
        assert words in message


def test_dockerds_own_options_are_its_own(engine: Engine) -> None:
    options = [
        "mode=non-blocking",
        "max-buffer-size=1m",
        "cache-disabled=true",
        "cache-max-size=3m",
    ]
    engine.docker("run", *create_words("own", options), "bb", "echo", "hello")
    assert engine.docker("logs", "own").stdout == b"hello\n"
    engine.docker("rm", "own")


async def test_a_log_stays_within_its_limit_and_its_newest_lines_are_there(engine: Engine) -> None:
    """``max-file`` times ``max-size``, counted as stored."""
    folder = engine.home / "limited"
    folder.mkdir()
    text = NASTY["log lines"] * 30
    (folder / "text").write_bytes(text)
    options = ["max-size=300k", "max-file=2", "compress=false"]
    words = [*create_words("limited", options), f"--volume={folder}:/given:ro"]
    engine.docker("run", *words, "bb", "cat", "/given/text")
    with trio.fail_after(DEADLINE_S):
        # What has just been cut may be over the limit for a moment.
        while len(read := engine.docker("logs", "limited").stdout) > 600_000:
            await trio.sleep(POLL_S)
    assert text.endswith(read)
    assert len(read) > 100_000
    stream = stream_folder(engine.home / "data", engine, "limited")
    await wait_stored(stream, len(read), 3)
    assert sum(path.stat().st_size for path in stream.iterdir()) < 600_000 + 100_000
    assert text.endswith(stored_text(stream))
    engine.docker("rm", "limited")


async def test_labels_environment_and_tag_are_kept_only_when_asked_for(engine: Engine) -> None:
    words = ["--env=TOWN=Riga", "--env=PASSWORD=secret", "--label=team=river"]
    options = ["labels=team", "env-regex=^TO", "tag={{.Name}}/{{.ImageName}}"]
    engine.docker("run", *create_words("described", options), *words, "bb", "echo", "hello")
    stream = stream_folder(engine.home / "data", engine, "described")
    await wait_stored(stream, len(b"hello\n"), 3)
    stored = (stream / "container.json").read_text()
    assert json.loads(stored)["container_id"] == stream.name
    for wanted in ("Riga", "river", "described/bb"):
        assert wanted in stored
    for unwanted in ("secret", "PASSWORD"):
        assert unwanted not in stored
    engine.docker("rm", "described")
