"""The facts document of a session: what is known of its container, kept beside its log as JSON."""

import json
import socket
from typing import Final

from logboom.options import StreamOptions
from logboom.plugin.documents import ContainerInfo

__all__ = ["FACTS_LIMIT_BYTES", "encode_facts"]

FACTS_LIMIT_BYTES: Final = 256 * 1024
"""The store keeps a document of facts for each session of a container. Real ones have a few KiB."""

_OMITTED_FIRST: Final = ("labels", "command", "log_opts", "attributes")

_SHORT_ID_LENGTH: Final = 12


def encode_facts(info: ContainerInfo, options: StreamOptions) -> str:
    """The document as JSON.

    It holds no environment variable but those that ``env`` and ``env-regex`` choose. When it would be over
    ``FACTS_LIMIT_BYTES``, the largest fields are left out, and ``omitted`` names them: a container starts with any labels.
    """
    facts: dict[str, object] = {
        "id": info.container_id,
        "name": info.name,
        "image": info.image_name,
        "image_id": info.image_id,
        "created": info.created,
        "command": info.command,
        "labels": dict(info.labels),
        "attributes": options.attributes.choose(info.labels, info.environment),
        "tag": None if options.tag is None else options.tag.render(_tag_values(info)),
        "log_opts": dict(info.log_opts),
    }
    omitted: list[str] = []
    text = _encode(facts)
    for field in _OMITTED_FIRST:
        if len(text) <= FACTS_LIMIT_BYTES:
            break
        del facts[field]
        omitted.append(field)
        text = _encode({**facts, "omitted": omitted})
    if len(text) > FACTS_LIMIT_BYTES:
        text = _encode({"id": info.container_id, "omitted": sorted({*facts, *omitted} - {"id"})})
    return text


def _encode(facts: dict[str, object]) -> str:
    # ASCII, so that a character is a byte.
    return json.dumps(facts, separators=(",", ":"))


def _tag_values(info: ContainerInfo) -> dict[str, str]:
    """What the methods of moby's ``Info`` give."""
    return {
        "ID": info.container_id[:_SHORT_ID_LENGTH],
        "FullID": info.container_id,
        "Name": info.name,
        "Command": info.command,
        "ImageID": info.image_id[:_SHORT_ID_LENGTH],
        "ImageFullID": info.image_id,
        "ImageName": info.image_name,
        "Hostname": socket.gethostname(),
        "DaemonName": info.daemon_name,
    }
