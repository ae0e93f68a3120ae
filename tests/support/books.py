"""The ledger added up by hand: rows read one by one, sums made here, so that no query of ours judges itself."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Table, select

from schema.database import Database
from schema.messages.task import FINAL_STATES, TaskState
from schema.tables import accounts, ledger_entries, model_calls, tasks

COLUMNS = ("held_tokens", "spent_tokens", "held_micro_usd", "spent_micro_usd")

Rows = list[dict[str, Any]]


class Books:
    """All rows of one tenant's ledger, of one moment."""

    def __init__(self, tenant: str, rows: dict[str, Rows]) -> None:
        self.tenant = tenant
        (self.account,) = rows["accounts"]
        self.tasks = {row["task_id"]: row for row in rows["tasks"]}
        self.calls = rows["model_calls"]
        self.entries = rows["ledger_entries"]

    def calls_of(self, task_id: UUID) -> Rows:
        mine = [call for call in self.calls if call["task_id"] == task_id]
        return sorted(mine, key=lambda call: (call["step"], call["epoch"], call["ask"], call["dispatch"]))

    def faults(self) -> list[str]:
        """What does not agree; empty where every sum is right."""
        return [*self._account_faults(), *(told for row in self.tasks.values() for told in self._task_faults(row))]

    def _account_faults(self) -> Iterable[str]:
        on_tenant = [entry for entry in self.entries if entry["account"] == "tenant"]
        for name in COLUMNS:
            yield from _differing(f"account.{name}", self.account[name], _sum(on_tenant, name))
        admitted = [row for row in self.tasks.values() if row["admitted"]]
        yield from _differing("account.slots_used", self.account["slots_used"], len(admitted))
        for unit in ("tokens", "micro_usd"):
            charged = _sum(self.tasks.values(), f"charged_{unit}")
            yield from _differing(f"account.spent_{unit}", self.account[f"spent_{unit}"], charged)

    def _task_faults(self, row: dict[str, Any]) -> Iterable[str]:
        mine = [entry for entry in self.entries if entry["task_id"] == row["task_id"]]
        own = [entry for entry in mine if entry["account"] == "task"]
        for name in COLUMNS:
            yield from _differing(f"task.{name} by entries", row[name], _sum(own, name))
        calls = self.calls_of(row["task_id"])
        sent = [call for call in calls if call["state"] == "sent"]
        yield from _differing("task.held_tokens by calls", row["held_tokens"], _sum(sent, "reserved_tokens"))
        yield from _differing("task.held_micro_usd by calls", row["held_micro_usd"], _sum(sent, "reserved_micro_usd"))
        yield from _differing("task.spent_tokens by calls", row["spent_tokens"], sum(map(charge, calls)))
        closed = [entry for entry in mine if entry["account"] == "tenant"]
        for unit in ("tokens", "micro_usd"):
            yield from _differing(f"task.charged_{unit}", row[f"charged_{unit}"], _sum(closed, f"spent_{unit}"))
            if not row["admitted"]:
                yield from _differing(f"hold of {unit} without a slot", 0, _sum(closed, f"held_{unit}"))
            if TaskState(row["state"]) in FINAL_STATES:
                yield from _differing(f"final charge of {unit}", row[f"charged_{unit}"], row[f"spent_{unit}"])
        if TaskState(row["state"]) in FINAL_STATES:
            yield from _differing("final slot", row["admitted"], False)
            yield from _differing("final hold", (row["held_tokens"], row["held_micro_usd"], len(sent)), (0, 0, 0))


def charge(call: dict[str, Any]) -> int:
    """Tokens that a call was charged."""
    if call["state"] == "settled":
        return int((call["input_tokens"] or 0) + (call["output_tokens"] or 0))
    return int(call["reserved_tokens"]) if call["state"] == "uncertain" else 0


async def books_of(database: Database, tenant: str) -> Books:
    """The books of a tenant."""
    async with database.service() as connection:
        # One snapshot, so that what is under way is no fault.
        await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        rows: dict[str, Rows] = {}
        for table in (accounts, tasks, model_calls, ledger_entries):
            found = await connection.execute(select(*_columns(table)).where(table.c.tenant == tenant))
            rows[table.name] = [dict(row._mapping) for row in found]
    return Books(tenant, rows)


def _columns(table: Table) -> list[Any]:
    unread: Callable[[str], bool] = {"title", "reason", "spec", "invalid"}.__contains__
    return [column for column in table.c if not unread(column.name)]


def _sum(rows: Iterable[dict[str, Any]], name: str) -> int:
    return sum(row[name] or 0 for row in rows)


def _differing(what: str, found: Any, expected: Any) -> Iterable[str]:
    if found != expected:
        yield f"{what}: {found}, by hand {expected}"
