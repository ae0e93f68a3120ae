"""Everything at once: a load, faults of the provider and kill -9 of every part, in an order that a seed chooses.

`GOLDEN_CHAOS_SEED` repeats a storm, `GOLDEN_CHAOS_SECONDS` makes it longer (`make chaos`): docs/reliability.md.
"""

import json
from pathlib import Path

import pytest

from tests.chaos.storm import Storm
from tests.chaos.storm_kills import gone
from tests.chaos.storm_plan import Plan
from tests.support.golden import running_golden
from tests.support.stormy_provider import StormyProvider, running_storm_of_answers

PLAN = Plan.from_environment()
MODEL_SECONDS = 8
GONE_SECONDS = 30.0
STARTS_AND_ENDS_SECONDS = 240


def routes(provider: StormyProvider) -> str:
    """One role falls back to the embedded model, so that its server has a part in it."""
    (scripted,) = json.loads(provider.models)["default"]
    return json.dumps({"default": [scripted], "reviewer": [scripted, {"model": "embedded"}]})


@pytest.mark.chaos
@pytest.mark.timeout(PLAN.seconds + 3 * PLAN.patience + STARTS_AND_ENDS_SECONDS)
async def test_whatever_dies_no_task_is_lost_no_call_is_paid_twice_and_nothing_is_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\nchaos: GOLDEN_CHAOS_SEED={PLAN.seed} GOLDEN_CHAOS_SECONDS={PLAN.seconds:g}", flush=True)
    values = {"reconcile_seconds": 2, "log_level": "warning", "model_timeout_seconds": MODEL_SECONDS}
    async with running_storm_of_answers(PLAN.seed, stall_seconds=MODEL_SECONDS + 2) as provider:
        async with running_golden(tmp_path, models=routes(provider), **values) as golden:
            storm = Storm(golden, provider, PLAN)
            try:
                await storm.rage()
                await storm.calm()
                await storm.findings()
            finally:
                with capsys.disabled():
                    print(storm.table(), flush=True)
        left = await gone(storm.owner, GONE_SECONDS)
    assert storm.found == []
    assert left == []
    assert storm.books.tasks
    assert storm.kills
