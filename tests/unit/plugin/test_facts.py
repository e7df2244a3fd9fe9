import json
import socket
from typing import Any

from logboom.options import parse_options
from logboom.plugin.documents import parse_start_logging
from logboom.plugin.facts import FACTS_LIMIT_BYTES, encode_facts
from tests.support.fake_docker import container_info, go_json


def facts_text(log_opts: dict[str, str], **info: Any) -> str:
    body = go_json({"File": "/f", "Info": container_info("0123456789abcdef", log_opts, **info)})
    options, mistakes = parse_options(log_opts)
    assert mistakes == []
    return encode_facts(parse_start_logging(body).info, options)


def facts_of(log_opts: dict[str, str], **info: Any) -> dict[str, Any]:
    facts = json.loads(facts_text(log_opts, **info))
    assert isinstance(facts, dict)
    return facts


def test_all_facts_are_there() -> None:
    log_opts = {
        "labels": "com.example.team",
        "env": "PATH",
        "tag": "{{.ImageName}}/{{.Name}}/{{.ID}}",
    }
    assert facts_of(log_opts) == {
        "id": "0123456789abcdef",
        "name": "quirky_boom",
        "image": "busybox:latest",
        "image_id": "sha256:" + "ab" * 32,
        "created": "2026-01-31T12:00:00.123456789Z",
        "command": "sh -c echo hello",
        "labels": {"com.example.team": "river"},
        "attributes": {"com.example.team": "river", "PATH": "/bin"},
        "tag": "busybox:latest/quirky_boom/0123456789ab",
        "log_opts": log_opts,
    }


def test_the_environment_is_kept_out() -> None:
    text = facts_text({"env-regex": "^PATH$"})
    assert "SECRET" not in text
    assert "hidden" not in text
    assert json.loads(text)["attributes"] == {"PATH": "/bin"}


def test_there_is_a_tag_only_when_it_is_asked_for() -> None:
    assert facts_of({})["tag"] is None


def test_ids_are_shortened_as_docker_shortens_them() -> None:
    assert (
        facts_of({"tag": "{{.ImageID}} {{.ImageFullID}}"})["tag"]
        == "sha256:ababa sha256:" + "ab" * 32
    )
    assert facts_of({"tag": "{{.Hostname}} {{.DaemonName}} {{.FullID}}"})["tag"] == (
        f"{socket.gethostname()} docker 0123456789abcdef"
    )


def test_facts_at_the_limit_are_kept_whole_and_beyond_it_labels_go_first() -> None:
    overhead = len(facts_text({}, ContainerLabels={"big": ""}))
    largest = facts_text({}, ContainerLabels={"big": "x" * (FACTS_LIMIT_BYTES - overhead)})
    assert len(largest) == FACTS_LIMIT_BYTES
    assert "omitted" not in json.loads(largest)
    facts = facts_of({}, ContainerLabels={"big": "x" * (FACTS_LIMIT_BYTES - overhead + 1)})
    assert facts["omitted"] == ["labels"]
    assert facts["command"] == "sh -c echo hello"


def test_any_facts_fit() -> None:
    large = "ü" * FACTS_LIMIT_BYTES
    text = facts_text(
        {"labels": "big", "tag": "{{.Name}}"},
        ContainerLabels={"big": large},
        ContainerArgs=[large],
        ContainerImageName=large,
    )
    assert len(text.encode()) <= FACTS_LIMIT_BYTES
    facts = json.loads(text)
    assert facts["id"] == "0123456789abcdef"
    assert {"labels", "command", "attributes", "image"} <= set(facts["omitted"])
