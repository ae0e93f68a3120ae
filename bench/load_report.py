"""What a run of `bench/load.py` came to: its table and its picture."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from bench.picture import HEIGHT, WIDTH, Line, chart

LIMITED = 429
"""The status of what a limit refused."""


@dataclass(frozen=True)
class Arrival:
    """A task that is to arrive, seconds after the beginning."""

    at: float
    phase: str
    tenant: str
    title: str
    twice: bool


@dataclass
class Sent:
    """What became of an arrival: its answers, and when it was accepted, seconds after the beginning."""

    arrival: Arrival
    statuses: list[int] = field(default_factory=list)
    task_ids: set[UUID] = field(default_factory=set)
    accepted_at: float | None = None


@dataclass(frozen=True)
class Run:
    """All of one run. `ended` are the ends of tasks, and `looks` the open and the queued tasks by time."""

    sent: Sequence[Sent]
    ended: dict[UUID, float]
    looks: Sequence[tuple[float, int, int]]
    faults: Sequence[str]
    drained: float


def quantile(values: Sequence[float], share: float) -> float:
    """The nearest value of a sorted sequence; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def table(run: Run, rate: float, factor: float, seconds: float, seed: int) -> str:
    """What was measured, as Markdown."""
    rows = [
        "| | arrivals | accepted | answers 429 | given up | answer p50, p99 | task p50, p95 | most open tasks |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for number, phase in enumerate(("before", "spike", "after")):
        sent = [one for one in run.sent if one.arrival.phase == phase]
        taken = [one for one in sent if one.accepted_at is not None]
        # Of those that no limit held back: how long the gateway took.
        first = [one.accepted_at - one.arrival.at for one in taken if one.accepted_at and LIMITED not in one.statuses]
        took = [run.ended[task] - one.arrival.at for one in taken for task in one.task_ids if task in run.ended]
        limited = sum(status == LIMITED for one in sent for status in one.statuses)
        most = max((tasks for at, tasks, _ in run.looks if number * seconds <= at < (number + 1) * seconds), default=0)
        rows.append(
            f"| {phase} | {len(sent):,} | {len(taken):,} | {limited:,} | {len(sent) - len(taken):,} "
            f"| {quantile(first, 0.5) * 1000:,.0f}, {quantile(first, 0.99) * 1000:,.0f} ms "
            f"| {quantile(took, 0.5):,.1f}, {quantile(took, 0.95):,.1f} s | {most:,} |"
        )
    accepted = sum(one.accepted_at is not None for one in run.sent)
    told = (
        f"{rate:.2f} tasks a second, then {factor:g} times that, then {rate:.2f} again, {seconds:g} s each, "
        f"seed {seed}. "
        f"{accepted:,} accepted, {len(run.ended):,} ended, {len(run.faults)} faults; "
        f"{recovery(run, seconds)}; all was over {run.drained - 3 * seconds:,.0f} s after the last arrival was due."
    )
    return "\n".join([told, "", *rows, *(f"- {fault}" for fault in run.faults[:20])])


def recovery(run: Run, seconds: float) -> str:
    """When the queue was as short again as it had ever been before the spike."""
    usual = max((tasks for at, tasks, _ in run.looks if at < seconds), default=0)
    over = [at for at, tasks, _ in run.looks if tasks > usual]
    if not over:
        return "the queue never grew beyond what it had been"
    return f"the queue was as before {max(0.0, max(over) - 2 * seconds):,.0f} s after the spike"


def picture(run: Run, rate: float) -> str:
    """Open and queued tasks, and the seconds that tasks took by their arrival."""
    queue = [
        Line("open", [(at, tasks) for at, tasks, _ in run.looks]),
        Line("queued", [(at, queued) for at, _, queued in run.looks]),
    ]
    took: dict[int, list[float]] = {}
    for one in run.sent:
        for task in one.task_ids & run.ended.keys():
            took.setdefault(int(one.arrival.at // 5), []).append(run.ended[task] - one.arrival.at)
    slow = [Line(name, [((part + 1) * 5, quantile(values, share)) for part, values in sorted(took.items())])
            for name, share in (("p50", 0.5), ("p95", 0.95))]  # fmt: skip
    charts = (
        chart(f"Tasks, around a spike from {rate:.2f} a second", "seconds", queue),
        chart("Seconds of a task, by its arrival", "seconds", slow),
    )
    inner = "\n".join(
        each.replace("<svg ", f'<svg y="{HEIGHT * place}" width="{WIDTH}" height="{HEIGHT}" ', 1)
        for place, each in enumerate(charts)
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT * len(charts)}">\n{inner}</svg>\n'
