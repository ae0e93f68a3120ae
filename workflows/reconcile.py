"""`Reconcile`: one pass that brings rows and workflows together again; run on a Schedule."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.reconcile import ReconcileActivities
    from schema.messages.steps import ReconcileResult


@workflow.defn(name="Reconcile")
class Reconcile:
    """Starts accepted tasks that have no workflow, closes rows whose workflow ended without them."""

    @workflow.run
    async def run(self) -> ReconcileResult:
        return await workflow.execute_activity_method(
            ReconcileActivities.reconcile,
            start_to_close_timeout=timedelta(minutes=30),
            heartbeat_timeout=timedelta(seconds=30),
            summary="one pass over the open tasks",
        )
