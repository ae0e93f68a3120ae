"""What `golden result` and `golden tasks` print: tables and code, with nothing that a terminal would obey."""

from collections.abc import Iterable

from rich.console import Console
from rich.syntax import Syntax

from gateway.cli_mended import show_mended
from gateway.cli_view import CHOICE_STYLES, STATE_STYLES
from gateway.terminal import clean, elide, line, plain, print_table, table_of, time_of
from schema.messages.sandbox import TestOutcome
from schema.messages.task import RoleTokens, TaskResult, TaskView
from schema.messages.vote import Explanation

OUTCOME_STYLES = {"passed": "green", "skipped": "yellow"}
MAX_FAILURE_LINES = 6
MAX_FAILURE_WIDTH = 200
MIN_ID_WIDTH = 20
OTHER_COLUMNS = len("  outcome  seconds")


def show_result(screen: Console, result: TaskResult, *, diffs: bool = False) -> None:
    """Code, test report, findings and their fixes, votes and tokens of a final task."""
    state = result.state.value
    screen.print(plain(state, STATE_STYLES.get(state, "bold")), end="")
    screen.print(plain(f": {line(result.reason)}" if result.reason else ""))
    for path, text in result.files.items():
        _show_file(screen, path, text)
    if result.tests:
        _show_tests(screen, result.tests)
    show_mended(screen, result, diffs=diffs)
    if result.consensus is not None:
        _show_consensus(screen, result.consensus)
    if result.tokens:
        _show_tokens(screen, result.tokens)
    if result.isolation is not None:
        screen.print(plain(f"proven under {result.isolation}"))
    elif result.tests or result.findings:
        screen.print(plain("the evidence is as its submitter states it: nothing was run here"))


def show_tasks(screen: Console, tasks: Iterable[TaskView]) -> None:
    """One line a task."""
    table = table_of("task", "state", "submitted", "by", "title")
    table.columns[0].no_wrap = True
    for task in tasks:
        state = task.state.value
        table.add_row(
            str(task.task_id),
            plain(state, STATE_STYLES.get(state, "")),
            time_of(task.submitted_at),
            plain(task.submitted_by),
            plain(line(task.title if task.kind == "task" else f"{task.kind}: {task.title}")),
        )
    print_table(screen, table)


def _show_file(screen: Console, path: str, text: str) -> None:
    _heading(screen, path)
    code = clean(text)
    if screen.is_terminal:
        lexer = Syntax.guess_lexer(path, code)
        screen.print(Syntax(code, lexer, theme="ansi_dark", background_color="default", word_wrap=True))
    else:
        screen.print(plain(text), soft_wrap=True, end="" if text.endswith("\n") else "\n")


def _show_consensus(screen: Console, consensus: Explanation) -> None:
    """Who voted how, what it counted for and why."""
    table = table_of("voter", "ballot", "weight", "counted", "pivotal", "why")
    for voter in consensus.voters:
        why = "; ".join((*voter.reasons, voter.rationale)) if voter.rationale else "; ".join(voter.reasons)
        table.add_row(
            plain(voter.role),
            plain(voter.choice, CHOICE_STYLES.get(voter.choice, "")),
            f"{voter.weight / 100:.0f} %",
            f"{voter.effective_weight / 100:.0f} %",
            "yes" if voter.pivotal else "no",
            plain(line(why)[:200]),
        )
    _heading(screen, f"vote: {consensus.outcome}")
    print_table(screen, table)
    screen.print(plain(line(consensus.summary)), soft_wrap=True)


def _show_tests(screen: Console, tests: tuple[TestOutcome, ...]) -> None:
    passed = sum(test.outcome == "passed" for test in tests)
    table = table_of("test", "outcome", "seconds")
    for test in tests:
        style = OUTCOME_STYLES.get(test.outcome, "red")
        shown = elide(line(test.id), max(MIN_ID_WIDTH, screen.width - OTHER_COLUMNS))
        table.add_row(plain(shown), plain(test.outcome, style), f"{test.seconds:.2f}")
    _heading(screen, f"tests: {passed} of {len(tests)} passed")
    print_table(screen, table)
    for test in tests:
        if test.message.strip() and test.outcome != "passed":
            screen.print()
            title = plain(f"{test.outcome}: {line(test.id)}", OUTCOME_STYLES.get(test.outcome, "red"))
            screen.print(title, soft_wrap=True)
            for told in _lines_of_failure(test.message):
                screen.print(plain(f"  {told}"), soft_wrap=True)


def _lines_of_failure(message: str) -> list[str]:
    """What went wrong, in a few lines: those that pytest marks with an E, else the last ones."""
    lines = [text.rstrip() for text in clean(message).splitlines() if text.strip()]
    marked = [text[1:].removeprefix("   ").rstrip() for text in lines if text == "E" or text.startswith("E  ")]
    told = [text for text in marked if text.strip()][:MAX_FAILURE_LINES] or lines[-MAX_FAILURE_LINES:]
    indent = min((len(text) - len(text.lstrip()) for text in told), default=0)
    return [elide(text[indent:], MAX_FAILURE_WIDTH) for text in told]


def _show_tokens(screen: Console, tokens: dict[str, RoleTokens]) -> None:
    table = table_of("role", "tokens in", "tokens out")
    for role, used in tokens.items():
        table.add_row(plain(role), f"{used.input:,}", f"{used.output:,}")
    table.add_row("all", f"{sum(u.input for u in tokens.values()):,}", f"{sum(u.output for u in tokens.values()):,}")
    _heading(screen, "tokens")
    print_table(screen, table)


def _heading(screen: Console, text: str) -> None:
    screen.print()
    screen.print(plain(line(text), "bold"), soft_wrap=True)
