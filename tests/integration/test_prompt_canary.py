"""A version on trial: its tasks beside its parent's, harm rolled back by itself, and what is no part of the trial."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, text

from activities.canary import CanaryActivities
from schema.database import Database
from schema.learning_settings import LearningSettings
from schema.messages.learning import LearningApprovalInput, UpdateStanding
from schema.tables import prompt_moves, prompt_pointers, truths
from tests.support.audit import acts_of
from tests.support.http import tenant_name
from tests.support.learning import approve, can_update, row_of
from tests.support.prompt_updates import end_tasks, judged


class Trial:
    """A developer's version that was approved, and the tasks of its tenant."""

    def __init__(self, database: Database, wanted: LearningApprovalInput, canary: UUID, parent: UUID) -> None:
        self.database = database
        self.wanted = wanted
        self.versions = {"canary": canary, "parent": parent}

    async def look(self, **settings: Any) -> UpdateStanding:
        rules = LearningSettings(**{"canary_tasks": 5, **settings})
        return await CanaryActivities(self.database, rules).watch_canary(self.wanted)

    async def end_tasks(self, *failures: bool | None, of: str = "canary", **task: Any) -> list[UUID]:
        return await end_tasks(self.database, self.wanted.tenant, self.versions[of], *failures, **task)


async def begun(database: Database, ago: timedelta = timedelta()) -> Trial:
    wanted, _ = await judged(database, tenant_name(), "unclear")
    assert isinstance(await approve(database, wanted.update_id, at=datetime.now(UTC) - ago), UUID)
    row = await row_of(database, wanted.update_id)
    trial = Trial(database, wanted, row.version, row.parent_version)
    assert (await trial.look()).state == "canary"
    return trial


async def pointer_of(trial: Trial) -> tuple[UUID, UUID | None]:
    """The version in force, and that on trial."""
    mine = (prompt_pointers.c.tenant == trial.wanted.tenant, prompt_pointers.c.role == "developer")
    async with trial.database.service() as connection:
        found = await connection.execute(select(prompt_pointers.c.active, prompt_pointers.c.canary).where(*mine))
        active, canary = found.one()
    return active, canary


async def test_a_version_that_does_no_harm_is_adopted(database: Database) -> None:
    trial = await begun(database)
    await trial.end_tasks(*[False] * 12, of="parent")
    # With more candidates more steps fail, and no task the more for that.
    await trial.end_tasks(*[False] * 4, steps=3)
    assert ((await trial.look()).state, (await trial.look()).judged) == ("canary", 16)
    await trial.end_tasks(False)
    standing = await trial.look()

    assert (standing.state, standing.settled, standing.judged) == ("adopted", True, 17)
    assert await pointer_of(trial) == (trial.versions["canary"], None)
    told = [act for act in await acts_of(database, trial.wanted.tenant) if act.outcome == "adopted"]
    assert [act.actor for act in told] == ["golden"]
    assert "0 of 5 tasks failed with it, 0 of 12 with its parent" in (told[0].reason or "")


async def test_a_version_that_does_harm_is_rolled_back_and_nothing_is_tried_for_a_while(database: Database) -> None:
    trial = await begun(database)
    await trial.end_tasks(*[False] * 12, of="parent")
    await trial.end_tasks(*[True] * 5)
    standing = await trial.look(canary_tasks=20)

    assert (standing.state, standing.settled) == ("rolled_back", True)
    assert await pointer_of(trial) == (trial.versions["parent"], None)
    async with database.service() as connection:
        move = select(prompt_moves).where(prompt_moves.c.update_id == trial.wanted.update_id)
        last = (await connection.execute(move.order_by(prompt_moves.c.id.desc()).limit(1))).one()
        soon = await can_update(connection, trial.wanted.tenant, "developer", last.at + timedelta(hours=1.99))
    assert (last.kind, last.cooldown, last.actor) == ("rolled_back", True, "golden")
    assert "5 of 5 tasks failed with it, 0 of 12 with its parent" in last.reason
    assert "e-value" in last.reason
    assert not soon.allowed


async def test_what_was_admitted_before_or_came_to_no_end_tells_nothing(database: Database) -> None:
    trial = await begun(database)
    await trial.end_tasks(*[True] * 5, admitted=-timedelta(hours=1))
    await trial.end_tasks(*[True] * 5, state="cancelled")
    await trial.end_tasks(*[True] * 5, kind="learning")
    await trial.end_tasks(*[None] * 5)
    assert ((await trial.look()).state, (await trial.look()).judged) == ("canary", 0)


async def test_a_truth_that_is_known_later_is_believed(database: Database) -> None:
    trial = await begun(database)
    good = await trial.end_tasks(True, True, True, ballot="approve")
    async with database.service() as connection:
        known = [{"task_id": each, "source": "tests", "tenant": trial.wanted.tenant, "good": True, "actor": "ann"}
                 for each in good]  # fmt: skip
        await connection.execute(insert(truths), known)
    assert ((await trial.look()).state, (await trial.look()).judged) == ("canary", 3)


async def test_a_trial_of_which_little_is_known_ends_without_a_cooldown(database: Database) -> None:
    trial = await begun(database, ago=timedelta(hours=3))
    await trial.end_tasks(False, False)
    assert (await trial.look(canary_hours=4)).state == "canary"
    assert (await trial.look(canary_hours=3)).state == "rolled_back"

    async with database.service() as connection:
        move = select(prompt_moves.c.cooldown).where(prompt_moves.c.update_id == trial.wanted.update_id)
        assert not any(await connection.scalars(move))


async def test_a_trial_that_a_person_ends_is_over(database: Database) -> None:
    trial = await begun(database)
    await trial.end_tasks(True)
    async with database.service() as connection:
        values = {"version": trial.versions["parent"], "tenant": trial.wanted.tenant}
        back = "SELECT rollback_prompt('developer', :version, 'carl', 'it shouts', now(), :tenant)"
        await connection.execute(text(back), values)
    standing = await trial.look()
    assert (standing.state, standing.settled) == ("rolled_back", True)
