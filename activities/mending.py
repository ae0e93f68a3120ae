"""Has the remedies of the sandbox mend a candidate. What comes of it is a candidate like any other: to be proven."""

from typing import TYPE_CHECKING

from temporalio import activity

from activities.sandbox import with_heartbeat
from activities.tracing import in_sandbox_span
from schema.messages.sandbox import Mended, SandboxJob, SandboxRun
from schema.messages.steps import MendInput, MendResult

if TYPE_CHECKING:
    from activities.sandbox_pool import SandboxPool
    from activities.store import TaskStore


class MendingActivities:
    """Deterministic repairs, in the sandbox pool of this worker."""

    def __init__(self, store: "TaskStore", pool: "SandboxPool") -> None:
        self._store = store
        self._pool = pool

    @activity.defn(name="mend")
    async def mend(self, mend: MendInput) -> MendResult:
        """A candidate after the remedies that answer its findings; nothing of it is run.

        Raises:
            SandboxBusy, SandboxUnavailable: try again later.
            IsolationRequired: the required isolation is not there.
            TaskGone: the task is unknown or final.
        """
        from activities.answers import canonical_candidate, read_candidate
        from schema.texts import digest_of

        opened = await self._store.begin_proof(mend.ref, mend.state, mend.candidate)
        spec = opened.spec
        if spec is None:
            return MendResult.model_validate(opened.result)
        (report,) = await self._store.texts(mend.ref.tenant, mend.report)
        files = read_candidate(opened.candidate)
        job = SandboxJob(
            kind="mend",
            files=files,
            tests=spec.tests,
            given=spec.files,
            command=spec.command,
            image=spec.image,
            findings=SandboxRun.model_validate_json(report or "").findings,
            gentle=mend.gentle,
        )
        run = await with_heartbeat(in_sandbox_span(job, self._pool.run(job)))
        better = mended_files(job, run.mended)
        if better == files:
            result, texts = MendResult(), []
        else:
            text = canonical_candidate(better)
            result = MendResult(candidate=digest_of(text), remedies=run.mended.remedies if run.mended else ())
            texts = [text]
        first = await self._store.finish_step(mend.ref, result, texts=texts)
        return result if first is None else MendResult.model_validate(first)


def mended_files(job: SandboxJob, unverified: Mended | None) -> dict[str, str]:
    """The candidate's files with what came back of those that may be mended: the sandbox decides nothing of that."""
    from activities.answer_types import MAX_FILE_CHARACTERS
    from deploy.sandbox.guards.material import Material
    from deploy.sandbox.remedies.mending import may_be_mended

    files = dict(job.files)
    material = Material(job.files, job.given or {}, job.tests)
    for path, text in (unverified.files if unverified else {}).items():
        if path in material.changed and may_be_mended(path, material) and len(text) <= MAX_FILE_CHARACTERS:
            files[path] = text.replace("\x00", "")
    return files
