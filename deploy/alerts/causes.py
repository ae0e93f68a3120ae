"""Alerts on causes: what a person has to mend or decide even where no objective suffers yet.

Numbers of the fleet come from each replica of the exporter: the maximum is taken, never the sum. Where a series is not
there, nothing fires but `GoldenMetricsMissing`.
"""

from deploy.alerts.rule import Alert, Group
from schema import metrics as m

STALE_SECONDS = 120
UNVERIFIED_SECONDS = 86_400

# Each with a series that its processes show from their start on.
SHOWN_BY = (
    ("exporter", m.FLEET_READ_AT.name),
    ("gateway", m.AUDIT_FAILURES.name),
    ("worker", m.SLOTS_AVAILABLE.name),
)

_MISSING = " or ".join(
    (
        *(f'label_replace(absent({name}), "source", "{source}", "", "")' for source, name in SHOWN_BY),
        f'label_replace(time() - max({m.FLEET_READ_AT.name}) > {STALE_SECONDS}, "source", "fleet", "", "")',
        f'label_replace(time() - max({m.AUDIT_VERIFIED_AT.name}) > {UNVERIFIED_SECONDS}, "source", "audit", "", "")',
    )
)
_OWN_POOLS = 'worker_type=~"WorkflowWorker|ActivityWorker"'
_PICKED_UP = f"{m.SCHEDULE_TO_START.name}_bucket[10m]"
_PICKS = f"{m.SCHEDULE_TO_START.name}_count[10m]"
_HPA = 'horizontalpodautoscaler=~".*golden.*"'
_ROLLED_BACK = f'max by (role) ({m.PROMPT_UPDATES.name}{{outcome="rolled_back"}}'

ALERTS = (
    Alert(
        "GoldenNoPoller", "page",
        # The sandbox's workers run no workflows, so nobody is to poll for them.
        f"max by (queue, kind) ({m.QUEUE_POLLERS.name}"
        f' unless {m.QUEUE_POLLERS.name}{{queue="sandbox",kind="workflow"}}) == 0',
        "Nobody works on a Task Queue.",
        "No worker has polled {{ $labels.queue }} for {{ $labels.kind }} tasks; what is put there waits.",
        "2m",
    ),
    Alert(
        "GoldenSlotsSpent", "ticket",
        f"sum by (task_queue, worker_type) ({m.SLOTS_AVAILABLE.name}{{{_OWN_POOLS}}}) == 0"
        f" and sum by (task_queue, worker_type) ({m.SLOTS_USED.name}{{{_OWN_POOLS}}}) > 0",
        "Every worker of a Task Queue is as busy as it may be.",
        "No {{ $labels.worker_type }} of {{ $labels.task_queue }} has a free slot.",
        "15m",
    ),
    Alert(
        "GoldenScheduleToStart", "ticket",
        f"histogram_quantile(0.95, sum by (task_queue, le) (rate({_PICKED_UP}))) > 10"
        f" and sum by (task_queue) (increase({_PICKS})) >= 20",
        "Activities wait long until a worker takes them.",
        "One in twenty activities of {{ $labels.task_queue }} waited {{ $value | humanizeDuration }} or longer.",
        "10m",
    ),
    Alert(
        "GoldenBacklogAge", "page",
        f"max by (queue, kind) ({m.QUEUE_AGE.name}) > 300",
        "Work has waited for a worker for more than five minutes.",
        "The oldest {{ $labels.kind }} task of {{ $labels.queue }} has waited {{ $value | humanizeDuration }}.",
        "5m",
    ),
    Alert(
        "GoldenDeadLettersOpen", "ticket",
        f"max by (kind) ({m.LETTERS.name}) > 0",
        "Steps were given up, and nobody has decided on them.",
        "{{ $value }} dead letters of kind {{ $labels.kind }} are open; their tasks are parked.",
        "15m",
    ),
    Alert(
        "GoldenCircuitOpen", "page",
        # A circuit that fails its probes is half-open for a moment between them: that is no recovery.
        f"max by (circuit) (max_over_time({m.CIRCUITS.name}[2m])) >= 2",
        "A model provider is not asked: it fails, or wants to be left alone.",
        "The circuit {{ $labels.circuit }} is open (2) or paused (3): {{ $value }}.",
        "10m",
    ),
    Alert(
        "GoldenEscalationAge", "ticket",
        f"max({m.ESCALATIONS_OLDEST.name}) > 4 * 3600",
        "A task has waited for a person's decision for more than four hours.",
        "The oldest escalated task has waited {{ $value | humanizeDuration }}.",
        "5m",
    ),
    Alert(
        "GoldenLedgerDrift", "page",
        f"max({m.LEDGER_DRIFT.name}) > 0",
        "An account's sums are not those of its ledger's entries.",
        "{{ $value }} accounts differ from their entries.",
        "5m",
    ),
    Alert(
        "GoldenLearningRolledBack", "ticket",
        # Counted in PostgreSQL: it doesn't begin anew with a process, and may be less after a restore.
        f"{_ROLLED_BACK}) - {_ROLLED_BACK} offset 1h) > 0",
        "A prompt that had been approved was taken back.",
        "{{ $value }} prompts of the role {{ $labels.role }} were rolled back within the last hour.",
    ),
    Alert(
        "GoldenAuditChainBroken", "page",
        f"max({m.AUDIT_CHAINS_BROKEN.name}) > 0",
        "An audit chain does not verify: records were changed, taken out or forged.",
        "The chains of {{ $value }} tenants do not verify.",
    ),
    Alert(
        "GoldenArchiveBehind", "page",
        f"max({m.ARCHIVE_AGE.name}) > 900 or max(increase({m.ARCHIVE_FAILURES.name}[30m])) >= 3",
        "PostgreSQL's log is not being archived: what a restore could not bring back grows.",
        "The archive is behind, in seconds or by failed attempts: {{ $value }}.",
        "5m",
    ),
    Alert(
        "GoldenAutoscalerAtMaximum", "ticket",
        f"max by (namespace, horizontalpodautoscaler) ({m.HPA_REPLICAS.name}{{{_HPA}}})"
        f" >= max by (namespace, horizontalpodautoscaler) ({m.HPA_MOST.name}{{{_HPA}}})",
        "An autoscaler has all the pods that it may have.",
        "{{ $labels.horizontalpodautoscaler }} is at {{ $value }} pods, its maximum.",
        "30m",
    ),
    Alert(
        "GoldenMetricsMissing", "page",
        _MISSING,
        "What the other alerts look at is not measured: they would not fire.",
        "Nothing new from {{ $labels.source }}.",
        "5m",
    ),
)  # fmt: skip

CAUSES = Group("golden-causes", ALERTS)
