"""Voters with a record, and proposals from it."""

from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from uuid_utils.compat import uuid7

from activities.learning import LearningActivities
from schema.database import Database
from schema.messages.learning import LearningApprovalInput
from schema.messages.vote import DEFAULT_WEIGHTS, VotePolicy
from schema.tables import accounts, ballots, learning_updates, tasks, tenant_policies, truths
from schema.texts import canonical_json, digest_of
from schema.weights import weights_digest

RIGHT = {"reviewer": 10, "security": 10, "tester": 10, "architect": 4}
"""Of every ten ballots, those that were right."""


async def vote_often(database: Database, tenant: str, votes: int = 30) -> None:
    """So many votes of a tenant whose truth is known: the architect is right in four of ten, the others always."""
    task_ids = [uuid7() for _ in range(votes)]
    async with database.service() as connection:
        await connection.execute(insert(accounts).values(tenant=tenant, slots=1))
        await connection.execute(
            insert(tasks),
            [
                {"task_id": task_id, "tenant": tenant, "title": "t", "spec": "0" * 64, "submitted_by": "ann",
                 "budget_tokens": 1_000, "state": "accepted"}
                for task_id in task_ids
            ],
        )  # fmt: skip
        await connection.execute(
            insert(truths),
            [
                {"task_id": task_id, "tenant": tenant, "source": "tests", "good": True, "actor": "ann"}
                for task_id in task_ids
            ],
        )
        await connection.execute(
            insert(ballots),
            [
                {"task_id": task_id, "vote": 1, "round": 1, "voter": voter, "tenant": tenant, "confidence": 0.9,
                 "choice": "approve" if number % 10 < RIGHT[voter] else "reject", "weight": DEFAULT_WEIGHTS[voter],
                 "effective_weight": DEFAULT_WEIGHTS[voter], "late": False}
                for number, task_id in enumerate(task_ids)
                for voter in DEFAULT_WEIGHTS
            ],
        )  # fmt: skip


def learning(database: Database, **hours: int) -> LearningActivities:
    """What the supervisor does, by our own default policy."""
    return LearningActivities(database, VotePolicy(), **{"expires_hours": 168, "remind_hours": 24, **hours})


async def pending(database: Database, tenant: str, **values: Any) -> LearningApprovalInput:
    """A proposal of weights that waits for a person."""
    diff = {"before": dict(DEFAULT_WEIGHTS), "after": {**DEFAULT_WEIGHTS, "architect": 1_000}}
    row = {
        "id": uuid7(),
        "tenant": tenant,
        "kind": "weights",
        "role": "voters",
        "state": "pending",
        "diff": diff,
        "evidence": [],
        "parent": weights_digest(DEFAULT_WEIGHTS),
        "digest": digest_of(canonical_json(diff)),
        "proposer": "ann",
        **values,
    }
    async with database.service() as connection:
        await connection.execute(insert(learning_updates).values(row))
    return LearningApprovalInput(update_id=UUID(str(row["id"])), tenant=tenant)


async def policy_of(database: Database, tenant: str) -> dict[str, Any] | None:
    """What the tenant's policy names."""
    async with database.service() as connection:
        found: dict[str, Any] | None = await connection.scalar(
            select(tenant_policies.c.policy).where(tenant_policies.c.tenant == tenant)
        )
    return found
