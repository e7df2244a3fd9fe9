"""The host of an engine as an operator has it: the script ``logboom``, and no Python of ours."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from engines.private import Engine

SCRIPT = Path(__file__).parents[2] / "packaging" / "logboom"

TIMEOUT_S = 60


@dataclass
class Host:
    """The engine's host: its mounts, without this test's own Python."""

    engine: Engine
    script: Path

    @classmethod
    def of(cls, engine: Engine) -> Self:
        """Put the script and the docker client where nothing else is."""
        client = shutil.which("docker")
        assert client is not None
        folder = engine.home / "bin"
        folder.mkdir()
        shutil.copy(client, folder / "docker")
        shutil.copy(SCRIPT, folder / "logboom")
        return cls(engine, folder / "logboom")

    def command(self, *words: str) -> list[str]:
        return self.engine.command_inside(self.script, *words)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **self.engine.environment,
            "LOGBOOM_EXEC_ROOT": str(self.engine.home / "exec"),
            "PATH": f"{self.script.parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.command(*words),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=TIMEOUT_S,
        )
