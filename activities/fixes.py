"""Fixes as they are shown and audited: what changed, why, and which findings it ended."""

import difflib
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.answers import read_candidate
from schema.audit import AuditRecord
from schema.messages.sandbox import Finding, SandboxRun
from schema.messages.steps import KeptFix
from schema.messages.task import FixView
from schema.texts import digest_of, get_texts

MAX_DIFF = 20_000
"""Characters of a diff that are shown."""
MAX_LINES = 3_000
"""Lines of a file beyond which its diff is not made: it takes time that grows with their square."""
MAX_ENDED = 50
FIXED = "task.fix"


async def fix_views(connection: AsyncConnection, tenant: str, fixes: Sequence[KeptFix]) -> tuple[FixView, ...]:
    """The kept fixes with their diffs, made of the stored candidates and reports."""
    views = []
    for fix in fixes:
        candidates = await get_texts(connection, tenant, fix.before, fix.after)
        reports = await get_texts(connection, tenant, fix.report_before, fix.report_after)
        before, after = [{} if text is None else read_candidate(text) for text in candidates]
        views.append(
            FixView(
                step=fix.step,
                kind=fix.kind,
                sentence=fix.sentence,
                diff=diff_of(before, after),
                findings=_ended(*reports),
            )
        )
    return tuple(views)


def fix_record(task_id: UUID, fix: FixView) -> AuditRecord:
    """What the audit log is told of a kept fix: its diff by digest."""
    return AuditRecord(
        actor="golden",
        action=FIXED,
        object=f"{task_id}/{fix.step}",
        outcome="kept",
        reason=fix.sentence,
        digest=digest_of(fix.diff),
    )


def diff_of(before: dict[str, str], after: dict[str, str]) -> str:
    """What changed, in unified form, within bounds."""
    parts = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path, ""), after.get(path, "")
        if old != new:
            parts.append(_file_diff(path, old, new))
    whole = "".join(parts)
    if len(whole) <= MAX_DIFF:
        return whole
    return f"{whole[:MAX_DIFF]}\n[cut: {len(whole) - MAX_DIFF:,} characters more]\n"


def _file_diff(path: str, old: str, new: str) -> str:
    olds, news = old.splitlines(keepends=True), new.splitlines(keepends=True)
    if max(len(olds), len(news)) > MAX_LINES:
        return f"--- a/{path}\n+++ b/{path}\n[too long to compare: {len(olds):,} lines before, {len(news):,} after]\n"
    lines = []
    for line in difflib.unified_diff(olds, news, f"a/{path}", f"b/{path}"):
        lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(lines)


def _ended(before: str | None, after: str | None) -> tuple[Finding, ...]:
    """The findings of the first report that the second has no more."""
    if before is None or after is None:
        return ()
    left = {finding.id for finding in SandboxRun.model_validate_json(after).findings}
    ended = [finding for finding in SandboxRun.model_validate_json(before).findings if finding.id not in left]
    return tuple(ended[:MAX_ENDED])
