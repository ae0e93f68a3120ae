"""What evidence does for a vote: `python bench/votes.py [--sample N] [--seed S] [--problems FILE]`.

Of each problem: its known solution, and mutants of it that its tests fail. Of the tests only a part is the evidence, so
that there are mutants which the evidence shows to fail, and some that survive it. Each candidate is put to the four
voters, blind, twice: with the evidence (the test report is shown, ballots are held against it), and without (no report
is shown, and a ballot counts for what it says). The policy is the default, one round.

A false accept is a bad candidate that is approved, a false reject a good one that is rejected; undecided votes go to a
person and are counted by themselves. Every vote is a line of a file, so that a run that was stopped goes on.
"""

import argparse
import ast
import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args
from uuid import UUID

ROOT = Path(__file__).parent.parent
# In place of this folder, where files have the names of packages.
sys.path[0] = str(ROOT)

from rich.progress import track  # noqa: E402

from activities.answers import AnswerRefused, canonical_candidate, parser_for  # noqa: E402
from activities.briefs import Material  # noqa: E402
from activities.docker_pool import DockerSandboxPool  # noqa: E402
from activities.models import Models  # noqa: E402
from activities.questions import question_for  # noqa: E402
from activities.routes import read_routes  # noqa: E402
from bench.mutants import mutants  # noqa: E402
from bench.paired import wilson  # noqa: E402
from bench.problems import MODULE, Problem, load, sampled  # noqa: E402
from bench.sandbox import make_pool, started  # noqa: E402
from deploy.local.commands import read_settings  # noqa: E402
from deploy.local.demo import stack_up  # noqa: E402
from schema.messages.consensus import CastBallot  # noqa: E402
from schema.messages.sandbox import SandboxRun  # noqa: E402
from schema.messages.steps import AskRoleInput, StepRef  # noqa: E402
from schema.messages.task import TaskState  # noqa: E402
from schema.messages.vote import Ballot, Evidence, VoteOutcome, VotePolicy, Voter  # noqa: E402
from schema.settings import Settings  # noqa: E402
from workflows.deciding import Cast, decide, weigh  # noqa: E402
from workflows.tally import tally  # noqa: E402

KINDS = ("good", "bad, evidence fails", "bad, evidence passes")
MUTANTS_TRIED = 12
POLICY = VotePolicy()


@dataclass(frozen=True)
class Candidate:
    """A whole file whose truth is known, and what the evidence says of it."""

    problem: Problem
    kind: str
    code: str
    evidence: Evidence
    slip: str = ""


@dataclass(frozen=True)
class Vote:
    """How the vote on one candidate came out, with the evidence and without."""

    problem: str
    kind: str
    slip: str
    shown: VoteOutcome
    unshown: VoteOutcome


def weaker(problem: Problem) -> Problem:
    """The problem with only the first of its assertions: what a task's author who was in a hurry would have written."""
    tree = ast.parse(problem.test)
    check = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check")
    first = next(number for number, node in enumerate(check.body) if isinstance(node, ast.Assert))
    check.body = check.body[: first + 1]
    return problem.model_copy(update={"test": ast.unparse(tree)})


async def candidates(problem: Problem, pool: DockerSandboxPool, dice: random.Random) -> AsyncIterator[Candidate]:
    """The known solution, and one mutant of each of the two bad kinds, where there is one."""
    solution = problem.prompt + problem.canonical_solution
    try:
        weak = weaker(problem)
        slips = mutants(solution, problem.entry_point)
    except (StopIteration, SyntaxError):
        return
    weak_run = await pool.run(weak.job(solution))
    if not weak_run.passed or not (await pool.run(problem.job(solution))).passed:
        return
    yield Candidate(problem, KINDS[0], solution, evidence_of(weak_run, solution))
    missing = set(KINDS[1:])
    for mutant in dice.sample(slips, min(MUTANTS_TRIED, len(slips))):
        run = await pool.run(weak.job(mutant.code))
        kind = KINDS[2] if run.passed else KINDS[1]
        if kind not in missing or (await pool.run(problem.job(mutant.code))).passed:
            continue
        missing.discard(kind)
        yield Candidate(problem, kind, mutant.code, evidence_of(run, mutant.code), mutant.slip)


def evidence_of(run: SandboxRun, code: str) -> Evidence:
    passed = sum(test.outcome == "passed" for test in run.tests)
    failed = len(run.tests) - passed or (0 if run.passed else 1)
    lines = {f"{MODULE}.py": len(code.splitlines())}
    return Evidence(tests_passed=passed, tests_failed=failed, lines=lines, has_plan=False)


class Voters:
    """The four voters, as the model of the settings plays them."""

    def __init__(self, settings: Settings) -> None:
        self._models = Models(read_routes(settings), timeout_seconds=settings.model_timeout_seconds)

    async def close(self) -> None:
        await self._models.close()

    async def vote(self, candidate: Candidate) -> Vote:
        evidence = candidate.evidence
        hidden = evidence.model_copy(update={"tests_passed": 0, "tests_failed": 0})
        shown = tally(POLICY, evidence, await self._ballots(candidate)).outcome
        unshown = ungrounded(await self._ballots(replace(candidate, evidence=hidden)))
        return Vote(candidate.problem.task_id, candidate.kind, candidate.slip, shown, unshown)

    async def _ballots(self, candidate: Candidate) -> list[CastBallot]:
        voters: tuple[Voter, ...] = get_args(Voter)
        ballots = await asyncio.gather(*(self._ballot(voter, candidate) for voter in voters))
        return [CastBallot(voter=voter, ballot=ballot) for voter, ballot in zip(voters, ballots, strict=True)]

    async def _ballot(self, voter: Voter, candidate: Candidate) -> Ballot | None:
        """One voter's ballot; None where the answer was no ballot, as in a vote."""
        spec, target = candidate.problem.task(), self._models.route(voter)[0]
        files = {f"{MODULE}.py": candidate.code}
        ref = StepRef(task_id=UUID(int=0), tenant="bench", step=f"ballot/{voter}/1")
        ask = AskRoleInput(ref=ref, state=TaskState.VOTING, role=voter, evidence=candidate.evidence)
        question = question_for(ask, Material(spec, candidate=canonical_candidate(files)), target, 1, None)
        async with self._models.turn(target):
            reply = await self._models.call(target, question)
        try:
            answer = parser_for(voter, spec, candidate.evidence, lean=target.lean)(reply.text)
        except AnswerRefused:
            return None
        return Ballot.model_validate_json(answer)


def ungrounded(ballots: list[CastBallot]) -> VoteOutcome:
    """The same rule of decision over what the ballots say, nothing held against anything."""
    casts = [
        Cast(cast.voter, "absent" if cast.ballot is None else cast.ballot.choice, POLICY.voters[cast.voter])
        for cast in ballots
    ]
    return decide(POLICY, weigh(casts, {}))


async def measure(settings: Settings, problems: list[Problem], options: argparse.Namespace) -> list[Vote]:
    """The votes on all candidates of the problems; a problem that the file has already is not put again."""
    stored = read(options.results)
    done = {vote.problem for vote in stored}
    voters = Voters(settings)
    async with started(make_pool(settings, 1)) as pool:
        for problem in track(problems, description="problems"):
            if problem.task_id in done:
                continue
            dice = random.Random(f"{options.seed} {problem.task_id}")  # noqa: S311
            votes = [await voters.vote(candidate) async for candidate in candidates(problem, pool, dice)]
            with options.results.open("a") as file:
                file.writelines(json.dumps(asdict(vote)) + "\n" for vote in votes)
            stored += votes
    await voters.close()
    wanted = {problem.task_id for problem in problems}
    return [vote for vote in stored if vote.problem in wanted]


def read(path: Path) -> list[Vote]:
    return [Vote(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def report(votes: list[Vote]) -> None:
    """Print the table: outcomes by kind of candidate, with the evidence and without."""
    print("\n| candidates | evidence | votes | approved | rejected | undecided | wrong, 95 % |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for kind in KINDS:
        of_kind = [vote for vote in votes if vote.kind == kind]
        for name, outcomes in (("on", [vote.shown for vote in of_kind]), ("off", [vote.unshown for vote in of_kind])):
            count = {outcome: outcomes.count(outcome) for outcome in get_args(VoteOutcome)}
            wrong = count["rejected"] if kind == KINDS[0] else count["approved"]
            low, high = wilson(wrong, len(outcomes))
            print(
                f"| {kind} | {name} | {len(outcomes)} | {count['approved']} | {count['rejected']} "
                f"| {count['undecided']} | {wrong} ({low:.0%} to {high:.0%}) |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=20, help="so many problems, chosen by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--problems", type=Path, help="JSON lines with canonical_solution, in place of HumanEval")
    parser.add_argument("--results", type=Path, help="the file of votes; in GOLDEN_HOME/bench without")
    options, settings = parser.parse_args(), read_settings()
    folder = settings.home / "bench"
    problems = sampled(load(options.problems, folder), options.sample, options.seed)
    name = options.problems.name.split(".")[0] if options.problems else "human-eval"
    options.results = options.results or folder / f"votes-{name}-{options.seed}.jsonl"
    with stack_up(settings):
        report(asyncio.run(measure(settings, problems, options)))


if __name__ == "__main__":
    main()
