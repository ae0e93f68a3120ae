"""Votes on record: their ballots as rows, what became known of them, and the voters' records that come of it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from temporalio.testing import ActivityEnvironment

from activities.accounts import Accounts
from activities.admission import AdmissionActivities
from activities.store import TaskStore
from activities.votes import VoteActivities
from schema.database import Database
from schema.messages.consensus import CastBallot, RecordVoteInput
from schema.messages.steps import AgentTaskInput, StepRef
from schema.messages.vote import Ballot, Choice, Evidence, VotePolicy, Voter, VoterRecord
from schema.tables import ballots, tenant_policies
from schema.truths import Source, read_records, record_truth
from tests.support.http import client, submit, tenant_name
from workflows.tally import ballots_of, tally

Token = Callable[..., str]
PASSED = Evidence(tests_passed=1, tests_failed=0, lines={"a.py": 1}, findings={"F1": "low"})
CONFIDENCE = 0.9


class Votes:
    """Votes of one tenant, held by hand and recorded by the activity."""

    def __init__(self, url: str, token: Token, database: Database) -> None:
        self.tenant = tenant_name()
        self.database = database
        self._url, self._token = url, token
        self._activities = VoteActivities(TaskStore(database))

    async def task(self, **changes: Any) -> UUID:
        async with client(self._url, self._token("developer", self.tenant)) as http:
            return UUID((await submit(http, **changes))["task_id"])

    async def record(self, task_id: UUID, *rounds: dict[Voter, Choice]) -> str:
        """Record a vote of these rounds; returns its outcome as it is on record."""
        counted = [
            tally(
                VotePolicy(),
                PASSED,
                [
                    CastBallot(
                        voter=voter,
                        ballot=Ballot(choice=choice, confidence=CONFIDENCE, rationale="", evidence=("diff",)),
                    )
                    for voter, choice in choices.items()
                ],
                number=number,
            )
            for number, choices in enumerate(rounds, 1)
        ]
        vote = RecordVoteInput(
            ref=StepRef(task_id=task_id, tenant=self.tenant, step="vote/1"),
            explanation=counted[-1],
            ballots=tuple(row for each in counted for row in ballots_of(each)),
        )
        recorded = await ActivityEnvironment().run(self._activities.record_vote, vote)
        return str(recorded.outcome)

    async def rows(self, task_id: UUID) -> list[tuple[int, str, str]]:
        asked = select(ballots.c.round, ballots.c.voter, ballots.c.choice).where(ballots.c.task_id == task_id)
        async with self.database.tenant(self.tenant) as connection:
            found = await connection.execute(asked.order_by(ballots.c.round, ballots.c.voter))
            return [tuple(row) for row in found]

    async def turned_out(self, task_id: UUID, source: Source, *, good: bool) -> bool:
        async with self.database.tenant(self.tenant) as connection:
            return await record_truth(connection, task_id, self.tenant, source, good=good, actor="ann")

    async def records(self) -> dict[str, VoterRecord]:
        async with self.database.tenant(self.tenant) as connection:
            return {record.voter: record for record in await read_records(connection, self.tenant)}


@pytest.fixture
def votes(gateway_url: str, token: Token, database: Database) -> Votes:
    return Votes(gateway_url, token, database)


async def test_every_ballot_of_every_round_is_one_row_however_often_it_is_recorded(votes: Votes) -> None:
    task_id = await votes.task()
    rounds: list[dict[Voter, Choice]] = [{"tester": "abstain"}, {"tester": "approve", "reviewer": "approve"}]
    assert await votes.record(task_id, *rounds) == "approved"
    # As after a reset, when the voters were asked again and said otherwise.
    assert await votes.record(task_id, {"tester": "abstain", "security": "abstain"}) == "approved"
    assert await votes.rows(task_id) == [(1, "tester", "abstain"), (2, "reviewer", "approve"), (2, "tester", "approve")]


async def test_a_record_is_of_the_last_round_that_counted_and_of_what_became_known(votes: Votes) -> None:
    first, second, unknown = [await votes.task() for _ in range(3)]
    await votes.record(first, {"tester": "approve", "reviewer": "reject"}, {"tester": "reject", "reviewer": "reject"})
    await votes.record(second, {"tester": "approve", "reviewer": "reject"})
    await votes.record(unknown, {"tester": "approve", "reviewer": "approve", "security": "abstain"})
    await votes.turned_out(first, "human", good=True)
    await votes.turned_out(second, "human", good=True)

    found = await votes.records()
    assert set(found) == {"tester", "reviewer"}
    tester, reviewer = found["tester"], found["reviewer"]
    assert (tester.judged, tester.agreed, reviewer.judged, reviewer.agreed) == (2, 1, 2, 0)
    assert tester.brier == pytest.approx(((CONFIDENCE - 0) ** 2 + (CONFIDENCE - 1) ** 2) / 2)
    assert (tester.shared, tester.same) == ({"reviewer": 3}, {"reviewer": 2})
    assert reviewer.same == {"tester": 2}


async def test_a_rollback_is_above_tests_and_tests_are_above_a_person(votes: Votes) -> None:
    task_id = await votes.task()
    await votes.record(task_id, {"tester": "approve", "reviewer": "approve"})

    async def agreed() -> int:
        return (await votes.records())["tester"].agreed

    await votes.turned_out(task_id, "rollback", good=False)
    assert await agreed() == 0
    await votes.turned_out(task_id, "tests", good=True)
    await votes.turned_out(task_id, "human", good=True)
    assert await agreed() == 0
    await votes.turned_out(task_id, "rollback", good=True)
    assert await agreed() == 1
    assert (await votes.records())["tester"].judged == 1


async def test_nothing_becomes_known_of_another_tenants_task(votes: Votes, gateway_url: str, token: Token) -> None:
    theirs = Votes(gateway_url, token, votes.database)
    assert not await votes.turned_out(await theirs.task(), "human", good=True)


async def test_a_task_is_admitted_with_its_tenants_policy_under_its_own(votes: Votes) -> None:
    task_id = await votes.task(policy={"quorum": 3})
    policy = {"quorum": 2, "threshold": 0.8, "rounds": 1}
    async with votes.database.tenant(votes.tenant) as connection:
        await connection.execute(tenant_policies.insert().values(tenant=votes.tenant, policy=policy, updated_by="ann"))
    accounts = Accounts(votes.database, lambda _tokens: 0)
    admission = AdmissionActivities(TaskStore(votes.database), accounts, VotePolicy(rounds=2, veto=False))
    task = AgentTaskInput(task_id=task_id, tenant=votes.tenant)
    admitted = (await ActivityEnvironment().run(admission.admit, task)).policy
    assert (admitted.quorum, admitted.threshold, admitted.rounds, admitted.veto) == (3, 0.8, 1, False)
