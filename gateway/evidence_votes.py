"""Counts a bundle's votes again, and looks at who voted."""

from typing import get_args

from activities.answers import read_candidate
from activities.evidence import vote_of
from schema.evidence import Bundle, RunFact, VoteFact, VoterFact
from schema.messages.consensus import CastBallot
from schema.messages.sandbox import SandboxRun
from schema.messages.vote import Ballot, Evidence, Explanation, Reduction, VotePolicy, Voter
from workflows.deciding import Cast, decide, least_flip, weigh
from workflows.power import banzhaf, shapley_shubik
from workflows.tally import tally
from workflows.weighing import effective_votes, exact


def eligibility(bundle: Bundle) -> list[str]:
    """Each voter votes once a round, with the weight of the policy, and its ballot is an answer that was paid for."""
    body = bundle.body
    faults = []
    seen = [(ballot.vote, ballot.round, ballot.voter) for ballot in body.ballots]
    if seen != sorted(set(seen)):
        faults.append("a voter is there twice in a round")
    for ballot in body.ballots:
        step = f"ballot/{ballot.voter}/{ballot.round}"
        answered = any(call.step == step and call.role == ballot.voter and call.response for call in body.calls)
        if ballot.choice != "absent" and not answered:
            faults.append(f"the {ballot.voter}'s ballot of round {ballot.round} is no answer of a model")
    for vote in body.votes:
        roles = [voter.role for voter in vote.voters]
        if len(set(roles)) != len(roles) or not set(roles) <= set(get_args(Voter)):
            faults.append("somebody votes twice, or who is no voter")
        faults += _rows(bundle, vote)
    known = {vote.number for vote in body.votes}
    return faults + [
        f"ballots are of vote {number}, which is not there" for number in {b.vote for b in body.ballots} - known
    ]


def _rows(bundle: Bundle, vote: VoteFact) -> list[str]:
    """The ballots' rows and the explanation say the same of the round that decided."""
    rows = {b.voter: b for b in bundle.body.ballots if (b.vote, b.round) == (vote.number, vote.round)}
    faults = []
    if rows and set(rows) != {voter.role for voter in vote.voters}:
        faults.append("the ballots on record are of other voters")
    for voter in vote.voters:
        row = rows.get(voter.role)
        said = (voter.choice, voter.confidence, voter.weight, voter.effective_weight)
        if row is not None and not row.late and said != (row.choice, row.confidence, row.weight, row.effective_weight):
            faults.append(f"the {voter.role}'s ballot on record is another")
        answers = {call.response for call in bundle.body.calls if call.step == f"ballot/{voter.role}/{vote.round}"}
        if voter.answer is not None and voter.answer not in answers:
            faults.append(f"the {voter.role}'s answer is of no call")
    return faults


def recount(bundle: Bundle) -> list[str]:
    """The outcome again from weights and sides; where texts are there, the whole explanation from the ballots."""
    faults = []
    for vote in bundle.body.votes:
        faults += _counted(bundle, vote)
        if vote.round > 1:
            faults += _first_round(bundle, vote)
        if bundle.content is not None:
            faults += _explained(bundle, vote)
    return faults


def _policy(vote: VoteFact, *, veto: bool = True) -> VotePolicy:
    return VotePolicy(
        voters={voter.role: voter.weight for voter in vote.voters},
        quorum=vote.quorum,
        threshold=vote.threshold,
        reject_threshold=vote.reject_threshold,
        veto=veto,
    )


def _cast(voter: VoterFact, vetoes: bool) -> Cast:
    own = (each for each in voter.reductions if each.rule != "agreement")
    reductions = tuple(Reduction(rule=each.rule, factor=each.factor, reason="") for each in own)
    return Cast(voter.role, voter.choice, voter.weight, vetoes, reductions)


def _counted(bundle: Bundle, vote: VoteFact) -> list[str]:
    policy = _policy(vote)
    records = {voter.role: voter.record for voter in vote.voters if voter.record is not None}
    casts = [_cast(voter, voter.role == vote.veto) for voter in vote.voters]
    weighed = weigh(casts, records)
    outcome = decide(policy, weighed)
    faults = [] if outcome == vote.outcome else [f"it comes to {outcome}, not to {vote.outcome}"]
    if vote.round == 1 and vote.round_one_outcome != outcome:
        faults.append("the first round is told to have come to something else")
    quota = exact(policy.threshold) * sum(weighed.weights)
    powers = zip(banzhaf(weighed.weights, quota), shapley_shubik(weighed.weights, quota), strict=True)
    for cast, weight, voter, (swings, orders) in zip(casts, weighed.weights, vote.voters, powers, strict=True):
        without = decide(policy, weigh([other for other in casts if other is not cast], records))
        again = (weight, without, without != outcome, float(swings), float(orders))
        if again != (voter.effective_weight, voter.outcome_without, voter.pivotal, voter.banzhaf, voter.shapley_shubik):
            faults.append(f"the {voter.role}'s ballot counts otherwise")
        agreed = weighed.agreement.get(cast.voter)
        told = [each.factor for each in voter.reductions if each.rule == "agreement"]
        if told != ([] if agreed is None else [agreed.factor]):
            faults.append(f"what agreement takes from the {voter.role}'s ballot is another")
    if effective_votes([cast.voter for cast in casts if cast.counts], weighed.agreement) != vote.effective_votes:
        faults.append("the effective votes are others")
    run = _run_of(bundle, vote)
    if run is not None:
        evidence = Evidence(tests_passed=run.tests_passed, tests_failed=run.tests_failed)
        flip = least_flip(policy, evidence, casts, records, outcome)
        again_flip = (flip.changes, flip.cost, flip.outcome) if flip else (None, None, None)
        if again_flip != (vote.flip, vote.flip_cost, vote.flip_outcome):
            faults.append("the least change that would change the outcome is another")
    return faults


def _first_round(bundle: Bundle, vote: VoteFact) -> list[str]:
    """The first round from its ballots' rows: a vote goes on only where that decided nothing."""
    rows = [b for b in bundle.body.ballots if (b.vote, b.round) == (vote.number, 1)]
    if not rows:
        return []
    casts = [Cast(row.voter, "absent" if row.late else row.choice, row.effective_weight) for row in rows]
    outcome = decide(_policy(vote), weigh([cast for cast in casts if cast.weight], {}))
    return [] if outcome == vote.round_one_outcome == "undecided" else ["the first round had decided"]


def _run_of(bundle: Bundle, vote: VoteFact) -> RunFact | None:
    """The proof of what was voted on: the last one of that candidate."""
    return next((run for run in reversed(bundle.body.runs) if run.candidate == vote.candidate), None)


def _explained(bundle: Bundle, vote: VoteFact) -> list[str]:
    """The explanation from the ballots' own words and the evidence that the voters were shown."""
    texts = bundle.content.texts if bundle.content else {}
    explained = Explanation.model_validate_json(texts[vote.explanation])
    answers = {voter.role: voter.answer for voter in vote.voters}
    shown = vote_of(explained, vote.explanation, vote.number, vote.epoch, vote.candidate, answers)
    if shown != vote:
        return ["the explanation says something else"]
    run = _run_of(bundle, vote)
    if run is None:
        return []
    report = SandboxRun.model_validate_json(texts[run.report])
    files = read_candidate(texts[run.candidate])
    evidence = Evidence(
        tests_passed=run.tests_passed,
        tests_failed=run.tests_failed,
        findings={finding.id: finding.severity for finding in report.findings[:60]},
        lines={path: len(text.splitlines()) for path, text in files.items()},
        has_plan=bundle.body.task.kind == "task" or any(step.step == "plan" for step in bundle.body.steps),
        stated=run.isolation is None,
    )
    ballots = [CastBallot(voter=v.role, ballot=_ballot(texts, v)) for v in vote.voters]
    again = tally(
        _policy(vote, veto=vote.veto is not None),
        evidence,
        ballots,
        number=vote.round,
        round_one=vote.round_one_outcome if vote.round > 1 else None,
        records=[voter.record for voter in vote.voters if voter.record is not None],
    )
    same = again.model_copy(update={"late": explained.late, "question": explained.question})
    return [] if same == explained else ["the ballots' words count otherwise than the explanation says"]


def _ballot(texts: dict[str, str], voter: VoterFact) -> Ballot | None:
    return None if voter.answer is None else Ballot.model_validate_json(texts[voter.answer])
