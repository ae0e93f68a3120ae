"""What workflows say of themselves: the state in the search attributes, and sentences for whoever looks at them."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from schema.engine import GOLDEN_STATE
    from schema.messages.steps import MendResult, Proof
    from schema.messages.task import TaskState

MAX_SENTENCE = 1_000


def enter(state: TaskState) -> None:
    """Say where the task is, to whoever looks at it in Temporal's UI or lists workflows."""
    if workflow.info().typed_search_attributes.get(GOLDEN_STATE) == state.value:
        return
    workflow.upsert_search_attributes([GOLDEN_STATE.value_set(state.value)])
    workflow.set_current_details(_DETAILS[state])


_DETAILS = {
    TaskState.SUBMITTED: "Submitted.",
    TaskState.QUEUED: "Waiting for a slot of its tenant and for its budget.",
    TaskState.PLANNING: "The architect plans.",
    TaskState.DEVELOPING: "Developers write candidates in parallel.",
    TaskState.PROVING: "Candidates run the acceptance tests in the sandbox.",
    TaskState.REPAIRING: "The best candidate failed tests; the developer repairs it.",
    TaskState.VOTING: "The voters judge the best candidate.",
    TaskState.ESCALATED: "The vote did not decide. A person has to: `golden decide ID accept|reject`.",
    TaskState.PARKED: "A step is spent and waits for an operator: `golden dead-letters list`.",
    TaskState.ACCEPTED: "Accepted.",
    TaskState.REJECTED: "Rejected.",
    TaskState.FAILED: "Failed.",
    TaskState.CANCELLED: "Cancelled.",
}


def model_sentence(before: Proof, after: Proof) -> str:
    """What a developer's repair mended, in one sentence."""
    total = after.tests_passed + after.tests_failed
    if before.passed:
        found, left = len(before.findings), len(after.findings)
        return f"The developer rewrote the candidate from what guards found: {found} findings before, {left} after."
    return (
        f"The developer rewrote the candidate from its failing tests: {before.tests_passed} of {total} passed "
        f"before, {after.tests_passed} after."
    )


def tool_sentence(mended: MendResult) -> str:
    """What the remedies did and why, in one sentence."""
    told = "; ".join(remedy.sentence for remedy in mended.remedies) or "mended the candidate"
    return f"Golden {told[:MAX_SENTENCE]}."
