"""What one guideline does to the embedded model: `python -m bench.learning_embedded`, which starts a stack of its own.

Runs the examples as past tasks, proposes a guideline for the developer, waits for its evaluation, prints the report.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.support.golden import running_golden

ROOT = Path(__file__).parent.parent
GUIDELINE = "Handle the empty input explicitly before the main loop."
OPEN = ("proposed", "waiting", "evaluating")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--add", default=GUIDELINE)
    parser.add_argument("--pairs", type=int, default=24)
    asked = parser.parse_args()
    examples = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "examples").glob("*.yaml"))]
    settings: dict[str, Any] = {"models": "embedded", "evaluation_pairs": asked.pairs, "evaluation_min_tasks": 4}
    with tempfile.TemporaryDirectory() as home:
        async with running_golden(Path(home), **settings) as golden:
            for example in examples:
                task = await golden.submit({**example, "candidates": 1, "repair_rounds": 0})
                print(example["title"], (await golden.final(task, within=900))["state"], flush=True)
            async with golden.client("developer", sub="ann") as client:
                proposed = await client.post("/v1/proposals", json={"role": "developer", "add": asked.add})
                proposed.raise_for_status()
                place = f"/v1/approvals/{proposed.json()['id']}"
                while (shown := (await client.get(place)).json())["state"] in OPEN:  # noqa: ASYNC110
                    await asyncio.sleep(5)
            print(shown["state"], json.dumps(shown["evaluation"], indent=2))


if __name__ == "__main__":
    asyncio.run(main())
