"""Where the command line looks for the store."""

import json
import os
from pathlib import Path

import pytest

from logboom.cli.session import SessionError, find_service
from logboom.cli.store import DEFAULT_DATA, find_data


def put_client(folder: Path, monkeypatch: pytest.MonkeyPatch, *variables: str) -> None:
    """A docker client whose engine mounts another folder than was set before an upgrade."""
    answer = {
        "Id": "0123",
        "Name": "logboom:latest",
        "Enabled": True,
        "Settings": {
            "Mounts": [{"Name": "data", "Source": "/srv/log", "Destination": "/data"}],
            "Env": variables,
        },
        "Config": {
            "Mounts": [{"Name": "data", "Source": "/var/log", "Destination": "/data"}],
            "PropagatedMount": "",
        },
    }
    client = folder / "docker"
    client.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.delenv("LOGBOOM_DATA", raising=False)
    monkeypatch.delenv("LOGBOOM_SOCKET", raising=False)


def test_the_plugins_data_is_where_the_engine_mounts_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_client(folder, monkeypatch, "LOGBOOM_DATA=/data/logs")
    assert find_data(None) == find_service().data == "/var/log/logs"
    assert find_service().data_inside == "/data/logs"
    monkeypatch.setenv("LOGBOOM_DATA", "/from/environment")
    assert find_data(None) == "/from/environment"
    assert find_data("/given") == "/given"


def test_a_data_folder_may_be_the_mount_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken for none, and the default was looked at instead."""
    put_client(folder, monkeypatch, "LOGBOOM_DATA=/data")
    assert find_data(None) == find_service().data == "/var/log"


def test_another_plugin_has_no_data_of_ours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_client(folder, monkeypatch, "LOG_LEVEL=debug")
    assert find_data(None) == DEFAULT_DATA
    with pytest.raises(SessionError, match="no plugin on this machine"):
        find_service()
