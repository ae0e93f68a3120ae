"""One proposal on one screen: what it changes, why, how it did, what happens on yes, and what to type."""

from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.approval_views import UNDECIDED, ApprovalView, CanaryNumbers
from gateway.terminal import line, plain, print_table, table_of, time_of
from schema.messages.learning import EvaluationReport, Pattern, PromptEvidence, WeightsDiff, WeightsEvidence

WIDTH = 80
CHANGES = {"add": "one guideline more", "change": "another guideline", "remove": "one guideline less"}
STATE_STYLES = {
    "pending": "bold magenta", "approved": "green", "canary": "cyan", "adopted": "green", "rejected": "yellow",
    "rolled_back": "bold red",
}  # fmt: skip


def show_approval(screen: Console, view: ApprovalView) -> None:
    """Print a proposal in at most 80 columns; what is long goes on in the next line."""
    screen.width = min(screen.width, WIDTH)
    screen.print(plain(f"proposal {view.id}", "bold"), plain(view.state, STATE_STYLES.get(view.state, "")))
    if view.kind == "prompt":
        _print_rows(screen, _who(view))
        screen.print()
        _print_rows(screen, _diff(view))
        screen.print()
    _print_rows(screen, _prompt_rows(view) if view.kind == "prompt" else _who(view))
    if view.kind == "weights":
        screen.print()
        print_table(screen, _weights_table(view))
        if view.on_yes:
            screen.print()
            _print_rows(screen, {"on yes": view.on_yes})
    _print_rows(screen, {"digest": view.digest})
    if view.state in UNDECIDED:
        screen.print()
        for act in ("approve", "reject") if view.state == "pending" else ("reject",):
            _print_line(screen, f'golden approvals {act} {view.id} --reason "…" \\')
            _print_line(screen, f"  --digest {view.digest}")


def _who(view: ApprovalView) -> dict[str, str | None]:
    if view.kind == "weights":
        changes = f"the weights of the {view.role}"
    else:
        changes = f"the {view.role}'s prompt: {CHANGES.get(str(view.diff.get('op')), 'its guidelines')}"
    expires = f", expires {time_of(view.expires_at)}" if view.state == "pending" and view.expires_at else ""
    decided = f"{time_of(view.decided_at)} by {view.decided_by}" if view.decided_by else None
    return {
        "changes": changes,
        "proposed": f"{time_of(view.proposed_at)} by {view.proposer}{expires}",
        "decided": decided,
        "reason": view.reason,
    }


def _diff(view: ApprovalView) -> dict[str, str | None]:
    before, after = (view.diff.get(name) for name in ("before", "after"))
    if before is None and after is None:
        return {"+": "(the supervisor has not worded it yet)"}
    return {"-": before, "+": after}


def _prompt_rows(view: ApprovalView) -> dict[str, str | None]:
    """What speaks for it and against it, each in a sentence."""
    told: dict[str, str | None] = dict(_evidence(view.evidence))
    told |= _evaluation(view.evaluation)
    if told.get("verdict") == view.reason:
        told["verdict"] = None  # it is the reason that stands above
    if view.state == "waiting":
        when = f", until {time_of(view.not_before)} at least" if view.not_before else ""
        told["waits"] = f"{view.waits_for or 'in line'}{when}"
    if view.escalated_at is not None and view.state == "pending":
        told["overdue"] = f"since {time_of(view.escalated_at)}"
    if view.canary is not None:
        told["trial"] = _trial(view.canary)
    if view.quorum > 1 and view.state in UNDECIDED:
        told["approvals"] = f"{view.approvals} of {view.quorum}"
    told["ended"] = view.ended
    told["on yes"] = view.on_yes
    return told


def _evidence(evidence: list[Any]) -> dict[str, str]:
    told: dict[str, str] = {}
    for each in evidence:
        try:
            read = PromptEvidence.model_validate(each)
        except ValidationError:
            continue
        if read.pattern is not None:
            told["why"] = _pattern(read.pattern)
        if read.said:
            told["said"] = read.said
    return told or {"why": "a person's proposal, without a reason"}


def _pattern(found: Pattern) -> str:
    return (
        f"{found.rule} failed in {found.failing} of {found.tasks} tasks of {found.window_days} days; by chance it "
        f"would in {found.base_rate:.1%} (p {_p(found.p_value)}, q {_p(found.q_value)} over all rules)"
    )


def _evaluation(evaluation: dict[str, Any] | None) -> dict[str, str]:
    if evaluation is None:
        return {"evaluated": "not yet"}
    try:
        found = EvaluationReport.model_validate(evaluation)
    except ValidationError:
        return {"verdict": line(evaluation.get("verdict", "unknown"))}
    if not found.pairs:
        return {"evaluated": "on no past task", "verdict": f"{found.verdict}: {found.why}"}
    low, high = found.interval
    return {
        "evaluated": (
            f"{found.pairs} pairs of runs on {found.tasks} past tasks: {found.better} did well only with the change, "
            f"{found.worse} only without it; {found.new} with it in all, {found.old} without it"
        ),
        "numbers": (
            f"McNemar's exact p {_p(found.p_value)}, by task {_p(found.p_tasks)}; difference "
            f"{100 * found.difference:+.1f} points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
        ),
        "verdict": f"{found.verdict}: {found.why}",
    }


def _trial(canary: CanaryNumbers) -> str:
    return (
        f"{canary.share} % of the new tasks: the role's first step failed in {canary.new.failed} of {canary.new.done} "
        f"with the change, in {canary.old.failed} of {canary.old.done} without it"
    )


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.0005 else f"{value:.0e}"


def _print_rows(screen: Console, rows: dict[str, str | None]) -> None:
    """Names and what they say, wrapped and never cut."""
    table = Table.grid(padding=(0, 1), pad_edge=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value is not None:
            style = {"+": "green", "-": "red"}.get(name, "")
            table.add_row(name, plain(line(value), style))
    if table.row_count:
        print_table(screen, table)


def _print_line(screen: Console, told: str) -> None:
    """A line that somebody copies: never wrapped."""
    screen.print(Text(told), soft_wrap=True)


def _weights_table(view: ApprovalView) -> Table:
    diff = WeightsDiff.model_validate(view.diff)
    records = {
        record.voter: record for each in view.evidence for record in WeightsEvidence.model_validate(each).records
    }
    table = table_of("voter", "weight now", "weight then", "right", "of", "Brier")
    for voter in sorted({*diff.before, *diff.after}):
        record = records.get(voter)
        known = ("", "", "") if record is None else (str(record.agreed), str(record.judged), _score(record.brier))
        before, after = diff.before.get(voter, 0), diff.after.get(voter, 0)
        table.add_row(plain(voter), f"{before / 100:.1f} %", f"{after / 100:.1f} %", *known)
    return table


def _score(brier: float | None) -> str:
    return "" if brier is None else f"{brier:.3f}"
