"""What the scaling rules do to pods, queues and latency: `python bench/autoscale.py [--seed N] [--write]`.

Plays load curves (a spike of ten times, a ramp, a day and a night, a slow model) against the rules of
`deploy/chart/values.yaml`, and beside them against the same table read naively. A task asks a model twice in the
orchestrator (a plan, then three developers), runs three candidates in the sandbox and asks four voters in the peer
hub; one in fifty waits for a person. Service times are those of `bench/service_times.json`, measured by
`bench/load.py --write`; the time of a model's answer is added, and is an assumption of the curve. Pods need START
seconds to start, and autoscalers see what was LAG seconds ago. `--write`: into docs/autoscaling.md.
"""

import argparse
import json
import math
import random
import statistics
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path

ROOT = Path(__file__).parent.parent
# In place of this folder, where files have the names of packages.
sys.path[0] = str(ROOT)

from bench.picture import HEIGHT, WIDTH, Line, chart  # noqa: E402
from bench.scaling import SYNC_SECONDS, Autoscaler, Rule, read_rules  # noqa: E402

TIMES = ROOT / "bench" / "service_times.json"
DOCS = ROOT / "docs"
BEGIN, END = "<!-- measured: bench/autoscale.py -->", "<!-- measured: end -->"

START, LAG = 20, 30
"""Seconds until a new pod works; between what happens and what an autoscaler sees of it (a scrape and a rule)."""
P95_WINDOW = 300
PERSON_SECONDS = 1_200.0
ESCALATED = 0.02
SLOTS = {"orchestrator": 50, "sandbox": 2, "peer-hub": 50, "supervisor": 10}
COURSE = (("orchestrator", 1, True), ("orchestrator", 3, True), ("sandbox", 3, False), ("peer-hub", 4, True))
"""Where a task goes: the kind of worker, how many slots at once, whether a model answers."""


@dataclass(frozen=True)
class Curve:
    """Seconds of play, tasks a second by time, and seconds of a model's answer by time."""

    name: str
    seconds: int
    rate: Callable[[float], float]
    answer: Callable[[float], float] = lambda _now: 8.0


def _day(now: float) -> float:
    return 0.1 + 0.9 * max(0.0, math.sin(2 * math.pi * (now - 21_600) / 86_400))


CURVES = (
    Curve("spike", 5_400, lambda now: 2.0 if 1_200 <= now < 2_400 else 0.2),
    Curve("ramp", 7_200, lambda now: 0.1 + 1.9 * max(0.0, 1 - abs(now - 3_600) / 3_000)),
    Curve("day and night", 86_400, _day),
    Curve("slow model", 7_200, lambda _now: 0.15, lambda now: 96.0 if 1_200 <= now < 4_800 else 8.0),
)


@dataclass
class Task:
    """Where a task is: the stage of COURSE, what of it is still to end, and when it and its vote began."""

    began: float
    stage: int = -1
    left: int = 0
    vote_began: float = 0.0


@dataclass
class Station:
    """The workers of one kind: what runs in their slots, what waits for one, and pods by when they are ready."""

    slots: int
    ready: list[float]
    running: list[tuple[float, int, Task]] = field(default_factory=list)
    waiting: deque[tuple[float, Task]] = field(default_factory=deque)
    jobs: int = 0

    def capacity(self, now: float) -> int:
        return self.slots * sum(ready <= now for ready in self.ready)

    def resize(self, pods: int, now: float) -> None:
        """The youngest go first; what they run ends there, within their grace."""
        self.ready = sorted(self.ready)[:pods] + [now + START] * (pods - len(self.ready))

    def fill(self, now: float) -> None:
        while self.waiting and len(self.running) < self.capacity(now):
            seconds, task = self.waiting.popleft()
            self.jobs += 1
            heappush(self.running, (now + seconds, self.jobs, task))

    @property
    def busy(self) -> float:
        return len(self.running) / (self.slots * len(self.ready))


@dataclass
class Played:
    """What came of a curve: of each kind the pods, of all kinds what waits, and how long tasks took, by second."""

    scalers: dict[str, Autoscaler]
    pods: dict[str, list[tuple[float, float]]]
    queue: list[tuple[float, float]] = field(default_factory=list)
    took: list[tuple[float, float]] = field(default_factory=list)
    tasks: int = 0
    ended: int = 0


class Play:
    """One curve against one set of rules, second by second."""

    def __init__(self, curve: Curve, rules: Mapping[str, Rule], times: Mapping[str, float], seed: int) -> None:
        self._curve, self._times, self._random = curve, times, random.Random(seed)  # noqa: S311 (not a secret)
        self._stations = {kind: Station(SLOTS[kind], [0.0] * rule.least) for kind, rule in rules.items()}
        self._votes: deque[tuple[float, float]] = deque()
        self._persons: list[float] = []
        self._seen: deque[tuple[float, dict[str, float | None]]] = deque()
        self.played = Played({kind: Autoscaler(rule) for kind, rule in rules.items()}, {kind: [] for kind in rules})

    def run(self) -> Played:
        """All seconds of the curve."""
        for second in range(self._curve.seconds):
            now = float(second)
            for _ in range(self._arrivals(self._curve.rate(now))):
                self.played.tasks += 1
                self._advance(Task(now), now)
            self._work(now)
            if second % SYNC_SECONDS == 0:
                self._scale(now)
        return self.played

    def _arrivals(self, rate: float) -> int:
        """Poisson, by Knuth's product of uniform numbers."""
        count, product, bound = 0, self._random.random(), math.exp(-rate)
        while product > bound:
            count, product = count + 1, product * self._random.random()
        return count

    def _advance(self, task: Task, now: float) -> None:
        task.stage += 1
        if task.stage == len(COURSE):
            self._end(task, now)
            return
        kind, jobs, asks = COURSE[task.stage]
        task.left = jobs
        if kind == "peer-hub":
            task.vote_began = now
        for _ in range(jobs):
            seconds = self._times[kind] * self._random.lognormvariate(0, 0.3)
            if asks:
                seconds += self._curve.answer(now) * self._random.lognormvariate(0, 0.4)
            self._stations[kind].waiting.append((seconds, task))

    def _end(self, task: Task, now: float) -> None:
        self._votes.append((now, now - task.vote_began))
        self.played.ended += 1
        self.played.took.append((now, now - task.began))
        if self._random.random() < ESCALATED:
            heappush(self._persons, now + self._random.expovariate(1 / PERSON_SECONDS))

    def _work(self, now: float) -> None:
        for station in self._stations.values():
            while station.running and station.running[0][0] <= now:
                _, _, task = heappop(station.running)
                task.left -= 1
                if task.left == 0:
                    self._advance(task, now)
        for station in self._stations.values():
            station.fill(now)
        while self._persons and self._persons[0] <= now:
            heappop(self._persons)

    def _scale(self, now: float) -> None:
        self._seen.append((now, self._metrics(now)))
        while len(self._seen) > 1 and self._seen[1][0] <= now - LAG:
            self._seen.popleft()
        seen = self._seen[0][1]
        for kind, scaler in self.played.scalers.items():
            station = self._stations[kind]
            decided = scaler.decide(now, len(station.ready), seen[kind])
            if decided != len(station.ready):
                station.resize(decided, now)
            self.played.pods[kind].append((now, len(station.ready)))
        self.played.queue.append((now, sum(len(each.waiting) for each in self._stations.values())))

    def _metrics(self, now: float) -> dict[str, float | None]:
        while self._votes and self._votes[0][0] < now - P95_WINDOW:
            self._votes.popleft()
        votes, hub = [seconds for _, seconds in self._votes], self._stations["peer-hub"]
        p95 = _p95(votes)
        rule = self.played.scalers["peer-hub"].rule
        sandbox = self._stations["sandbox"]
        return {
            "peer-hub": None if p95 is None and rule.gate is None else rule.latency(p95 or 0.0, hub.busy),
            "orchestrator": float(self.played.tasks - self.played.ended),
            "sandbox": float(len(sandbox.waiting) + len(sandbox.running)),
            "supervisor": float(len(self._persons)),
        }


def _p95(values: list[float]) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=20)[-1]


def play_all(rules: Mapping[str, Rule], times: Mapping[str, float], seed: int) -> dict[tuple[str, str], Played]:
    """Every curve against both readings of the table."""
    readings = {"seed": {kind: rule.naive() for kind, rule in rules.items()}, "ours": rules}
    return {
        (curve.name, name): Play(curve, reading, times, seed).run()
        for curve in CURVES
        for name, reading in readings.items()
    }


def table(found: Mapping[tuple[str, str], Played]) -> str:
    """What came of every curve, as Markdown."""
    head = "most pods (orchestrator, sandbox, peer hub, supervisor) "
    head += "| pod-hours | flaps | taken back | longest queue | p95 of a task"
    rows = [f"| curve | rules | {head} |", "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for (curve, name), played in found.items():
        most = ", ".join(str(int(max(pods for _, pods in played.pods[kind]))) for kind in SLOTS)
        hours = sum(pods for line in played.pods.values() for _, pods in line) * SYNC_SECONDS / 3600
        flaps = sum(scaler.flaps() for scaler in played.scalers.values())
        back = sum(scaler.taken_back() for scaler in played.scalers.values())
        queue = max(count for _, count in played.queue)
        took = _p95([seconds for _, seconds in played.took]) or 0.0
        rows.append(f"| {curve} | {name} | {most} | {hours:,.0f} | {flaps} | {back} | {queue:,.0f} | {took:,.0f} s |")
    return "\n".join(rows)


def picture(curve: str, seed: Played, ours: Played) -> str:
    """Pods, queue and latency of a curve, one above the other; hours along."""
    kinds = ("peer-hub", "orchestrator")
    pods = [
        Line(f"{kind}, {name}", _hours(played.pods[kind]))
        for kind in kinds
        for name, played in (("seed", seed), ("ours", ours))
    ]
    both = (("seed", seed), ("ours", ours))
    charts = (
        chart(f"{curve}: pods", "hours", pods),
        chart(f"{curve}: jobs that wait for a slot", "hours", [Line(name, _hours(each.queue)) for name, each in both]),
        chart(
            f"{curve}: seconds of a task, p95 of five minutes",
            "hours",
            [Line(name, _hours(_rolling(each.took))) for name, each in both],
        ),
    )
    inner = "\n".join(
        each.replace("<svg ", f'<svg y="{HEIGHT * place}" width="{WIDTH}" height="{HEIGHT}" ', 1)
        for place, each in enumerate(charts)
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT * len(charts)}">\n{inner}</svg>\n'


def _rolling(took: list[tuple[float, float]]) -> list[tuple[float, float]]:
    parts: dict[int, list[float]] = {}
    for at, seconds in took:
        parts.setdefault(int(at // P95_WINDOW), []).append(seconds)
    return [((part + 1) * P95_WINDOW, _p95(values) or 0.0) for part, values in sorted(parts.items())]


def _hours(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """No more points than a picture can show."""
    step = max(1, len(points) // 400)
    return [(at / 3600, value) for at, value in points[::step]]


def write(found: Mapping[tuple[str, str], Played], told: str) -> None:
    """The table into docs/autoscaling.md, between its marks, and the pictures beside it."""
    page = DOCS / "autoscaling.md"
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{told}\n{END}{rest.partition(END)[2]}")
    for curve in CURVES:
        name = f"autoscaling-{curve.name.replace(' ', '-')}.svg"
        (DOCS / name).write_text(picture(curve.name, found[curve.name, "seed"], found[curve.name, "ours"]))


def main() -> int:
    """0, or 1 where a rule of ours flapped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    times = json.loads(TIMES.read_text())["seconds"]
    found = play_all(read_rules(), times, arguments.seed)
    told = table(found)
    print(told)
    if arguments.write:
        write(found, told)
    flaps = sum(s.flaps() for (_, name), played in found.items() if name == "ours" for s in played.scalers.values())
    return 1 if flaps else 0


if __name__ == "__main__":
    sys.exit(main())
