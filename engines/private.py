"""A private engine: dockerd of one version in a folder of its own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from engines.debian import default_cache, unpack
from engines.errors import EngineError
from engines.namespace import Namespace

Version = Literal["20.10", "26.1", "28.5"]

# Which Debian release has which engine.
SUITES: Mapping[Version, str] = {"20.10": "bookworm", "26.1": "trixie", "28.5": "forky"}
PACKAGES = ("docker.io", "iproute2", "iptables", "ca-certificates")

START_TIMEOUT_S = 60
# dockerd gives containers 10 s and plugins 10 s when it is asked to end.
STOP_TIMEOUT_S = 30
# Paths of Unix sockets end at 107 bytes, and containerd's are the longest below the home.
HOME_LENGTH = 60

PLUGIN = "logboom"


class Engine:
    """A running private engine; a context manager that stops it.

    Attributes:
        home: its folder; what is put there goes with the engine.
        socket: where its API listens.
        data_root: dockerd's data, as ``/var/lib/docker``.
        dockerd_pid: dockerd's process id on this machine.
    """

    def __init__(self, home: Path, namespace: Namespace, options: tuple[str, ...]) -> None:
        self.home = home
        self.socket = home / "docker.sock"
        self.data_root = home / "root"
        self._namespace = namespace
        self._options = options
        self._dockerd: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        version: Version | None = None,
        *,
        home: Path | None = None,
        cache: Path | None = None,
        options: tuple[str, ...] = (),
    ) -> Self:
        """Start an engine and wait until it answers.

        Args:
            version: which engine. The machine's own dockerd is used when it is of that version, else one that is
                unpacked once into ``cache``. ``None``: the machine's own, whichever it is.
            home: an empty or missing folder, its path at most 60 bytes long; a new one below ``/var/tmp`` by
                default. It is removed by ``stop``.
            cache: where unpacked engines are kept; ``~/.cache/logboom/engines`` by default.
            options: more options for dockerd.

        Raises:
            EngineError: it cannot work here.
        """
        _check_machine()
        root = _root_of(version, cache or default_cache())
        if home is None:
            home = Path(tempfile.mkdtemp(prefix="engine-", dir="/var/tmp"))
        if len(os.fsencode(home)) > HOME_LENGTH:
            raise EngineError(f"the path {home} is too long for the sockets of an engine")
        home.mkdir(parents=True, exist_ok=True)
        (home / "daemon.json").write_text("{}")
        engine = cls(home, Namespace(home, root), options)
        try:
            engine.start_dockerd()
        except BaseException:
            engine.stop()
            raise
        return engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def dockerd_pid(self) -> int:
        """The process id of dockerd on this machine.

        Raises:
            EngineError: dockerd does not run.
        """
        if self._dockerd is None:
            raise EngineError("this private engine does not run")
        return self._dockerd.pid

    @property
    def log(self) -> str:
        """What dockerd has said, and with it the plugins."""
        return (self.home / "dockerd.log").read_text(errors="replace")

    def start_dockerd(self) -> None:
        """Start dockerd, as after ``end_dockerd``, and wait until it answers.

        Raises:
            EngineError: it ended or does not answer; the message has its last words.
        """
        command = self._namespace.command(
            "dockerd",
            f"--config-file={self.home}/daemon.json",
            f"--data-root={self.data_root}",
            f"--exec-root={self.home}/exec",
            f"--pidfile={self.home}/pid",
            f"--host=unix://{self.socket}",
            # The rules and the bridge of another engine must stay as they are.
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            *self._options,
        )
        with (self.home / "dockerd.log").open("ab") as log:
            self._dockerd = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            ended = self._dockerd.poll() is not None
            if ended or time.monotonic() > deadline:
                how = "ended" if ended else f"does not answer after {START_TIMEOUT_S} s"
                raise EngineError(f"dockerd {how}; its last words:\n{self.log[-2000:]}")
            time.sleep(0.05)

    def end_dockerd(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Signal dockerd and wait until it has ended; killed if it takes too long. Does not stop the engine."""
        if self._dockerd is None:
            return
        self._dockerd.send_signal(number)
        try:
            self._dockerd.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._dockerd.kill()
            self._dockerd.wait()
        self._dockerd = None

    def stop(self) -> None:
        """End all that runs in the engine and remove its home."""
        if self._dockerd is not None and self._answers():
            self._kill_containers()
        self.end_dockerd()
        self._namespace.end()
        _unmount_below(self.home)
        shutil.rmtree(self.home)

    def run_inside(self, script: str) -> None:
        """Run a shell script where the engine's mounts are, also while dockerd does not run.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        subprocess.run(self.command_inside("sh", "-ec", script), check=True)

    def command_inside(self, *words: str | Path) -> list[str]:
        """The command line that runs a program where the engine's mounts are."""
        return self._namespace.command(*words)

    def docker_command(self, *words: str | Path) -> list[str]:
        """The command line of the docker client for this engine; run it with ``environment``."""
        return ["docker", f"--host=unix://{self.socket}", *map(str, words)]

    @property
    def environment(self) -> dict[str, str]:
        """The environment for the docker client: the caller's without what points to other engines."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return {
            **kept,
            "DOCKER_CONFIG": str(self.home / "client"),
            "DOCKER_HOST": f"unix://{self.socket}",
        }

    def docker(
        self,
        *words: str | Path,
        input: bytes | None = None,  # noqa: A002 (named as subprocess does)
        check: bool = True,
        timeout_s: float | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the docker client on this engine and give its result, with both outputs.

        Raises:
            EngineError: it failed; the message has what it said. Not with ``check=False``.
            subprocess.TimeoutExpired: after ``timeout_s``.
        """
        result = subprocess.run(
            self.docker_command(*words),
            env=self.environment,
            input=b"" if input is None else input,
            capture_output=True,
            check=False,
            timeout=timeout_s,
        )
        if check and result.returncode:
            said = (result.stderr or result.stdout).decode(errors="replace").strip()
            raise EngineError(f"docker {' '.join(map(str, words))}: {said}")
        return result

    def docker_text(self, *words: str | Path) -> str:
        """What the docker client prints, without the white space around it.

        Raises:
            EngineError: it failed.
        """
        return self.docker(*words).stdout.decode().strip()

    def install_plugin(
        self,
        build: Path,
        *,
        data: Path,
        settings: Mapping[str, str] | None = None,
        name: str = PLUGIN,
    ) -> None:
        """Create, set and enable the plugin.

        Args:
            build: the folder with ``config.json`` and ``rootfs``.
            data: the source of its data mount; made when it is missing. The store is ``logboom`` in it.
            settings: its variables, as ``LOGBOOM_MAX_SIZE``.
            name: what containers name as their log driver.

        Raises:
            EngineError: a step failed.
        """
        data.mkdir(parents=True, exist_ok=True)
        self.docker("plugin", "create", name, build)
        words = [f"{key}={value}" for key, value in (settings or {}).items()]
        self.docker("plugin", "set", name, f"data.source={data}", *words)
        self.enable_plugin(name)

    def enable_plugin(self, name: str = PLUGIN) -> None:
        """Enable it without the 30 s limit that would end ``docker logs -f``.

        Raises:
            EngineError: it did not come up.
        """
        self.docker("plugin", "enable", "--timeout=0", name)

    def remove_plugin(self, name: str = PLUGIN) -> None:
        """Disable and remove it. Containers that use it must have ended.

        Raises:
            EngineError: a step failed.
        """
        self.docker("plugin", "disable", name)
        self.docker("plugin", "remove", name)

    def plugin_pids(self, name: str = PLUGIN) -> list[int]:
        """The plugin's processes on this machine, the supervisor first; empty when it does not run."""
        identifier = self.docker_text("plugin", "inspect", "--format={{.Id}}", name)
        pids = [pid for pid in self._namespace.processes() if _is_in_cgroup(pid, identifier)]
        # Process ids wrap around, so the lowest need not be the oldest.
        return sorted(pids, key=lambda pid: (_parent(pid) in pids, pid))

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(str(self.socket))
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in connection.recv(100)
        except OSError:
            return False

    def _kill_containers(self) -> None:
        """A shell as PID 1 ignores SIGTERM, and dockerd would wait 10 s for it."""
        try:
            running = self.docker("ps", "--quiet", timeout_s=10).stdout.decode().split()
            if running:
                self.docker("kill", *running, check=False, timeout_s=20)
        except (EngineError, subprocess.TimeoutExpired):
            return  # A broken engine must be stopped too: the namespace kills what is left.


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise EngineError("a private engine needs root, for its mounts and containers: use sudo")
    kinds = {line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
    if not kinds & {"cgroup", "cgroup2"}:
        raise EngineError(
            "no cgroups are mounted here, and containers need them: see /sys/fs/cgroup"
        )
    if shutil.which("docker") is None:
        raise EngineError("the docker client is missing: apt-get install docker.io docker-cli")


def _root_of(version: Version | None, cache: Path) -> Path | None:
    """The unpacked release with that engine; ``None`` where it is the machine's own."""
    own = _own_version()
    if version is None:
        if own is None:
            raise EngineError("dockerd is missing: apt-get install docker.io")
        return None
    if own is not None and own.startswith(version + "."):
        return None
    root = cache / SUITES[version]
    unpack(SUITES[version], PACKAGES, root)
    return root


def _own_version() -> str | None:
    if shutil.which("dockerd") is None:
        return None
    said = subprocess.run(
        ["dockerd", "--version"], check=True, capture_output=True, text=True
    ).stdout
    return said.removeprefix("Docker version ").partition(",")[0]


def _parent(pid: int) -> int | None:
    """The parent of a process (proc(5), `/proc/PID/stat`, the second field behind the name); ``None``: it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _is_in_cgroup(pid: int, name: str) -> bool:
    try:
        return name in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False


def _unmount_below(folder: Path) -> None:
    """Whatever a caller has mounted there and left must not be emptied with the folder."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", mount], check=True)
