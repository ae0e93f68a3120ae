"""The routes about budgets."""

from gateway import budget_check, budget_top_up, budgets
from gateway.authorisation import Permission
from gateway.operations import KEY_HEADER, Operation
from gateway.problems import BUDGET_EXHAUSTED, KEY_REUSED, NOT_FOUND, TASK_FINAL
from schema.messages.task import TaskView

BUDGET = "/v1/budgets/{tenant}"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path=BUDGET,
        permission=Permission.BUDGETS_READ,
        handler=budgets.show_budget,
        action="budgets.show",
        summary="Show a tenant's account",
        returns=budgets.BudgetView,
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="PUT",
        path=BUDGET,
        permission=Permission.BUDGETS_WRITE,
        handler=budgets.set_budget,
        summary="Set the limits of a tenant's account",
        takes=budgets.BudgetLimits,
        returns=budgets.BudgetView,
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="GET",
        path=f"{BUDGET}/entries",
        permission=Permission.BUDGETS_READ,
        handler=budgets.list_entries,
        action="budgets.list",
        summary="List the ledger's entries, newest first",
        query=budgets.EntryQuery,
        returns=budgets.EntryPage,
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="GET",
        path=f"{BUDGET}/check",
        permission=Permission.BUDGETS_READ,
        handler=budgets.check_budget,
        action="budgets.verify",
        summary="Check that the ledger agrees with itself",
        returns=budget_check.BudgetCheck,
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="POST",
        path="/v1/tasks/{task_id}/top-up",
        permission=Permission.BUDGETS_WRITE,
        handler=budget_top_up.top_up_task,
        action="tasks.top-up",
        summary="Raise a task's budget",
        takes=budget_top_up.TopUpRequest,
        returns=TaskView,
        headers=(KEY_HEADER,),
        problems=(NOT_FOUND, TASK_FINAL, BUDGET_EXHAUSTED, KEY_REUSED),
    ),
)
