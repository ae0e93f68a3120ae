"""Asks a person where a vote did not decide, and waits: with a reminder and an end; who is silent rejects."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.escalations import EscalationActivities
    from activities.records import RecordActivities
    from schema.messages.steps import AgentTaskInput, EscalateInput, HumanDecision, ReadDecisionInput
    from schema.messages.vote import VotePolicy

from workflows.kinds import RECORD
from workflows.steps import durable_step, woken

HAS_AN_END = "a-decision-has-an-end"


class Wakes:
    """How often somebody said that a decision may be there: its row says, not the Signal."""

    def __init__(self) -> None:
        self.count = 0


async def ask_person(task: AgentTaskInput, question: EscalateInput, policy: VotePolicy, wakes: Wakes) -> HumanDecision:
    """Put the question, and wait for a decision whose row is there; silence until the policy's end rejects."""
    ends = workflow.now() + timedelta(seconds=policy.decide_within_seconds)
    limited = workflow.patched(HAS_AN_END)
    if limited:
        told = f"{question.question} Decide by {ends:%Y-%m-%d %H:%M} UTC; silence rejects."
        question = question.model_copy(update={"question": told})
    await durable_step(RECORD, RecordActivities.escalate, question, step="escalate", summary="ask a person")
    read = ReadDecisionInput(task_id=task.task_id, tenant=task.tenant)
    due = min(ends, workflow.now() + timedelta(seconds=policy.remind_after_seconds))
    seen = -1
    while True:
        left = (due - workflow.now()).total_seconds() if limited else None
        if not await woken(lambda: wakes.count > seen, left):  # noqa: B023 (read at once)
            if due == ends:
                return await _expire(read)
            due = ends
            await durable_step(
                RECORD, EscalationActivities.remind, read, step="remind", summary="remind those who may decide"
            )
            continue
        seen = wakes.count
        decision = await durable_step(
            RECORD, RecordActivities.read_decision, read, step=f"decision/{seen}", summary="read the decision"
        )
        if decision.decision is not None:
            return decision


async def _expire(read: ReadDecisionInput) -> HumanDecision:
    return await durable_step(
        RECORD, EscalationActivities.expire_decision, read, step="expire-decision", summary="nobody decided in time"
    )
