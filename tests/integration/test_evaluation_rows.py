"""What an evaluation is made on, and what it leaves: chosen by hash, its slot given back, its numbers in the row."""

import hashlib
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.accounts import Accounts
from activities.evaluation_stats import report_of
from schema.database import Database
from schema.errors import NotAdmitted, SealBroken
from schema.messages.evaluation import ChooseSubjectsInput, EvaluationInput, EvaluationSoFar, RecordEvaluationInput
from schema.messages.learning import EvaluationReport, PairRun, Pattern, PromptDiff, PromptEvidence
from schema.messages.steps import AgentTaskInput, Role
from schema.messages.task import TaskState
from schema.messages.vote import Evidence
from schema.prompts import read_changed_prompt, read_prompt
from schema.tables import accounts, learning_updates, tasks
from schema.texts import digest_of
from tests.support.http import tenant_name
from tests.support.learning import START, approve, pending_update, row_of
from tests.support.past import PLAN, chosen, evaluating, evaluation, past_task
from tests.support.prompt_updates import finish_canary, task_of

RUNS: tuple[PairRun, ...] = tuple((uuid4(), 0, number > 8, True) for number in range(1, 13))


def behind(*task_ids: UUID) -> PromptEvidence:
    """A pattern that these tasks show."""
    numbers = {"tasks": 9, "failing": 5, "base_rate": 0.05, "p_value": 0.001, "q_value": 0.01, "window_days": 14}
    return PromptEvidence(pattern=Pattern(rule="security/B602", role="developer", task_ids=task_ids, **numbers))


async def test_past_tasks_that_the_proposal_did_not_come_from_are_chosen(database: Database) -> None:
    tenant, other = tenant_name(), tenant_name()
    seen = await past_task(database, tenant, "seen")
    # What was asked for once more is the same thing: neither behind a proposal nor twice in an evaluation.
    await past_task(database, tenant, "seen")
    await past_task(database, tenant, "twice")
    newest = await past_task(database, tenant, "twice", state=TaskState.FAILED)
    once = await past_task(database, tenant, "once", state=TaskState.REJECTED)
    await past_task(database, tenant, "cancelled", state=TaskState.CANCELLED)
    await past_task(database, tenant, "running", state=TaskState.PROVING)
    await past_task(database, tenant, "a vote", kind="vote")
    await past_task(database, tenant, "another role's", role="tester")
    await past_task(database, other, "another tenant's")
    asked = await evaluating(database, tenant, evidence=behind(seen))

    assert {each.task_id for each in await chosen(database, asked)} == {newest, once}


async def test_a_hash_says_in_which_order(database: Database) -> None:
    tenant = tenant_name()
    for number in range(6):
        await past_task(database, tenant, f"task {number}")
    asked = await evaluating(database, tenant)
    whole = await chosen(database, asked)

    in_order = sorted(whole, key=lambda each: hashlib.sha256(f"{asked.update_id}{each.spec}".encode()).digest())
    assert (whole, len(whole)) == (in_order, 6)
    # What was chosen stays, whatever ends later.
    await past_task(database, tenant, "late")
    assert await chosen(database, asked, wanted=3) == whole


async def test_few_tasks_get_more_seeds_and_each_task_comes_before_any_comes_again(database: Database) -> None:
    tenant = tenant_name()
    for number in range(4):
        await past_task(database, tenant, f"task {number}")
    asked = await evaluating(database, tenant)
    part = ChooseSubjectsInput(evaluation=asked, begin=2, most=4)
    pairs = await evaluation(database, wanted=10).choose_subjects(part)

    assert [(pair.place, pair.seed) for pair in pairs.pairs] == [(3, 0), (4, 0), (1, 1), (2, 1)]
    assert pairs.left == 6
    assert pairs.choice is not None
    assert pairs.choice.models == {"developer": "openai:m"}


async def test_voters_are_asked_about_what_was_voted_on_where_its_truth_is_known(database: Database) -> None:
    tenant = tenant_name()
    await past_task(database, tenant, "unknown", "reviewer")
    known = await past_task(database, tenant, "known", "reviewer", human=True, tests=True, rollback=False)
    asked = await evaluating(database, tenant, "reviewer")
    (subject,) = await chosen(database, asked)

    assert (subject.task_id, subject.good, subject.plan) == (known, False, digest_of(PLAN))
    # Of the first candidate, which the result shows; the second, proven later, was not voted on.
    assert subject.evidence == Evidence(
        tests_passed=1, tests_failed=0, findings={"lint-1": "low"}, lines={"work.py": 2}
    )


@pytest.mark.parametrize("role", ["developer", "architect"])
async def test_a_proposal_that_is_not_evaluated_any_more_gets_no_tasks(database: Database, role: Role) -> None:
    tenant = tenant_name()
    await past_task(database, tenant, "task", role)
    asked = await evaluating(database, tenant, role)
    changed = asked.model_copy(update={"so_far": EvaluationSoFar(parent=uuid4())})
    assert await chosen(database, changed) == []
    elsewhere = asked.model_copy(update={"tenant": tenant_name()})
    assert await chosen(database, elsewhere) == []
    assert len(await chosen(database, asked)) == 1


async def recorded(database: Database, asked: EvaluationInput, parent: UUID) -> EvaluationReport:
    so_far = EvaluationSoFar(parent=parent, runs=RUNS, lost=2)
    made = RecordEvaluationInput(evaluation=asked, so_far=so_far, end="budget")
    return await evaluation(database).record_evaluation(made)


async def test_the_report_is_kept_with_its_pairs_and_whoever_has_them_gets_its_numbers(database: Database) -> None:
    asked = await evaluating(database, tenant_name())
    parent = (await row_of(database, asked.update_id)).parent_version
    async with database.service() as connection:
        spent = update(tasks).where(tasks.c.task_id == asked.update_id).values(spent_tokens=700)
        await connection.execute(spent)
    await recorded(database, asked, parent)

    kept = EvaluationReport.model_validate((await row_of(database, asked.update_id)).evaluation)
    again = report_of(asked.update_id, kept.runs, margin=0.05, min_tasks=8)
    numbers = {"why": kept.why, "tokens": 700}
    assert kept == again.model_copy(update=numbers)
    assert (kept.verdict, kept.runs) == ("better", RUNS)
    assert kept.why == f"{again.why}; 2 more pairs came to no end; its budget ended it"


@pytest.mark.parametrize(("role", "why"), [("developer", "no past task"), ("tester", "no past vote")])
async def test_why_nothing_could_be_compared_is_kept_with_the_proposal(
    database: Database, role: Role, why: str
) -> None:
    asked = await evaluating(database, tenant_name(), role)
    so_far = EvaluationSoFar(parent=(await row_of(database, asked.update_id)).parent_version)
    await evaluation(database).record_evaluation(RecordEvaluationInput(evaluation=asked, so_far=so_far, end="all"))

    kept = EvaluationReport.model_validate((await row_of(database, asked.update_id)).evaluation)
    assert (kept.verdict, kept.pairs) == ("unclear", 0)
    assert why in kept.why


async def test_a_report_for_another_parent_is_not_kept(database: Database) -> None:
    asked = await evaluating(database, tenant_name())
    await recorded(database, asked, uuid4())
    assert (await row_of(database, asked.update_id)).evaluation is None


async def slots_used(database: Database, tenant: str) -> int:
    async with database.service() as connection:
        used = await connection.scalar(select(accounts.c.slots_used).where(accounts.c.tenant == tenant))
    return int(used or 0)


async def test_an_evaluation_stands_in_line_and_takes_itself_out_of_it(database: Database) -> None:
    tenant = tenant_name()
    asked = await evaluating(database, tenant, slots=1)
    later = await evaluating(database, tenant, role="tester")
    door = evaluation(database)
    first, second = (AgentTaskInput(task_id=each.update_id, tenant=tenant) for each in (asked, later))
    await door.admit_learning(first)
    with pytest.raises(NotAdmitted):
        await door.admit_learning(second)
    # Who gives up in line is not admitted when there is room.
    await door.release_learning(second)
    await door.release_learning(first)

    assert await slots_used(database, tenant) == 0
    assert [(await task_of(database, each.task_id)).admitted for each in (first, second)] == [False, False]
    assert await Accounts(database, lambda tokens: tokens).admit(second) == 0


async def test_what_is_asked_with_before_an_approval_is_what_the_approval_makes(database: Database) -> None:
    tenant = tenant_name()
    diffs = (
        PromptDiff(op="add", after="Close files."),
        PromptDiff(op="add", after="Check types."),
        PromptDiff(op="change", before="Close files.", after="Close every file."),
        PromptDiff(op="remove", before="Check types."),
    )
    for number, diff in enumerate(diffs):
        update_id = await pending_update(database, tenant, diff=diff)
        parent = (await row_of(database, update_id)).parent_version
        async with database.tenant(tenant) as connection:
            tried = await read_changed_prompt(connection, parent, update_id)
        version = await approve(database, update_id, START + timedelta(hours=3 * number))
        assert isinstance(version, UUID)
        async with database.tenant(tenant) as connection:
            assert (await read_prompt(connection, version)).guidelines == tried.guidelines
        await finish_canary(database, update_id)


async def test_a_proposal_that_was_tampered_with_is_not_asked_with(database: Database, owner: AsyncEngine) -> None:
    tenant = tenant_name()
    one, other = await pending_update(database, tenant), await pending_update(database, tenant)
    guideline = (await row_of(database, other)).new_guideline
    async with owner.begin() as connection:
        await connection.execute(
            update(learning_updates).where(learning_updates.c.id == one).values(new_guideline=guideline)
        )
    parent = (await row_of(database, one)).parent_version
    async with database.tenant(tenant) as connection:
        with pytest.raises(SealBroken):
            await read_changed_prompt(connection, parent, one)
