"""What `golden result` prints of the guards: what was found, what was mended by whom, and what is left."""

from rich.console import Console
from rich.table import Table

from gateway.terminal import clean, line, plain, print_table, table_of
from schema.messages.sandbox import Finding
from schema.messages.task import FixView, FollowUp, TaskResult

SEVERITY_STYLES = {"high": "bold red", "medium": "yellow", "low": ""}
SEVERITIES = ("high", "medium", "low")
DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}
BY = {"deterministic": "tool", "model": "model"}


def show_mended(screen: Console, result: TaskResult, *, diffs: bool) -> None:
    """The counts, then the fixes with what each did and why, then what is left, then what may be done about it."""
    if not (result.findings or result.fixes or result.follow_ups):
        return
    _heading(screen, counts_of(result))
    if result.fixes:
        print_table(screen, _fixes(result.fixes))
    for fix in result.fixes if diffs else ():
        _show_diff(screen, fix)
    if result.findings:
        _heading(screen, "left")
        print_table(screen, _left(result.findings))
    if result.follow_ups:
        _heading(screen, "follow-ups")
        for number, each in enumerate(result.follow_ups, 1):
            screen.print(plain(_follow_up(result, number, each)), soft_wrap=True)


def counts_of(result: TaskResult) -> str:
    """Of the findings: how many there were, who mended how many, and how many are left."""
    by_tool, by_model = (
        sum(len(fix.findings) for fix in result.fixes if fix.kind == kind) for kind in ("deterministic", "model")
    )
    left = len(result.findings)
    found = by_tool + by_model + left
    return f"findings: {found} found, {by_tool} fixed by tool, {by_model} fixed by model, {left} left"


def _fixes(fixes: tuple[FixView, ...]) -> Table:
    table = table_of("fix", "by", "ended", "what it did", overflow="fold")
    for fix in fixes:
        # A repair of failing tests ended no finding.
        ended = ", ".join(sorted({finding.rule for finding in fix.findings})) or "failing tests"
        table.add_row(plain(line(fix.step)), BY[fix.kind], plain(line(ended)), plain(line(fix.sentence)))
    return table


def _left(findings: tuple[Finding, ...]) -> Table:
    table = table_of("severity", "guard", "rule", "where", "what", overflow="fold")
    for finding in sorted(findings, key=lambda each: (SEVERITIES.index(each.severity), each.file, each.line)):
        table.add_row(
            plain(finding.severity, SEVERITY_STYLES[finding.severity]),
            plain(line(finding.guard)),
            plain(line(finding.rule)),
            plain(line(where_of(finding))),
            plain(line(finding.message)),
        )
    return table


def where_of(finding: Finding) -> str:
    """`path:line`, or what of it is known."""
    return f"{finding.file}:{finding.line}" if finding.line else finding.file


def _show_diff(screen: Console, fix: FixView) -> None:
    if not fix.diff.strip():
        return
    _heading(screen, f"diff of {fix.step}")
    for text in clean(fix.diff).splitlines():
        screen.print(plain(text, DIFF_STYLES.get(text[:1], "")), soft_wrap=True)


def _follow_up(result: TaskResult, number: int, follow_up: FollowUp) -> str:
    then = (
        f"submit it: golden follow-up {result.task_id} {number}"
        if follow_up.task_id is None
        else f"submitted: golden watch {follow_up.task_id}"
    )
    why = f" ({line(follow_up.reason)})" if follow_up.reason else ""
    return f"  {number}. {line(follow_up.title)}{why}\n     {then}"


def _heading(screen: Console, text: str) -> None:
    screen.print()
    screen.print(plain(line(text), "bold"), soft_wrap=True)
