"""What `golden consensus` prints: who voted how, what it counted for and why, and what would have changed it."""

from rich.console import Console
from rich.table import Table

from gateway.cli_view import CHOICE_STYLES
from gateway.terminal import line, plain, print_table
from schema.messages.vote import CountedObjection, Explanation, VoterAccount


def show_vote(screen: Console, consensus: Explanation, task_id: str) -> None:
    """Everything there is to tell about a vote."""
    _tell(screen, f"vote on task {line(task_id)}: {consensus.outcome}", "bold")
    _tell(screen, line(consensus.summary))
    _tell(screen, _round_of(consensus))
    if consensus.veto is not None:
        _tell(screen, f"veto: {line(consensus.veto)}", "red")
    _tell(screen, _flip_of(consensus))
    screen.print()
    print_table(screen, _voter_table(consensus.voters))
    for voter in consensus.voters:
        _show_why(screen, voter)
    for index, counted in enumerate(consensus.objections):
        if index == 0:
            _tell(screen, "\nobjections", "bold")
        _tell(screen, _objection_of(counted))


def _tell(screen: Console, text: str, style: str = "") -> None:
    screen.print(plain(text, style), soft_wrap=True)


def _round_of(consensus: Explanation) -> str:
    needed = f"approval needs {consensus.threshold:.0%} of the weight, rejection {consensus.reject_threshold:.0%}"
    text = f"round {consensus.round}; {needed}, either at least {_count(consensus.quorum, 'ballot')} that carry weight"
    if consensus.round_one_outcome != consensus.outcome:
        text += f"; round 1 was {consensus.round_one_outcome}"
    return text


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _flip_of(consensus: Explanation) -> str:
    if not consensus.flip:
        return "no change of ballots would have changed the outcome"
    return f"another outcome would have taken: {'; '.join(line(change) for change in consensus.flip)}"


def _voter_table(voters: tuple[VoterAccount, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("voter", "ballot", "sure", "weight", "counted", "Banzhaf", "Shapley-Shubik", "pivotal"):
        table.add_column(name)
    for voter in voters:
        table.add_row(
            plain(voter.role),
            plain(voter.choice, CHOICE_STYLES.get(voter.choice, "")),
            "" if voter.confidence is None else f"{voter.confidence:.2f}",
            f"{voter.weight / 100:.0f} %",
            f"{voter.effective_weight / 100:.0f} %",
            f"{voter.banzhaf:.2f}",
            f"{voter.shapley_shubik:.2f}",
            "yes" if voter.pivotal else "no",
        )
    return table


def _show_why(screen: Console, voter: VoterAccount) -> None:
    without = f"without this ballot: {voter.outcome_without}" if voter.pivotal else ""
    for index, reason in enumerate(filter(None, (*voter.reasons, line(voter.rationale), without))):
        if index == 0:
            _tell(screen, f"\n{voter.role}")
        _tell(screen, f"  {line(reason)}")


def _objection_of(counted: CountedObjection) -> str:
    objection = counted.objection
    where = f" at {line(objection.where)}" if objection.where else ""
    cited = f", citing {', '.join(line(each) for each in objection.evidence)}" if objection.evidence else ""
    fate = "survives" if counted.survives else "does not survive"
    reason = f": {line(counted.reason)}" if counted.reason else ""
    return f"  {objection.severity} {objection.category}{where}{cited}: {fate}{reason}"
