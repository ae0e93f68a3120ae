"""Every metric there is to alert on, draw or scale by: its name, kind, labels and meaning, in one table.

Who counts takes a metric from here, and so do the alerts, the dashboards, the chart and the reference: what isn't in
this table has no name. Seconds, bytes, totals; labels are bounded: never a task's id, a path or a user's word.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
Source = Literal["gateway", "worker", "exporter", "temporal", "prometheus", "kubernetes"]
"""Who shows it: a process of ours, the Temporal SDK in our processes, Prometheus itself, or kube-state-metrics."""

SHORT_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
RUN_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
LONG_SECONDS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 150.0, 300.0, 600.0, 1_800.0, 3_600.0, 21_600.0)


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as Prometheus has it; a histogram's without `_bucket`, `_sum` and `_count`.
        help: what it says, in a sentence without its full stop.
        labels: the labels of every sample, but for those that Prometheus adds.
        buckets: upper edges, in the unit of the name.
    """

    name: str
    kind: Kind
    source: Source
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


# The gateway, each for itself: add them up.
HTTP_REQUESTS = Metric(
    "golden_http_requests_total", "counter", "gateway", "Answered HTTP requests", ("route", "status")
)
HTTP_SECONDS = Metric(
    "golden_http_request_seconds", "histogram", "gateway",
    "Seconds to the first byte of an answer", ("route",), SHORT_SECONDS,
)  # fmt: skip
RATE_LIMITED = Metric(
    "golden_rate_limited_total", "counter", "gateway", "Requests that were refused by a limit", ("limit",)
)
AUDIT_RECORDS = Metric(
    "golden_audit_records_total",
    "counter",
    "gateway",
    "Records appended to the audit log by this gateway",
    ("outcome",),
)
AUDIT_FAILURES = Metric(
    "golden_audit_failures_total", "counter", "gateway",
    "Records that could not be appended to the audit log; what they were to tell was refused",
)  # fmt: skip
AUDIT_ANCHORS = Metric(
    "golden_audit_anchors_total", "counter", "gateway", "Heads of audit chains that were signed and kept", ("result",)
)

# The workers, each for itself: add them up.
TASK_SECONDS = Metric(
    "golden_task_duration_seconds", "histogram", "worker",
    "Seconds from a task's submission to its end", ("state",), LONG_SECONDS,
)  # fmt: skip
CONSENSUS_SECONDS = Metric(
    "golden_consensus_duration_seconds", "histogram", "worker",
    "Seconds from the start of a vote to its outcome", ("outcome",), LONG_SECONDS,
)  # fmt: skip
SANDBOX_RUN_SECONDS = Metric(
    "golden_sandbox_run_seconds", "histogram", "worker",
    "Seconds of a run in the sandbox; limit is `none` or the limit that ended it", ("limit",), RUN_SECONDS,
)  # fmt: skip
SANDBOX_START_SECONDS = Metric(
    "golden_sandbox_start_seconds", "histogram", "worker",
    "Seconds that a run waited until a sandbox took its files", (), RUN_SECONDS,
)  # fmt: skip
LLM_REQUESTS = Metric(
    "golden_llm_requests_total", "counter", "worker",
    "Calls of model providers; outcome is ok, invalid, refused, failed, timeout or cancelled", ("model", "outcome"),
)  # fmt: skip
LLM_SECONDS = Metric(
    "golden_llm_request_seconds",
    "histogram",
    "worker",
    "Seconds of one call of a model provider",
    ("model",),
    RUN_SECONDS,
)
LLM_TOKENS = Metric(
    "golden_llm_tokens_total", "counter", "worker",
    "Tokens charged; kind is input, output, or uncertain where the use is not known and the hold was charged",
    ("role", "kind"),
)  # fmt: skip
LLM_MICRO_USD = Metric(
    "golden_llm_micro_usd_total", "counter", "worker", "Millionths of a dollar charged for model calls", ("role",)
)

# The fleet, read from PostgreSQL and Temporal by the exporter: take the maximum, not the sum.
FLEET_READ_AT = Metric(
    "golden_fleet_read_timestamp_seconds", "gauge", "exporter",
    "When the fleet's numbers were last read, seconds since 1970; the older where PostgreSQL or Temporal is away",
)  # fmt: skip
SOURCE_READ_AT = Metric(
    "golden_fleet_source_read_timestamp_seconds", "gauge", "exporter",
    "When one source was last read, seconds since 1970; source is postgresql, temporal, archive, ledgers or audit",
    ("source",),
)  # fmt: skip
TASKS_ENDED = Metric("golden_tasks_total", "counter", "exporter", "Tasks that ended, by final state", ("state",))
ACTIVE_TASKS = Metric("golden_active_tasks", "gauge", "exporter", "Tasks that have not ended", ("state",))
OLDEST_QUEUED_SECONDS = Metric(
    "golden_queued_oldest_seconds", "gauge", "exporter",
    "Since when the oldest task waits to be admitted; 0 without one",
)  # fmt: skip
ESCALATIONS = Metric("golden_escalations_open", "gauge", "exporter", "Tasks that wait for a person's decision")
ESCALATIONS_OLDEST = Metric(
    "golden_escalations_oldest_seconds", "gauge", "exporter",
    "Since when the oldest escalated task waits; 0 without one",
)  # fmt: skip
LETTERS = Metric("golden_dead_letters_open", "gauge", "exporter", "Dead letters that wait for a decision", ("kind",))
LETTERS_OLDEST = Metric(
    "golden_dead_letters_oldest_seconds", "gauge", "exporter",
    "Since when the oldest open dead letter waits; 0 without one",
)  # fmt: skip
CIRCUITS = Metric("golden_circuit_state", "gauge", "exporter", "0 closed, 1 half-open, 2 open, 3 paused", ("circuit",))
BUDGET_TOKENS = Metric(
    "golden_budget_tokens", "gauge", "exporter",
    "Tokens of a tenant's account: limit, spent, held; the 100 tenants that spent most", ("tenant", "kind"),
)  # fmt: skip
BUDGET_MICRO_USD = Metric(
    "golden_budget_micro_usd", "gauge", "exporter",
    "Millionths of a dollar of a tenant's account: limit, spent, held; the same 100 tenants", ("tenant", "kind"),
)  # fmt: skip
LEDGER_DRIFT = Metric(
    "golden_ledger_drift", "gauge", "exporter",
    "Accounts whose sums differ from their ledger's entries, as `golden budget check` finds them",
)  # fmt: skip
APPROVALS = Metric("golden_approvals_open", "gauge", "exporter", "Proposals that are not settled", ("role", "state"))
PROMPT_UPDATES = Metric(
    "golden_prompt_updates_total",
    "counter",
    "exporter",
    "Proposals for prompts, by what they came to",
    ("role", "outcome"),
)
AUDIT_CHAINS_BROKEN = Metric(
    "golden_audit_chains_broken", "gauge", "exporter", "Tenants whose audit chain does not verify"
)
AUDIT_VERIFIED_AT = Metric(
    "golden_audit_verified_timestamp_seconds", "gauge", "exporter",
    "When every audit chain was last verified, seconds since 1970",
)  # fmt: skip
QUEUE_DEPTH = Metric(
    "golden_task_queue_backlog", "gauge", "exporter",
    "Tasks of a Task Queue that no worker has taken, as Temporal estimates them; kind is workflow or activity",
    ("queue", "kind"),
)  # fmt: skip
QUEUE_AGE = Metric(
    "golden_task_queue_backlog_age_seconds", "gauge", "exporter",
    "Since when the oldest of them waits", ("queue", "kind"),
)  # fmt: skip
QUEUE_POLLERS = Metric(
    "golden_task_queue_pollers",
    "gauge",
    "exporter",
    "Workers that polled a Task Queue within two minutes",
    ("queue", "kind"),
)
SANDBOX_DEPTH = Metric(
    "golden_sandbox_queue_depth", "gauge", "exporter",
    "Sandbox steps that wait for a worker, as Temporal tells, or that are under way, by their tasks' rows",
)  # fmt: skip
ARCHIVE_AGE = Metric(
    "golden_wal_archive_age_seconds", "gauge", "exporter",
    "Seconds since PostgreSQL last archived its log, where it has something to archive; 0 where archiving is off",
)  # fmt: skip
ARCHIVE_FAILURES = Metric(
    "golden_wal_archive_failures_total", "counter", "exporter", "Attempts of PostgreSQL to archive its log that failed"
)

BUILD_INFO = Metric(
    "golden_build_info", "gauge", "exporter", "1; its labels say which release the exporter is of", ("version",)
)

OURS: tuple[Metric, ...] = tuple(each for each in list(globals().values()) if isinstance(each, Metric))

# What others show and we alert on, draw or scale by.
SLOTS_AVAILABLE = Metric(
    "temporal_worker_task_slots_available", "gauge", "temporal",
    "Workflow or activity tasks that a worker could take more", ("namespace", "task_queue", "worker_type"),
)  # fmt: skip
SLOTS_USED = Metric(
    "temporal_worker_task_slots_used", "gauge", "temporal",
    "Workflow or activity tasks that a worker works on", ("namespace", "task_queue", "worker_type"),
)  # fmt: skip
SCHEDULE_TO_START = Metric(
    "temporal_activity_schedule_to_start_latency_seconds", "histogram", "temporal",
    "Seconds from an activity's schedule to its start", ("namespace", "task_queue"), RUN_SECONDS,
)  # fmt: skip
ACTIVITY_FAILURES = Metric(
    "temporal_activity_execution_failed_total", "counter", "temporal",
    "Attempts of activities that failed; failure_reason is ActivityError",
    ("namespace", "task_queue", "workflow_type", "activity_type", "failure_reason"),
)  # fmt: skip
WORKFLOW_TASK_FAILURES = Metric(
    "temporal_workflow_task_execution_failed_total", "counter", "temporal",
    "Workflow tasks that failed; failure_reason is WorkflowError or NonDeterminismError, which a changed course makes",
    ("namespace", "task_queue", "workflow_type", "failure_reason"),
)  # fmt: skip
REQUEST_FAILURES = Metric(
    "temporal_request_failure_total", "counter", "temporal",
    "Requests to Temporal that failed, by method and gRPC's status", ("namespace", "operation", "status_code"),
)  # fmt: skip
UP = Metric("up", "gauge", "prometheus", "1 where the last scrape of a process worked", ("job",))
HPA_REPLICAS = Metric(
    "kube_horizontalpodautoscaler_status_current_replicas", "gauge", "kubernetes",
    "Pods that an autoscaler has", ("namespace", "horizontalpodautoscaler"),
)  # fmt: skip
HPA_MOST = Metric(
    "kube_horizontalpodautoscaler_spec_max_replicas", "gauge", "kubernetes",
    "Pods that an autoscaler may have", ("namespace", "horizontalpodautoscaler"),
)  # fmt: skip

METRICS: tuple[Metric, ...] = tuple(each for each in list(globals().values()) if isinstance(each, Metric))
BY_NAME = {metric.name: metric for metric in METRICS}
