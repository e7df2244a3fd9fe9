"""A mount namespace of its own for an engine.

What an engine mounts is seen by its own processes only, and vanishes with the last of them. So nothing
has to be unmounted afterwards, and two engines do not meet in ``/run/docker`` or ``/run/containerd``.
Mounts that are made on the machine later do get in.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from engines.errors import EngineError

END_TIMEOUT_S = 30

# The machine's own programs, with the folders hidden in which engines would meet, and the one that the
# plugin keeps its logs in where no other is set.
_ON_HOST = """
for folder in /etc/docker /run/docker /run/containerd /var/log; do
    mkdir -p $folder
    mount -t tmpfs -o mode=755 engine $folder
done
# containerd would make a folder of its own there, which it can do without.
mount --bind -o ro /opt /opt
"""

# The programs of another release. Its root is a tmpfs over read-only programs, so that the unpacked
# release stays as it is. runc refuses a plain chroot, hence pivot_root.
_IN_ROOT = """
new=$home/namespace
mkdir -p $new
mount -t tmpfs -o mode=755 engine $new
mkdir $new/usr $new/run $new/old
mount --bind -o ro $root/usr $new/usr
cp -a $root/etc $root/bin $root/sbin $root/lib* $new/
cp -L /etc/resolv.conf /etc/hosts $new/etc/
for folder in proc sys dev tmp; do
    mkdir $new/$folder
    mount --rbind /$folder $new/$folder
done
mkdir -p $new/var/log $new$home
mount --bind $home $new$home
cd $new
pivot_root . old
umount -l /old
"""

_HOLD = """
echo ready
exec sleep infinity
"""


class Namespace:
    """A mount namespace that lives until ``end``, kept by a process that sleeps."""

    def __init__(self, home: Path, root: Path | None) -> None:
        """Make the namespace.

        Args:
            home: a folder that is at the same place inside and outside.
            root: whose programs are at ``/usr`` inside; ``None``: the machine's own.

        Raises:
            EngineError: the kernel does not allow it here.
        """
        script = "set -e" + (_ON_HOST if root is None else _IN_ROOT) + _HOLD
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation=slave", "sh", "-c", script],
            env={**os.environ, "home": str(home), "root": str(root)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._holder.stdout is not None  # noqa: S101 (for the type checker: it was asked for)
        if self._holder.stdout.readline() != "ready\n":
            fault = self._holder.communicate()[1].strip()
            raise EngineError(
                "an engine needs mounts of its own, which this machine does not allow"
                f" (in a container, run it with --privileged): {fault}"
            )
        self._id = _namespace_of(self._holder.pid)

    def command(self, *words: str | Path) -> list[str]:
        """The command line that runs ``words`` inside; the process keeps its id."""
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--", *map(str, words)]

    def processes(self) -> list[int]:
        """All that runs inside, containers too, without the one that keeps the namespace."""
        parents = {pid: _parent_of(pid) for pid in _all_processes()}
        inside = {pid for pid in parents if _namespace_of(pid) == self._id}
        found: set[int] = set()
        while inside:
            found |= inside
            # A container has left the namespace, but its parents are in it.
            inside = {pid for pid, parent in parents.items() if parent in found} - found
        return sorted(found - {self._holder.pid})

    def end(self) -> None:
        """Kill what still runs inside, then let the namespace and its mounts go.

        Raises:
            EngineError: a process did not die.
        """
        deadline = time.monotonic() + END_TIMEOUT_S
        while left := self.processes():
            if time.monotonic() > deadline:
                raise EngineError(f"these processes of a private engine do not die: {left}")
            _kill(left)
            time.sleep(0.05)
        self._holder.kill()
        self._holder.communicate()


def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _all_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _namespace_of(pid: int) -> str | None:
    """``None`` when the process is gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/mnt").readlink())
    except OSError:
        return None


def _parent_of(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name, in parentheses, may hold anything.
    return int(status.rpartition(")")[2].split()[1])
