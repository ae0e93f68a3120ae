"""A judged run counts as passed only with its control: the same tests, changed so that an honest program fails them.

What the candidate can do to pytest in its own process it does in the control too, where every test has to fail with a
token that it can't know. docs/sandbox.md has the reasons and what is left.
"""

import secrets
from collections import Counter
from typing import TYPE_CHECKING

from deploy.sandbox.guards import findings, looking, registry
from deploy.sandbox.guards.material import Material
from deploy.sandbox.judge import function_of
from schema.messages.sandbox import Finding, SandboxJob, SandboxRun, Usage

if TYPE_CHECKING:
    from activities.sandbox_pool import SandboxPool

LONGEST = 300
UNMOVED = (
    "this test passes as it stands and does not fail as it must when what it expects is changed:"
    " the program steers its own judging, or the test's outcome does not depend on the program"
)


async def judge(pool: "SandboxPool", job: SandboxJob) -> SandboxRun:
    """Run a job; one that passes is run again as a control, in another sandbox.

    Raises what `SandboxPool.run` raises.
    """
    run = await pool.run(job)
    if not run.passed:
        return with_test_findings(job, run)
    limits = job.limits.model_copy(update={"seconds": min(2 * job.limits.seconds, LONGEST)})
    changed = {"control": secrets.token_hex(8), "limits": limits, "guards": None, "given": None}
    control = await pool.run(job.model_copy(update=changed))
    return with_test_findings(job, confirmed(run, control))


def with_test_findings(job: SandboxJob, run: SandboxRun) -> SandboxRun:
    """A run whose guards looked, with what the guard of the tests says of it: only now are the outcomes final."""
    if job.guards is None:
        return run
    material = Material(job.files, job.given or {}, job.tests, [test.model_dump() for test in run.tests])
    policy = {str(name): said for name, said in job.guards.items()}
    found = [finding for guard in registry.AFTER for finding in looking.look(guard, material, policy)]
    told = findings.bounded([*(finding.model_dump() for finding in run.findings), *found])
    return run.model_copy(
        update={
            "findings": tuple(map(Finding.model_validate, told)),
            "weights": {**run.weights, **findings.weights(found)},
        }
    )


def confirmed(run: SandboxRun, control: SandboxRun) -> SandboxRun:
    """A run that passed, with what its control takes from it."""
    whole = run.model_copy(update={"usage": _sum(run.usage, control.usage)})
    if control.limit is not None:
        return whole.model_copy(update={"limit": control.limit, "exit_code": control.exit_code or 1})
    unconfirmed = _unconfirmed(run, control)
    if not unconfirmed:
        return whole
    # What the control saw is not told: it would show the next candidate how it is judged.
    failed = {"outcome": "failed", "message": UNMOVED}
    tests = tuple(test.model_copy(update=failed) if function_of(test.id) in unconfirmed else test for test in run.tests)
    return whole.model_copy(update={"tests": tests, "exit_code": 1})


def _unconfirmed(run: SandboxRun, control: SandboxRun) -> set[str]:
    """The test functions whose passes don't count."""
    given = Counter(function_of(test.id) for test in run.tests)
    found = Counter(function_of(test.id) for test in control.tests)
    failed = {function_of(test.id) for test in control.tests if test.outcome != "passed"}
    if not control.tests or failed - set(given):
        # A control that did not come to its end confirms nothing.
        return set(given)
    return {name for name in given if name in failed or found[name] != given[name]}


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        wall_seconds=one.wall_seconds + other.wall_seconds,
        cpu_seconds=one.cpu_seconds + other.cpu_seconds,
        peak_memory_mb=max(one.peak_memory_mb, other.peak_memory_mb),
    )
