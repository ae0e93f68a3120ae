"""A disaster drill as an operator does it: by the commands of docs/disaster-recovery.md."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.local import lock
from tests.support.golden import Golden
from tests.support.processes import is_gone

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "disaster-recovery.md"
FIGURES = ("<!-- figures of the drill -->", "<!-- end of the figures -->")


def commands(words: str) -> str:
    """The one block of commands on the page whose first line ends with these words."""
    blocks = [block.split("```", 1)[0] for block in PAGE.read_text().split("```sh\n")[1:]]
    (found,) = [block for block in blocks if block.splitlines()[0].endswith(words)]
    return found


def write_figures(table: str) -> None:
    """Put what a drill printed into the page, in place of what an earlier one did."""
    page = PAGE.read_text()
    before, _, rest = page.partition(FIGURES[0])
    _, _, after = rest.partition(FIGURES[1])
    processor = f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.0f} at its end"
    PAGE.write_text(f"{before}{FIGURES[0]}\n{table}\n\nOn {processor}.\n{FIGURES[1]}{after}")


@dataclass
class Drill:
    """One stack, started and lost again and again; `folder` outlives it."""

    golden: Golden
    folder: Path

    def run(self, words: str, **names: Path) -> str:
        """Run a block of the page; what it printed.

        Raises:
            AssertionError: a command of it failed.
        """
        told = self.attempt(words, **names)
        assert told.returncode == 0, told.stdout + told.stderr
        return told.stdout

    def attempt(self, words: str, **names: Path) -> subprocess.CompletedProcess[str]:
        """Run a block of the page, up to the first command that fails."""
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        values = {name: str(value) for name, value in names.items()}
        return subprocess.run(
            ["/bin/bash", "-e", "-c", commands(words)],
            env={**self.golden.environment, "PATH": path, **values},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def lose_everything(self) -> None:
        """kill -9, and the disk is gone."""
        running = lock.running(self.golden.settings)
        if running is not None:
            os.kill(running.pid, signal.SIGKILL)
            while not is_gone(running.pid):
                time.sleep(0.01)
        self._parts_are_gone()
        shutil.rmtree(self.golden.settings.home)

    def _parts_are_gone(self) -> None:
        """The kernel ends the parts; until then they may write into the folder."""
        home = str(self.golden.settings.home).encode()
        while True:
            commands_of = [path for path in Path("/proc").glob("[0-9]*/cmdline") if home in _read(path)]
            if all(is_gone(int(path.parent.name)) for path in commands_of):
                return
            time.sleep(0.02)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
