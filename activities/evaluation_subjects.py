"""Past tasks that both versions of a prompt are asked about. Nobody picks them: a hash puts them in order."""

from collections.abc import Sequence
from math import ceil
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.answers import read_candidate
from schema.messages.evaluation import Subject
from schema.messages.steps import Proof, Role
from schema.messages.task import TaskResult
from schema.messages.vote import Evidence, Voter
from schema.tables import task_steps
from schema.texts import get_text

SPARE = 3
"""For one past task that is wanted, so many are looked at: of some nobody knows any more what was voted on."""

MOST_SEEDS = 3
"""More of one task tell little: what they share is the task."""

ASKED_ABOUT_VOTES: frozenset[Role] = frozenset(get_args(Voter)) - {"architect"}
"""An architect votes too, but what it is for are its plans."""


async def find_subjects(
    connection: AsyncConnection, update_id: UUID, tenant: str, role: Role, behind: Sequence[UUID], most: int
) -> tuple[Subject, ...]:
    """Of each thing that was asked for, the newest ended task in which the role was asked, in the order of a hash.

    Voters are asked about what is known to have turned out well or badly.

    Args:
        behind: tasks that the proposal was made from: neither they nor others of the same content.
    """
    votes = role in ASKED_ABOUT_VOTES
    asked = {"of_tenant": tenant, "of_role": role, "behind": list(behind), "judged": votes}
    rows = await connection.execute(_PAST, {**asked, "of_update": str(update_id), "most": SPARE * most})
    found: list[Subject] = []
    for row in rows.all():
        subject = await (_of_vote if votes else _of_work)(connection, tenant, row)
        if subject is not None:
            found.append(subject)
    return tuple(found[:most])


def seeds_for(subjects: int, wanted: int) -> int:
    """So many runs of each subject that there are as many pairs as wanted, where that takes no more than a few."""
    return min(MOST_SEEDS, ceil(wanted / subjects)) if subjects else 1


async def _of_work(connection: AsyncConnection, _tenant: str, row: Any) -> Subject:
    return Subject(task_id=row.task_id, spec=row.spec, plan=await _plan(connection, row.task_id))


async def _of_vote(connection: AsyncConnection, tenant: str, row: Any) -> Subject | None:
    """What was voted on is what the result shows; its proof is among the task's steps."""
    if row.result is None:
        return None
    result = TaskResult.model_validate_json(await get_text(connection, tenant, row.result))
    for proof in await _proofs(connection, row.task_id):
        if read_candidate(await get_text(connection, tenant, proof.candidate)) == result.files:
            plan = await _plan(connection, row.task_id)
            return Subject(
                task_id=row.task_id,
                spec=row.spec,
                plan=plan,
                candidate=proof.candidate,
                report=proof.report,
                evidence=_evidence(proof, has_plan=plan is not None),
                good=row.good,
            )
    return None


def _evidence(proof: Proof, *, has_plan: bool) -> Evidence:
    """As `AgentTask` shows a proof to its voters."""
    return Evidence(
        tests_passed=proof.tests_passed,
        tests_failed=proof.tests_failed,
        findings=proof.findings,
        lines=proof.lines,
        has_plan=has_plan,
        stated=proof.isolation is None,
    )


async def _proofs(connection: AsyncConnection, task_id: UUID) -> list[Proof]:
    """The proofs of a task, the last one first."""
    step = task_steps.c
    done = select(step.result).where(step.task_id == task_id, step.state == "done", step.step.like("prove%"))
    found = await connection.scalars(done.order_by(step.ended_at.desc(), step.epoch.desc()))
    return [Proof.model_validate(each) for each in found]


async def _plan(connection: AsyncConnection, task_id: UUID) -> str | None:
    """The architect's answer, by reference; None where there was none."""
    step = task_steps.c
    done = select(step.result).where(step.task_id == task_id, step.state == "done", step.step == "plan")
    found = await connection.scalar(done.order_by(step.epoch.desc()).limit(1))
    return None if found is None else str(found["response"])


# What is known is a rollback, else tests, else a person's word, as in the view `judged_outcomes`.
_PAST = text("""
WITH known AS (
    SELECT DISTINCT ON (task_id) task_id, good FROM truths WHERE tenant = :of_tenant
     ORDER BY task_id, array_position(ARRAY['rollback', 'tests', 'human'], source))
SELECT * FROM (
SELECT DISTINCT ON (t.spec) t.task_id, t.spec, t.result, k.good
  FROM tasks t LEFT JOIN known k USING (task_id)
 WHERE t.tenant = :of_tenant AND t.kind = 'task' AND t.state IN ('accepted', 'rejected', 'failed')
   AND t.spec NOT IN (SELECT spec FROM tasks WHERE task_id = ANY(:behind))
   AND EXISTS (SELECT FROM outcomes o WHERE o.task_id = t.task_id AND o.tenant = :of_tenant AND o.role = :of_role)
   AND (NOT :judged OR k.good IS NOT NULL)
 ORDER BY t.spec, t.arrival DESC) past
 ORDER BY sha256(convert_to(:of_update || spec, 'UTF8')) LIMIT :most
""").bindparams(
    *(bindparam(name, type_=Text()) for name in ("of_tenant", "of_role", "of_update")),
    bindparam("behind", type_=ARRAY(Uuid())),
)
