"""What `golden consensus` prints: a bar for each voter, what the vote turned on, and what would have changed it."""

import textwrap

from rich.console import Console
from rich.text import Text

from gateway import consensus_words as words
from gateway.cli_view import CHOICE_STYLES
from gateway.terminal import line, plain
from schema.explained import by_category
from schema.messages.vote import Explanation, VoterAccount

WIDTH = 80
"""No line is longer: it is read at a terminal of the usual width, and put into mails and tickets."""
BAR = 24
"""Characters of the heaviest voter's bar."""
COUNTS, LOST = "█", "░"


def show_vote(screen: Console, consensus: Explanation, task_id: str) -> None:
    """Everything there is to tell about a vote."""
    _tell(screen, f"vote on task {line(task_id)}: {consensus.outcome}", "bold")
    _tell(screen, consensus.summary)
    if consensus.veto is not None:
        _tell(screen, f"veto: {consensus.veto}", "red")
    if consensus.question is not None:
        _tell(screen, f"question: {consensus.question}", "bold magenta")
    for told in (words.rule_of(consensus), words.first_round_of(consensus), words.counted_of(consensus)):
        if told is not None:
            _tell(screen, told)
    _tell(screen, words.pivots_of(consensus))
    _tell(screen, words.flip_of(consensus))
    heaviest = max((voter.weight for voter in consensus.voters), default=0)
    for voter in consensus.voters:
        _show_voter(screen, voter, heaviest)
    _show_objections(screen, consensus)
    _show_list(screen, "late ballots", words.late_of(consensus.late))


def bar_of(voter: VoterAccount, heaviest: int) -> str:
    """A voter's weight as a bar: what counted, then what its ballot lost."""
    if heaviest == 0:
        return ""
    full, counted = (round(weight / heaviest * BAR) for weight in (voter.weight, voter.effective_weight))
    return COUNTS * counted + LOST * (full - counted)


def _show_voter(screen: Console, voter: VoterAccount, heaviest: int) -> None:
    screen.print()
    style = CHOICE_STYLES.get(voter.choice, "")
    row = Text.assemble(
        plain(f"{voter.role:<10}", "bold"),
        plain(f"{bar_of(voter, heaviest):<{BAR}}  ", style),
        plain(f"{words.ballot_of(voter):<13} ", style),
        words.weight_of(voter),
        "  ◆ pivotal" if voter.pivotal else "",
    )
    row.rstrip()
    screen.print(row, soft_wrap=True)
    record = words.record_of(voter)
    for told in (words.power_of(voter), *words.reasons_of(voter), *((record,) if record else ())):
        _tell(screen, told, "dim", indent="  ")
    if voter.rationale:
        _tell(screen, f"“{line(voter.rationale)}”", indent="  ")


def _show_objections(screen: Console, consensus: Explanation) -> None:
    for category, found in by_category(consensus).items():
        _show_list(screen, f"objections: {category}", tuple(words.objection_of(each) for each in found))


def _show_list(screen: Console, title: str, told: tuple[str, ...]) -> None:
    if told:
        screen.print()
        _tell(screen, title, "bold")
    for each in told:
        _tell(screen, each, indent="  ")


def _tell(screen: Console, text: str, style: str = "", indent: str = "") -> None:
    """A paragraph in lines of the terminal's width."""
    more = f"{indent}  " if indent else ""
    for part in textwrap.wrap(
        line(text), min(screen.width, WIDTH), initial_indent=indent, subsequent_indent=more, break_on_hyphens=False
    ):
        screen.print(plain(part, style), soft_wrap=True)
