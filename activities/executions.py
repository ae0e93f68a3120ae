"""What a client's program was, and what came of it, in PostgreSQL."""

from schema.audit import AuditRecord, append
from schema.database import Database
from schema.messages.execution import ExecutionSpec, SandboxExecutionInput, SandboxExecutionResult
from schema.messages.sandbox import SandboxJob, SandboxRun
from schema.texts import canonical_json, get_text, put_text

RUN = "sandbox.run"


async def read_job(database: Database, execution: SandboxExecutionInput) -> SandboxJob:
    """The job that was accepted."""
    async with database.tenant(execution.tenant) as connection:
        spec = ExecutionSpec.model_validate_json(await get_text(connection, execution.tenant, execution.job))
    return SandboxJob(
        files=spec.files, tests=spec.tests, command=spec.command, limits=spec.limits, image=spec.image
    )  # fmt: skip


async def record_run(database: Database, execution: SandboxExecutionInput, run: SandboxRun) -> SandboxExecutionResult:
    """Store the report, and tell the audit log how the run ended, in one transaction."""
    async with database.tenant(execution.tenant) as connection:
        report = await put_text(
            connection,
            execution.tenant,
            canonical_json(run.model_dump(mode="json")),
            execution.execution_id,
            of_run=True,
        )
        record = AuditRecord(
            actor=execution.actor,
            role=execution.role,
            action=RUN,
            object=str(execution.execution_id),
            outcome=outcome_of(run),
            reason=f"{run.limit or f'exit code {run.exit_code}'}, isolation {run.isolation}",
            request_id=execution.request_id,
            digest=report,
        )
        await append(connection, execution.tenant, [record])
    return SandboxExecutionResult(report=report, exit_code=run.exit_code, limit=run.limit, isolation=run.isolation)


def outcome_of(run: SandboxRun) -> str:
    """`limit` where a limit ended it, `passed` or `failed` by its tests, `ended` where it had none to judge it."""
    if run.limit is not None:
        return "limit"
    if not run.tests:
        return "ended"
    return "passed" if run.passed else "failed"
