"""`LearningScan`: one look for what fails too often; run on a Schedule."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.scan import ScanActivities
    from schema.messages.scan import ScanResult


@workflow.defn(name="LearningScan")
class LearningScan:
    """Makes a proposal of each pattern in the outcomes of the last days."""

    @workflow.run
    async def run(self) -> ScanResult:
        return await workflow.execute_activity_method(
            ScanActivities.scan,
            start_to_close_timeout=timedelta(minutes=30),
            heartbeat_timeout=timedelta(seconds=30),
            summary="one look for what fails too often",
        )
