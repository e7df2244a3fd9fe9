"""Puts the plugin into the engine that the docker client talks to, upgrades it there, or takes it out.

Containers may run meanwhile: what they print during an upgrade waits in their FIFOs, which it keeps. A plugin that containers use is
never removed.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from engines.errors import EngineError
from engines.registry import Registry

NAME = "logboom"
BUILD = Path("build/plugin")
# How the new version is tagged on its way into the engine.
NEXT = "next"
# Where it keeps logs while it is tried out: in its own root folder, which goes with it.
TRIAL_DATA = "/run/logboom"

# The command line on the host.
SCRIPT = Path(__file__).with_name("logboom")
# Where it is put on the host, unless the environment names another PREFIX.
PREFIX = "/usr/local"

# A script of any version has it.
MARK = "# logboom: the command line on the host"

# In PREFIX/lib, where the docker client looks for its plugins.
CLIENT_PLUGIN = "docker/cli-plugins/docker-logboom"

HOW_TO_USE = f"""
Use it:      docker run --log-driver {NAME} ...
             docker logs -f --tail 10 CONTAINER
Set it:      docker plugin disable {NAME}
             docker plugin set {NAME} LOGBOOM_MAX_SIZE=50m   (docs/options.md has all settings)
             docker plugin enable --timeout 0 {NAME}         (with Docker's own 30 s, logs -f ends after 30 s)
Remove it:   make uninstall
"""


class RefusedError(Exception):
    """It cannot or must not be done; the message is for the person who asked."""


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    actions = {"check": check, "install": install, "uninstall": uninstall}
    parser.add_argument("action", choices=actions, help="check: whether install would be refused")
    arguments = parser.parse_args()
    try:
        actions[arguments.action]()
    except (RefusedError, EngineError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def check() -> None:
    """Refuse what ``install`` would refuse, before anything is built.

    Raises:
        RefusedError: there is no engine.
    """
    version = engine_version()
    if inspect_plugin() is None:
        print(f"installing {NAME} into Docker {version}")
    else:
        print(f"{NAME} is installed in Docker {version}: upgrading it")


def install() -> None:
    """Install the plugin, or upgrade the one that is there and keep its settings.

    Raises:
        RefusedError: as ``check``; or a step failed.
        EngineError: there is no registry to upgrade from.
    """
    engine_version()
    plugin = inspect_plugin()
    if plugin is None:
        docker("plugin", "create", NAME, str(BUILD.resolve()))
        try:
            enable()
        except RefusedError:
            docker("plugin", "remove", NAME)
            raise
    else:
        upgrade(plugin)
    print(f"{NAME} is installed; its logs are in {data_folder(inspect_plugin())}.\n{HOW_TO_USE}")
    print(put_command())


def uninstall() -> None:
    """Take the plugin out of the engine; the logs stay.

    Raises:
        RefusedError: there is no engine, a container or the engine itself uses the plugin, or a step failed.
    """
    engine_version()
    plugin = inspect_plugin()
    if plugin is None:
        print(f"{NAME} is not installed")
        return
    advice = "Remove them first; without it they cannot start or show their logs."
    refuse_if_used(advice)
    if docker("info", "--format={{.LoggingDriver}}") in {NAME, f"{NAME}:latest"}:
        raise RefusedError(
            f"{NAME} is the engine's default log driver, without which dockerd does not start: "
            "change log-driver in /etc/docker/daemon.json and restart Docker first."
        )
    if plugin["Enabled"]:
        docker("plugin", "disable", NAME)
    docker("plugin", "remove", NAME)
    remove_command()
    print(f"{NAME} is removed; its logs stay in {data_folder(plugin)}.")


def upgrade(plugin: dict[str, Any]) -> None:
    """Put the new version in the place of the old one, through a registry: Docker knows no other way.

    Raises:
        RefusedError: a step failed.
        EngineError: the registry does not start.
    """
    if not os.environ.get("DOCKER_HOST", "unix://").startswith("unix://"):
        raise RefusedError(
            "an upgrade needs an engine on this machine, and DOCKER_HOST names another"
        )
    with Registry() as registry:
        reference = f"{registry.address}/{NAME}:{NEXT}"
        remove_leftover()
        try:
            docker("plugin", "create", reference, str(BUILD.resolve()))
        except RefusedError as error:
            if "already exists" not in str(error):
                raise
            print("this very version is installed already")
            if not plugin["Enabled"]:
                enable()
            return
        try:
            try_out(reference, plugin)
            docker("plugin", "push", reference)
        finally:
            docker("plugin", "remove", "--force", reference)
        if plugin["Enabled"]:
            # Containers that use it go on: what they print waits.
            docker("plugin", "disable", "--force", NAME)
        try:
            docker(
                "plugin",
                "upgrade",
                "--grant-all-permissions",
                "--skip-remote-check",
                NAME,
                reference,
            )
        finally:
            # If the upgrade failed, this is the old version, which goes on as it was.
            for setting in restore_settings(NAME, plugin):
                print(f"{setting} is no setting of this version any more")
            enable()


def try_out(reference: str, installed: dict[str, Any]) -> None:
    """Start the new version beside the installed one, with its settings and a store of its own.

    Containers that run would wait for ever for one that does not start.

    Raises:
        RefusedError: it does not start.
    """
    restore_settings(reference, installed)
    docker("plugin", "set", reference, f"LOGBOOM_DATA={TRIAL_DATA}")
    try:
        docker("plugin", "enable", reference)
    except RefusedError as error:
        raise RefusedError(
            f"this version does not start, so {NAME} is left as it is: {error}"
        ) from None
    docker("plugin", "disable", reference)


def remove_leftover() -> None:
    """Remove what an upgrade that was killed may have left: it would be taken for the installed version."""
    for name in docker("plugin", "ls", "--format={{.Name}}").split():
        if name.startswith("localhost:") and name.endswith(f"/{NAME}:{NEXT}"):
            docker("plugin", "remove", "--force", name)


def restore_settings(name: str, before: dict[str, Any]) -> list[str]:
    """Set what was set ``before``: an upgrade resets the source of a mount, and does not set new variables.

    Returns:
        The variables that this version has no longer.

    Raises:
        RefusedError: the plugin of this name, which is disabled, does not take them.
    """
    after: dict[str, Any] = json.loads(docker("plugin", "inspect", name))[0]
    variables = {setting["Name"]: setting["Value"] or "" for setting in after["Config"]["Env"]}
    kept = dict(pair.split("=", 1) for pair in before["Settings"]["Env"])
    sources = {mount["Name"]: mount["Source"] for mount in before["Settings"]["Mounts"]}
    mounts = {mount["Name"] for mount in after["Config"]["Mounts"]}
    words = [f"{key}={kept.get(key, value)}" for key, value in variables.items()]
    words += [f"{key}.source={source}" for key, source in sources.items() if key in mounts]
    docker("plugin", "set", name, *words)
    return sorted(kept.keys() - variables.keys())


def enable() -> None:
    """Enable the plugin without a time limit on its answers."""
    docker("plugin", "enable", "--timeout=0", NAME)


def data_folder(plugin: dict[str, Any] | None) -> str:
    """Where the logs are on the host, unless LOGBOOM_DATA was changed."""
    if plugin is None:
        return "an unknown folder"
    source = next(
        mount["Source"] for mount in plugin["Config"]["Mounts"] if mount["Name"] == "data"
    )
    return f"{source}/logboom"


def put_command() -> str:
    """Put the command line on the host, also as ``docker logboom``; returns what there is to say of it.

    What is there and is not ours stays as it is: the plugin works without it.
    """
    command, client_plugin = _places()
    try:
        if not _is_ours(command):
            return f"{command} is another program and stays; {SCRIPT} does the same as logboom"
        for folder in (command.parent, client_plugin.parent):
            folder.mkdir(parents=True, exist_ok=True)
        # ORDER: renamed into place, for a shell may be reading the old one.
        new = command.with_name("logboom.new")
        new.write_text(SCRIPT.read_text())
        new.chmod(0o755)
        new.rename(command)
        client_plugin.unlink(missing_ok=True)
        client_plugin.symlink_to(os.path.relpath(command, client_plugin.parent))
    except OSError as error:
        return (
            f"{command} cannot be made ({error.strerror}): try `sudo make install`, or use {SCRIPT}"
        )
    return f"See the logs:  {command} ls   (or docker logboom ls; docs/cli.md)"


def remove_command() -> None:
    """Take the command away, if it is ours."""
    command, client_plugin = _places()
    if command.exists() and _is_ours(command):
        client_plugin.unlink(missing_ok=True)
        command.unlink()


def _places() -> tuple[Path, Path]:
    prefix = Path(os.environ.get("PREFIX", PREFIX))
    return prefix / "bin/logboom", prefix / "lib" / CLIENT_PLUGIN


def _is_ours(command: Path) -> bool:
    """Whether the file may be replaced: it is one of these scripts, or not there."""
    return not command.exists() or MARK in command.read_text(errors="replace")


def inspect_plugin() -> dict[str, Any] | None:
    """What the engine says of the plugin; ``None`` when it has none of this name."""
    names = docker("plugin", "ls", "--format={{.Name}}").split()
    if f"{NAME}:latest" not in names:
        return None
    plugin: dict[str, Any] = json.loads(docker("plugin", "inspect", NAME))[0]
    return plugin


def users() -> list[str]:
    """The names of the containers whose log driver the plugin is, running or not."""
    names = []
    for container in docker("ps", "--all", "--quiet", "--no-trunc").split():
        try:
            line = docker("inspect", "--format={{.HostConfig.LogConfig.Type}} {{.Name}}", container)
        except RefusedError:
            continue  # It is gone by now.
        driver, name = line.split()
        if driver in {NAME, f"{NAME}:latest"}:
            names.append(name.removeprefix("/"))
    return sorted(names)


def refuse_if_used(advice: str) -> None:
    """Refuse to remove the plugin when there are containers that use it.

    Raises:
        RefusedError: there are.
    """
    names = ", ".join(users())
    if names:
        raise RefusedError(
            f"{NAME} is not removed, because these containers use it: {names}. {advice}"
        )


def engine_version() -> str:
    """The version of the engine.

    Raises:
        RefusedError: there is no client, or no engine answers it.
    """
    try:
        return docker("version", "--format={{.Server.Version}}")
    except FileNotFoundError:
        raise RefusedError(
            "there is no Docker on this machine (no docker client was found): install it first, or try `make demo`"
        ) from None
    except RefusedError as error:
        root = "" if os.geteuid() == 0 else "; you are not root, which may be why"
        raise RefusedError(f"no Docker engine answers{root}: {error}") from None


def docker(*words: str) -> str:
    """What the docker client prints.

    Raises:
        RefusedError: it failed; the message has what it said.
    """
    result = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if result.returncode:
        said = (result.stderr or result.stdout).strip()
        raise RefusedError(f"docker {' '.join(words)}: {said}")
    return result.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
