"""What guards and tests said where a pattern failed: a few words for whoever looks at it. Data, never orders."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import ValidationError
from sqlalchemy import select

from activities.failing_tests import failed_rules
from schema.characters import clean
from schema.errors import KeyMissing, SealBroken
from schema.messages.learning import Pattern
from schema.messages.sandbox import SandboxRun
from schema.messages.task import TaskResult
from schema.tables import tasks
from schema.texts import get_text

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

MOST_MESSAGES = 5
MOST_READ = 10
"""Results that are read for them, of the newest tasks."""

MAX_MESSAGE = 200


async def messages_of(connection: "AsyncConnection", tenant: str, pattern: Pattern) -> tuple[str, ...]:
    """Different messages of the rule from the failing tasks' results; what can't be read says nothing."""
    newest = pattern.task_ids[:MOST_READ]
    wanted = select(tasks.c.task_id, tasks.c.result).where(tasks.c.tenant == tenant, tasks.c.task_id.in_(newest))
    results = {row.task_id: row.result for row in await connection.execute(wanted)} if newest else {}
    found: dict[str, None] = {}
    for task_id in newest:
        if results.get(task_id) is None or len(found) >= MOST_MESSAGES:
            continue
        try:
            stored = await get_text(connection, tenant, results[task_id])
            result = TaskResult.model_validate_json(stored)
        except (KeyMissing, LookupError, SealBroken, ValidationError):
            continue
        found |= dict.fromkeys(_said(result, pattern.rule))
    return tuple(found)[:MOST_MESSAGES]


def _said(result: TaskResult, rule: str) -> Iterator[str]:
    for finding in result.findings:
        if f"{finding.guard}/{finding.rule}" == rule:
            yield _short(finding.message)
    for test in result.tests:
        if test.outcome != "passed" and test.message and rule.startswith("tests/"):
            run = SandboxRun(exit_code=1, tests=(test,), isolation=None)
            if rule in failed_rules(run):
                yield _short(test.message)


def _short(message: str) -> str:
    return " ".join(clean(message[: 4 * MAX_MESSAGE]).split())[:MAX_MESSAGE]
