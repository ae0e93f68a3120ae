"""What the configured models make of the examples: `python bench/examples.py [ROUNDS]`, with a stack running.

Prints a Markdown table: of how many rounds each example was accepted, how many of its candidates passed their tests
before any repair, and the median of seconds and tokens.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
GOLDEN = [sys.executable, "-m", "gateway.cli"]


def golden(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*GOLDEN, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def run(example: Path) -> dict[str, Any]:
    """One task to its end: state, candidates passed and made, seconds, tokens."""
    started = time.monotonic()
    lines = golden("submit", str(example), "--watch", "--json").stdout.splitlines()
    seconds = time.monotonic() - started
    events = [json.loads(line) for line in lines]
    task = events[-1]
    result = json.loads(golden("result", task["task_id"], "--json").stdout)
    proven = [event["data"] for event in events if event.get("event") == "candidate"]
    first = [data for data in proven if data["step"].startswith("prove/")]
    return {
        "state": task["state"],
        "passed": sum(data["passed"] for data in first),
        "candidates": len(first),
        "seconds": seconds,
        "tokens": sum(used["input"] + used["output"] for used in result["tokens"].values()),
    }


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print("| example | accepted | candidates that passed | seconds | tokens |\n| --- | --- | --- | --- | --- |")
    for example in sorted((ROOT / "examples").glob("*.yaml")):
        runs = [run(example) for _ in range(rounds)]
        print(
            f"| `{example.stem}` | {sum(each['state'] == 'accepted' for each in runs)} of {rounds} "
            f"| {sum(each['passed'] for each in runs)} of {sum(each['candidates'] for each in runs)} "
            f"| {statistics.median(each['seconds'] for each in runs):.0f} "
            f"| {statistics.median(each['tokens'] for each in runs):,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
