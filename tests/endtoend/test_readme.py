"""The README's curl does what the README says."""

import asyncio
import json
import re
import subprocess
from pathlib import Path

from tests.support.golden import Golden
from tests.support.provider import Provider, Script, files

ROOT = Path(__file__).parent.parent.parent
MEAN = "def mean(numbers):\n    return sum(numbers) / len(numbers) if numbers else 0.0\n"


async def test_the_curl_of_the_readme_answers_as_shown(golden: Golden, provider: Provider) -> None:
    provider.script("Arithmetic mean", Script(developer=[files(statistics_lite=MEAN)]))
    readme = (ROOT / "README.md").read_text()
    (command,) = re.findall(r"^curl .*?(?=```)", readme, re.DOTALL | re.MULTILINE)
    (shown,) = re.findall(r"```json\n(.*?)```", readme, re.DOTALL)
    command = command.replace("http://127.0.0.1:8080", golden.settings.gateway_url)
    answer = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-c", command],
        cwd=ROOT,
        env={**golden.environment, "TOKEN": golden.token()},
        capture_output=True,
        text=True,
        check=True,
    )
    task = json.loads(answer.stdout)
    assert task.keys() == json.loads(shown).keys()
    assert task["links"].keys() == json.loads(shown)["links"].keys()
    assert (await golden.final(task["task_id"]))["state"] == "accepted"
