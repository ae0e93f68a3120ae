"""All dashboards, and their files."""

from pathlib import Path

from deploy.dashboards import grafana
from deploy.dashboards.panel import Dashboard
from deploy.dashboards.processes import GATEWAY, WORKERS
from deploy.dashboards.work import CONSENSUS, LEARNING, MODELS, OVERVIEW, SANDBOX

FOLDER = Path(__file__).parent
DASHBOARDS: dict[str, Dashboard] = {
    "overview": OVERVIEW,
    "consensus": CONSENSUS,
    "sandbox": SANDBOX,
    "models": MODELS,
    "learning": LEARNING,
    "gateway": GATEWAY,
    "workers": WORKERS,
}
"""By the names of their files."""


def files(folder: Path = FOLDER, base: str = "") -> dict[Path, str]:
    """The text of every file; `base` goes before the runbooks' paths."""
    return {folder / f"{name}.json": grafana.render(dashboard, base) for name, dashboard in DASHBOARDS.items()}
