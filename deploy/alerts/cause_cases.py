"""Cases of the causes: for each one that fires, and one that is just too little or too short for it."""

from deploy.alerts.cases import Case, fires

_POLLERS, _AGE = "golden_task_queue_pollers", "golden_task_queue_backlog_age_seconds"
_FREE, _USED = "temporal_worker_task_slots_available", "temporal_worker_task_slots_used"
_WAITED = "temporal_activity_schedule_to_start_latency_seconds"
_OF = '{task_queue="peer-hub",worker_type="ActivityWorker"}'
_HAS, _MAY = (f"kube_horizontalpodautoscaler_{name}_replicas" for name in ("status_current", "spec_max"))
_POD = '{namespace="prod",horizontalpodautoscaler="golden-sandbox"}'
_ANOTHER = '{namespace="prod",horizontalpodautoscaler="shop"}'
_UPDATES = 'golden_prompt_updates_total{role="developer",outcome="rolled_back",instance='


def _waited(late: float, count: float = 100) -> dict[str, str]:
    """So many activities a minute, of which so many waited between 10 and 100 s."""
    edges = {"1.0": count - late, "10.0": count - late, "100.0": count, "+Inf": count}
    buckets = {f'{_WAITED}_bucket{{task_queue="sandbox",le="{edge}"}}': f"0+{each}x60" for edge, each in edges.items()}
    return buckets | {f'{_WAITED}_count{{task_queue="sandbox"}}': f"0+{count}x60"}


def _fleet(name: str, fires_with: str, not_with: str, alert: str, at: int, which: str = "") -> tuple[Case, Case]:
    """A gauge of the fleet that two replicas show: once with what fires, once with what doesn't."""
    shown, brace = name.split("{") if "{" in name else (name, "}")
    both = [f'{shown}{{instance="{each}"{"," if brace != "}" else ""}{brace}' for each in "ab"]
    return (
        Case(f"{alert} fires", dict.fromkeys(both, fires_with), at, fires(alert, which=which)),
        Case(f"{alert} doesn't, just under", dict.fromkeys(both, not_with), at),
    )


CAUSE_CASES = (
    Case(
        "a Task Queue without a worker fires",
        {f'{_POLLERS}{{queue="sandbox",kind="activity"}}': "2x10 0x20"},
        14,
        fires("GoldenNoPoller", which="sandboxactivity"),
    ),
    Case("a Task Queue without one for a minute doesn't", {f'{_POLLERS}{{queue="q",kind="workflow"}}': "2x10 0x9"}, 12),
    Case("one worker is enough", {f'{_POLLERS}{{queue="sandbox",kind="activity"}}': "1x30"}, 20),
    Case("nobody is to poll the sandbox's workflows", {f'{_POLLERS}{{queue="sandbox",kind="workflow"}}': "0x30"}, 20),
    Case(
        "one replica of the exporter that sees a worker is believed",
        {f'{_POLLERS}{{queue="q",kind="activity",instance="{each}"}}': f"{n}x30" for each, n in (("a", 0), ("b", 1))},
        20,
    ),
    Case(
        "no free slot for a quarter of an hour fires",
        {f"{_FREE}{_OF}": "0x30", f"{_USED}{_OF}": "1x30"},
        16,
        fires("GoldenSlotsSpent", which="peer-hub"),
    ),
    Case("no free slot for less doesn't", {f"{_FREE}{_OF}": "0x30", f"{_USED}{_OF}": "50x30"}, 13),
    Case("one free slot doesn't", {f"{_FREE}{_OF}": "1x30", f"{_USED}{_OF}": "49x30"}, 25),
    Case("a worker that has no slots at all is not spent", {f"{_FREE}{_OF}": "0x30", f"{_USED}{_OF}": "0x30"}, 25),
    Case("one in nineteen that waits long fires", _waited(5.3), 30, fires("GoldenScheduleToStart", which="sandbox")),
    Case("one in twenty-five doesn't", _waited(4), 30),
    Case("thirty activities are enough", _waited(0.5, 3), 30, fires("GoldenScheduleToStart", which="sandbox")),
    Case("nor before it has been so for ten minutes", _waited(6), 9),
    Case("nor of a handful of activities", _waited(1.5, 1.5), 30),
    *_fleet(f'{_AGE}{{queue="q",kind="activity"}}', "301x20", "300x20", "GoldenBacklogAge", 8, "qactivity"),
    Case("a backlog that is old for a moment doesn't fire", {f'{_AGE}{{queue="q",kind="workflow"}}': "999x4 0x9"}, 4),
    *_fleet('golden_dead_letters_open{kind="model"}', "1x30", "0x30", "GoldenDeadLettersOpen", 17, "model"),
    Case("a dead letter that is decided soon doesn't", {'golden_dead_letters_open{kind="model"}': "1x30"}, 13),
    *_fleet('golden_circuit_state{circuit="c"}', "2x30", "1x30", "GoldenCircuitOpen", 12, "c"),
    Case(
        "a circuit that is half-open between probes is no recovery",
        {'golden_circuit_state{circuit="c"}': "2x5 1 2x3 1 2x9"},
        14,
        fires("GoldenCircuitOpen", which="c"),
    ),
    Case(
        "a paused one fires", {'golden_circuit_state{circuit="c"}': "3x30"}, 12, fires("GoldenCircuitOpen", which="c")
    ),
    Case("one that closes again soon doesn't", {'golden_circuit_state{circuit="c"}': "2x5 0x20"}, 12),
    Case("nor one that has been open for less than ten minutes", {'golden_circuit_state{circuit="c"}': "2x30"}, 8),
    *_fleet("golden_escalations_oldest_seconds", "14401x30", "14400x30", "GoldenEscalationAge", 7),
    Case("one that is decided meanwhile doesn't", {"golden_escalations_oldest_seconds": "14401x30"}, 3),
    *_fleet("golden_ledger_drift", "1x30", "0x30", "GoldenLedgerDrift", 7),
    Case("a drift that was read in the middle of a booking doesn't", {"golden_ledger_drift": "1x3 0x20"}, 7),
    *(
        Case(f"{name}: taken back", series, 80, fires("GoldenLearningRolledBack", which="developer"))
        for name, series in (
            ("one replica", {f'{_UPDATES}"a"}}': "3x60 4x40"}),
            ("a new replica", {f'{_UPDATES}"a"}}': "3x60", f'{_UPDATES}"b"}}': "_x60 4x40"}),
        )
    ),
    Case("one that was taken back before doesn't", {f'{_UPDATES}"a"}}': "3x5 4x140"}, 80),
    Case("nor fewer of them after a restore", {f'{_UPDATES}"a"}}': "4x60 3x140"}, 80),
    Case("nor an exporter that begins anew", {f'{_UPDATES}"a"}}': "4x30 _x3 4x140"}, 100),
    *_fleet("golden_audit_chains_broken", "1x9", "0x9", "GoldenAuditChainBroken", 1),
    *_fleet("golden_wal_archive_age_seconds", "901x30", "900x30", "GoldenArchiveBehind", 7),
    Case("an archive that is behind for a moment doesn't", {"golden_wal_archive_age_seconds": "901x3 0x20"}, 7),
    Case(
        "an archive whose attempts fail fires",
        {"golden_wal_archive_failures_total": "0+0.12x60"},
        45,
        fires("GoldenArchiveBehind"),
    ),
    Case("one or two failed attempts don't", {"golden_wal_archive_failures_total": "0x9 2x50"}, 25),
    Case(
        "an autoscaler at its maximum for half an hour fires",
        {f"{_HAS}{_POD}": "15x60", f"{_MAY}{_POD}": "15x60"},
        32,
        fires("GoldenAutoscalerAtMaximum", which="golden-sandbox"),
    ),
    Case("for a short time doesn't", {f"{_HAS}{_POD}": "3x10 15x28 3x9", f"{_MAY}{_POD}": "15x60"}, 37),
    Case("below it doesn't", {f"{_HAS}{_POD}": "14x60", f"{_MAY}{_POD}": "15x60"}, 40),
    Case("another's autoscaler doesn't", {f"{_HAS}{_ANOTHER}": "15x60", f"{_MAY}{_ANOTHER}": "15x60"}, 40),
    *(
        Case(f"without the {source} only that is told", {}, 7, fires("GoldenMetricsMissing", which=source), (series,))
        for source, series in (
            ("exporter", "golden_fleet_read"), ("gateway", "golden_audit_failures"), ("worker", "temporal_worker"),
        )
    ),
    *(
        Case(
            f"{source}: numbers that are not read anew fire",
            {f'{name}{{instance="a"}}': f"0+60x5 300x{late + 60}"},
            5 + late + 7,
            fires("GoldenMetricsMissing", which=source),
        )
        for source, name, late in (("fleet", "golden_fleet_read_timestamp_seconds", 2),)
    ),
    Case(
        "numbers that one replica still reads don't",
        {'golden_fleet_read_timestamp_seconds{instance="b"}': "0x60"},
        30,
    ),
    Case("a gap of four minutes doesn't", {'golden_fleet_read_timestamp_seconds{instance="a"}': "0+60x5 300x30"}, 11),
    Case(
        "what is there while the exporter's database is away stays as it was",
        {
            'golden_fleet_read_timestamp_seconds{instance="a"}': "0+60x5 300x60",
            'golden_dead_letters_open{kind="model"}': "0x60",
        },
        30,
        fires("GoldenMetricsMissing", which="fleet"),
    ),
)  # fmt: skip

UNVERIFIED = tuple(
    Case(
        f"audit chains that nobody has verified for {'more' if fired else 'less'} than a day",
        {
            'golden_fleet_read_timestamp_seconds{instance="a"}': "0+300x320",
            'golden_audit_failures_total{instance="a"}': "0x320",
            'temporal_worker_task_slots_available{task_queue="sandbox",worker_type="ActivityWorker"}': "2x320",
            'golden_audit_verified_timestamp_seconds{instance="a"}': "60x320",
        },
        at,
        fires("GoldenMetricsMissing", which="audit") if fired else frozenset(),
        interval="5m",
    )
    for fired, at in ((True, 1_455), (False, 1_440))
)
