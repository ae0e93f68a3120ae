"""`python -m deploy.dashboards` writes the JSON files anew.

With `--base URL --into FOLDER` it writes them elsewhere, with an address before the paths of the runbooks.
"""

import argparse
from pathlib import Path

from deploy.dashboards.build import FOLDER, files


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(prog="python -m deploy.dashboards", description=__doc__)
    parser.add_argument("--base", default="", help="what goes before the paths of the runbooks")
    parser.add_argument("--into", type=Path, default=FOLDER, help="the folder to write to")
    given = parser.parse_args()
    given.into.mkdir(parents=True, exist_ok=True)
    for path, text in files(given.into, given.base.rstrip("/")).items():
        path.write_text(text)


if __name__ == "__main__":
    main()
