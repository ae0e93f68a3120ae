"""What each step of a role came to, written where its task ends: what the supervisor learns from.

Everything here is from what is stored of the task. What can't be read of it counts as nothing known: that the task
ends matters more. An error of the database ends the transaction, as any of it does.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError
from sqlalchemy import BigInteger, Text, case, func, select
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.failing_tests import failed_rules
from schema.errors import BudgetExhausted, InvalidModelOutput, KeyMissing, SealBroken
from schema.messages.sandbox import SandboxRun
from schema.messages.steps import AskRoleResult, Proof
from schema.messages.task import TaskState
from schema.proposals import LEARNING
from schema.tables import model_calls, outcomes, task_steps
from schema.texts import get_texts

MAX_RULES = 50
ITS_OWN = frozenset({InvalidModelOutput.type, BudgetExhausted.type})
"""Errors of a step that its role's answers brought about."""

UNREADABLE = (SealBroken, KeyMissing, LookupError, ValidationError, ValueError)

Read = TypeVar("Read", bound=BaseModel)
_TEXTS = ARRAY(Text)
_Step = tuple[str, int]
"""A step and its epoch."""


@dataclass(frozen=True)
class StepCalls:
    """What the ledger has of one step's calls.

    Attributes:
        model, version: of the last call.
        input, output: tokens; of a call whose end nobody knows, what it was charged.
        priced: every settled call had a price.
    """

    role: str
    step: str
    epoch: int
    model: str
    version: str
    input: int
    output: int
    priced: bool


@dataclass(frozen=True)
class _Kept:
    """What is stored of a step: how it ended, the error's type if it failed, and what it came to."""

    state: str
    detail: str
    result: Any


@dataclass(frozen=True)
class _Work:
    """What is known of a task's steps. `proofs` and `reports` are by the candidate that they are about."""

    state: TaskState
    steps: Mapping[_Step, _Kept]
    proofs: Mapping[str, Proof]
    reports: Mapping[str, SandboxRun]


async def read_calls(connection: AsyncConnection, task_id: UUID) -> list[StepCalls]:
    """A task's calls by step."""
    each = model_calls.c
    # What nobody knows was charged at its estimate.
    estimate = case((each.state == "uncertain", each.reserved_tokens))
    last = (each.ask.desc(), each.dispatch.desc())
    rows = await connection.execute(
        select(
            each.role,
            each.step,
            each.epoch,
            func.array_agg(aggregate_order_by(each.model, *last), type_=_TEXTS).label("models"),
            func.array_agg(aggregate_order_by(each.prompt_version, *last), type_=_TEXTS).label("versions"),
            func.sum(func.coalesce(estimate, each.input_tokens, 0)).cast(BigInteger).label("input"),
            func.coalesce(func.sum(each.output_tokens), 0).cast(BigInteger).label("output"),
            func.bool_and((each.state != "settled") | each.micro_usd.is_not(None)).label("priced"),
        )
        .where(each.task_id == task_id)
        .group_by(each.role, each.step, each.epoch)
        .order_by(each.step, each.epoch)
    )
    return [
        StepCalls(row.role, row.step, row.epoch, row.models[0], row.versions[0], row.input, row.output, row.priced)
        for row in rows
    ]


async def write_outcomes(connection: AsyncConnection, task: Any, state: TaskState, calls: Sequence[StepCalls]) -> None:
    """One row for each step of a role that was asked. A proposal's own task has none.

    Args:
        task: its row.
        state: in which it ends.
    """
    if task.kind == LEARNING or not calls:
        return
    work = await _read_work(connection, task, state)
    repairs = len({each.step for each in calls if each.step.startswith("repair/")})
    rows = [
        {
            "task_id": task.task_id,
            "step": each.step,
            "epoch": each.epoch,
            "tenant": task.tenant,
            "role": each.role,
            "prompt_version": _version(each.version),
            "model": each.model,
            "spec": task.spec,
            "repair_rounds": repairs,
            "input_tokens": each.input,
            "output_tokens": each.output,
            **_judged(work, each),
        }
        for each in calls
    ]
    await connection.execute(insert(outcomes).values(rows).on_conflict_do_nothing())


async def _read_work(connection: AsyncConnection, task: Any, state: TaskState) -> _Work:
    steps = await _read_steps(connection, task.task_id)
    found = [_read(Proof, kept.result) for (step, _), kept in steps.items() if step.startswith("prove")]
    proofs = {proof.candidate: proof for proof in found if proof is not None}
    texts = await _read_reports(connection, task.tenant, list({proof.report for proof in proofs.values()}))
    reports = {candidate: run for candidate, proof in proofs.items() if (run := _run_of(texts.get(proof.report)))}
    return _Work(state, steps, proofs, reports)


async def _read_steps(connection: AsyncConnection, task_id: UUID) -> dict[_Step, _Kept]:
    each = task_steps.c
    plain, mine = (each.step, each.epoch, each.state, each.detail), each.task_id == task_id
    try:
        whole = (await connection.execute(select(*plain, each.result).where(mine))).all()
        return {(row.step, row.epoch): _Kept(row.state, row.detail, row.result) for row in whole}
    except UNREADABLE:
        # A result can't be opened: how the steps ended is told all the same, and nothing else.
        rows = (await connection.execute(select(*plain).where(mine))).all()
        return {(row.step, row.epoch): _Kept(row.state, row.detail, None) for row in rows}


async def _read_reports(connection: AsyncConnection, tenant: str, digests: Sequence[str]) -> dict[str, str]:
    """All that can be read, in one round trip where all of them can."""
    try:
        texts = await get_texts(connection, tenant, *digests)
    except UNREADABLE:
        if len(digests) == 1:
            return {}
        found: dict[str, str] = {}
        for digest in digests:
            found |= await _read_reports(connection, tenant, [digest])
        return found
    return {digest: text for digest, text in zip(digests, texts, strict=True) if text is not None}


def _judged(work: _Work, calls: StepCalls) -> dict[str, Any]:
    """What a step's row says of how good its work was."""
    kind = calls.step.partition("/")[0]
    judge = _JUDGES.get(kind)
    said: dict[str, Any] = {"rules": [], "findings": {}, "ballot": None, "failed": None}
    if judge is not None:
        said |= judge(work, work.steps.get((calls.step, calls.epoch), _Kept("", "", None)))
    # Nobody let it come to its end.
    return said | {"failed": None} if work.state is TaskState.CANCELLED else said


def _of_candidate(work: _Work, kept: _Kept) -> dict[str, Any]:
    """A developer's step, by the proof of its candidate."""
    answer = _read(AskRoleResult, kept.result)
    proof = None if answer is None else work.proofs.get(answer.response)
    if proof is None:
        return _of_spent(kept)
    failed = not proof.passed or any(severity != "low" for severity in proof.findings.values())
    report = work.reports.get(proof.candidate)
    if report is None:
        return {"failed": failed}
    # Which tests failed, and how, tells more than that some did; and it comes first, where there is too much to tell.
    named = [f"{each.guard}/{each.rule}" for each in report.findings if each.guard != "tests"]
    findings = dict(Counter([*failed_rules(report), *named]).most_common(MAX_RULES))
    return {"failed": failed, "findings": findings, "rules": sorted(findings)}


def _of_ballot(work: _Work, kept: _Kept) -> dict[str, Any]:
    """A voter's step, by what the task came to."""
    answer = _read(AskRoleResult, kept.result)
    choice = answer.ballot.choice if answer is not None and answer.ballot is not None else "absent"
    if work.state not in (TaskState.ACCEPTED, TaskState.REJECTED):
        return {"ballot": choice}
    if choice not in ("approve", "reject"):
        spent = _of_spent(kept).get("rules", [])
        return {"ballot": choice, "failed": True, "rules": [f"ballot/{choice}", *spent]}
    if (choice == "approve") is (work.state is TaskState.ACCEPTED):
        return {"ballot": choice, "failed": False}
    rule = "ballot/false-accept" if choice == "approve" else "ballot/false-reject"
    return {"ballot": choice, "failed": True, "rules": [rule]}


def _of_plan(work: _Work, _kept: _Kept) -> dict[str, Any]:
    """The architect's plan, by what the task came to."""
    if work.state in (TaskState.REJECTED, TaskState.FAILED):
        return {"failed": True, "rules": [f"task/{work.state.value}"]}
    return {"failed": False}


def _of_spent(kept: _Kept) -> dict[str, Any]:
    """Of a step without an answer: what was stopped, or found no provider or sandbox, says nothing of its role."""
    own = kept.state != "done" and kept.detail in ITS_OWN
    return {"failed": True, "rules": [f"step/{kept.detail}"]} if own else {}


def _version(named: str) -> UUID | None:
    """The version's id; a task of the release before names a hash."""
    try:
        return UUID(named)
    except ValueError:
        return None


def _read(wanted: type[Read], stored: Any) -> Read | None:
    try:
        return None if stored is None else wanted.model_validate(stored)
    except ValidationError:
        return None


def _run_of(stored: str | None) -> SandboxRun | None:
    try:
        return None if stored is None else SandboxRun.model_validate_json(stored)
    except ValidationError:
        return None


_JUDGES: dict[str, Callable[[_Work, _Kept], dict[str, Any]]] = {
    "develop": _of_candidate,
    "repair": _of_candidate,
    "ballot": _of_ballot,
    "plan": _of_plan,
}
