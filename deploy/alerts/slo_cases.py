"""Cases of the objectives: how fast the budget burns, for how long, and of how many events.

The traffic of every objective is played at once, the same number of events and the same burn for each, so that a case
says of all of them what must fire.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deploy.alerts.cases import NOTHING, Case, Firing

EXPECTED = {
    "gateway-availability": "GoldenGatewayErrorBudgetBurn",
    "gateway-latency": "GoldenLatencyErrorBudgetBurn",
    "task-success": "GoldenTaskErrorBudgetBurn",
    "consensus-time": "GoldenConsensusErrorBudgetBurn",
    "sandbox-start": "GoldenSandboxStartErrorBudgetBurn",
    "audit-writes": "GoldenAuditWriteErrorBudgetBurn",
}
BUDGETS = {
    "gateway-availability": 0.001, "gateway-latency": 0.01, "task-success": 0.01,
    "consensus-time": 0.05, "sandbox-start": 0.01, "audit-writes": 0.001,
}  # fmt: skip
"""What may be bad, written down a second time: a slip in the table of objectives shows."""
LEAST = {
    "gateway-availability": 50, "gateway-latency": 50, "task-success": 10,
    "consensus-time": 10, "sandbox-start": 20, "audit-writes": 50,
}  # fmt: skip


@dataclass(frozen=True)
class Span:
    """Some minutes of steady traffic: so many events a minute, of which so many are bad."""

    minutes: int
    events: float
    bad: float


Load = Sequence[Span]


def _counter(load: Load, of: Callable[[Span], float], start: float = 0) -> str:
    """A counter over such minutes, in promtool's notation."""
    parts, value = [], start
    for span in load:
        step = of(span)
        parts.append(f"{value:.6f}+{step:.6f}x{span.minutes - 1}")
        value += step * span.minutes
    return " ".join(parts)


def _good(span: Span) -> float:
    return span.events - span.bad


def series_of(slo: str, load: Load, start: float = 0) -> dict[str, str]:
    """The series of one objective under a load."""
    good, bad = _counter(load, _good, start), _counter(load, lambda span: span.bad, start)
    events = _counter(load, lambda span: span.events, 2 * start)
    requests, seconds = "golden_http_requests_total", "golden_http_request_seconds"
    return {
        "gateway-availability": {
            f'{requests}{{route="/v1/tasks",status="202"}}': good,
            f'{requests}{{route="/v1/tasks/{{task_id}}",status="503"}}': bad,
        },
        "gateway-latency": {
            f'{seconds}_count{{route="/v1/tasks"}}': events,
            f'{seconds}_bucket{{route="/v1/tasks",le="0.5"}}': good,
        },
        "task-success": {
            'golden_tasks_total{state="accepted"}': good,
            'golden_tasks_total{state="failed"}': bad,
        },
        "consensus-time": {
            'golden_consensus_duration_seconds_count{outcome="approved"}': events,
            'golden_consensus_duration_seconds_bucket{outcome="approved",le="150"}': good,
        },
        "sandbox-start": {
            "golden_sandbox_start_seconds_count": events,
            'golden_sandbox_start_seconds_bucket{le="2.0"}': good,
        },
        "audit-writes": {
            'golden_audit_records_total{outcome="allowed"}': good,
            'golden_audit_failures_total{instance="a"}': bad,
        },
    }[slo]


def _all(loads: Callable[[str], Load]) -> dict[str, str]:
    return {name: values for slo in EXPECTED for name, values in series_of(slo, loads(slo)).items()}


def _burning(*spans: tuple[int, float]) -> dict[str, str]:
    """Every objective's budget burning so fast for so many minutes, one span after the other."""
    return _all(lambda slo: [Span(minutes, 1_000, 1_000 * BUDGETS[slo] * rate) for minutes, rate in spans])


def _told(*windows: str) -> Firing:
    return frozenset((alert, window) for alert in EXPECTED.values() for window in windows)


def _one(slo: str, *windows: str) -> Firing:
    return frozenset((EXPECTED[slo], window) for window in windows)


def _few(total: int, bad: int) -> dict[str, str]:
    """So many events in all within the first ten minutes, then none."""
    return _all(lambda _: [Span(10, total / 10, bad / 10), Span(20, 0, 0)])


def _scanty(short: int) -> dict[str, str]:
    """All bad, and fewer by so many than the least number of events that a rule wants."""
    return _all(lambda slo: [Span(60, (LEAST[slo] - short) / 60, (LEAST[slo] - short) / 60)])


_REQUESTS = "golden_http_requests_total"
_SLOW = "golden_http_request_seconds"

SLO_CASES = (
    Case("a burn above 14.4 for an hour fires all", _burning((65, 15.0)), 64, _told("1h", "6h", "3d")),
    Case("a burn just under 14.4 pages for six hours only", _burning((65, 14.0)), 64, _told("6h", "3d")),
    Case("a burn above 6 pages for six hours", _burning((65, 6.3)), 64, _told("6h", "3d")),
    Case("a burn just under 6 is a ticket", _burning((65, 5.7)), 64, _told("3d")),
    Case("a burn above 1 is a ticket", _burning((65, 1.05)), 64, _told("3d")),
    Case("a burn just under 1 is what the objective allows", _burning((65, 0.95)), 64),
    Case("a burn that is over stops the page by its short window", _burning((65, 15), (8, 0)), 72, _told("6h", "3d")),
    Case("after half an hour it stops the other page too", _burning((65, 15), (35, 0)), 99, _told("3d")),
    Case("a short burst after quiet hours is no page", _burning((130, 0), (6, 17)), 135),
    Case("few events page nobody, though all are bad", _scanty(2), 58),
    Case("as many as it takes page, if all are bad", _scanty(-8), 59, _told("1h", "6h", "3d")),
    Case("four bad events are no trend", _few(12, 4), 12),
    Case(
        "seven are",
        series_of("gateway-availability", [Span(10, 30, 0.7), Span(20, 0, 0)]),
        12,
        _one("gateway-availability", "1h", "6h", "3d"),
    ),
    Case(
        "a counter that begins anew with its process is no failure",
        series_of("audit-writes", [Span(30, 1_000, 0)], start=500)
        | {'golden_audit_failures_total{instance="a"}': "500x29 0x30", f'{_REQUESTS}{{status="500"}}': "90x29 0x30"}
        | {f'{_REQUESTS}{{status="200"}}': "9000+100x29 0+100x30"},
        50,
    ),
    Case(
        "errors that appear with the first of them count",
        {f'{_REQUESTS}{{status="200"}}': "0+100x60", f'{_REQUESTS}{{status="500"}}': "_x30 1+50x30"},
        58,
        _one("gateway-availability", "1h", "6h", "3d"),
    ),
    Case(
        "refusals, probes, streams and what waits for a program are not held against the gateway",
        {
            f'{_REQUESTS}{{route="/v1/tasks",status="429"}}': "0+1000x70",
            f'{_REQUESTS}{{route="/readyz",status="503"}}': "0+1000x70",
            f'{_SLOW}_count{{route="/v1/tasks/{{task_id}}/events"}}': "0+1000x70",
            f'{_SLOW}_bucket{{route="/v1/tasks/{{task_id}}/events",le="0.5"}}': "0x70",
            f'{_SLOW}_count{{route="/v1/sandbox/executions"}}': "0+1000x70",
            f'{_SLOW}_bucket{{route="/v1/sandbox/executions",le="0.5"}}': "0x70",
            f'{_SLOW}_count{{route="/v1/audit/verify"}}': "0+1000x70",
            f'{_SLOW}_bucket{{route="/v1/audit/verify",le="0.5"}}': "0x70",
        },
        65,
    ),
    Case(
        "probes do not hide that clients get nothing but errors",
        {
            f'{_REQUESTS}{{route="/healthz",status="200"}}': "0+100000x70",
            f'{_REQUESTS}{{route="/v1/tasks",status="503"}}': "0+2x70",
        },
        65,
        _one("gateway-availability", "1h", "6h", "3d"),
    ),
    Case(
        "replicas of the exporter are not added up",
        {
            f'golden_tasks_total{{state="{state}",instance="{each}"}}': f"0x5 {count}x60"
            for state, count in (("accepted", 8), ("failed", 4))
            for each in ("a", "b")
        },
        30,
    ),
    Case(
        "rejected and cancelled tasks are results",
        {f'golden_tasks_total{{state="{state}"}}': "0+10x70" for state in ("rejected", "cancelled", "accepted")},
        65,
    ),
    Case("no traffic at all fires nothing", {}, 70, NOTHING),
)

LONG = Case(
    "six hours of a slow burn after three good days are no ticket",
    {
        f'{_REQUESTS}{{status="200"}}': "0+1000x864 865000+998.5x71",
        f'{_REQUESTS}{{status="500"}}': "0x864 0+1.5x71",
        'golden_fleet_read_timestamp_seconds{instance="a"}': "0+300x940",
        'golden_audit_verified_timestamp_seconds{instance="a"}': "0+300x940",
        'golden_audit_failures_total{instance="a"}': "0x940",
        'temporal_worker_task_slots_available{task_queue="sandbox",worker_type="ActivityWorker"}': "2x940",
    },
    4_670,
    interval="5m",
)
