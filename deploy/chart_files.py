"""Copies rules and dashboards into the chart, which can't reach outside its folder: `python -m deploy.chart_files`."""

import shutil
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
CHART = HERE / "chart"
KINDS = {"rules": (HERE / "alerts", "*.rules.yaml"), "dashboards": (HERE / "dashboards", "*.json")}
"""The folder in the chart's `files`, and what goes there."""


def stale() -> list[Path]:
    """Files of the chart that are missing, differ from what they are copies of, or are copies of nothing."""
    wanted = {there: source for source, there in _pairs()}
    present = {path for kind in KINDS for path in (CHART / "files" / kind).glob("*") if path.is_file()}
    differing = {path for path in wanted if path not in present or path.read_bytes() != wanted[path].read_bytes()}
    return sorted(differing | (present - set(wanted)))


def copy() -> None:
    """Bring the chart's files up to date."""
    for path in stale():
        path.unlink(missing_ok=True)
    for source, there in _pairs():
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, there)


def _pairs() -> Iterator[tuple[Path, Path]]:
    for kind, (folder, pattern) in KINDS.items():
        for source in sorted(folder.glob(pattern)):
            yield source, CHART / "files" / kind / source.name


if __name__ == "__main__":
    copy()
