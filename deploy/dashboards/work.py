"""What the product does: tasks and money, votes, sandboxes, models, learning."""

from deploy.dashboards.expressions import age, buckets, fleet_rate, most, quantile, rate, share
from deploy.dashboards.panel import Dashboard, Panel, Query, burns, kept
from schema import metrics as m

DOLLARS = "/ 1e6"
HOURLY = "* 3600"
SLO_NAMES = (
    "gateway-availability",
    "gateway-latency",
    "task-success",
    "consensus-time",
    "sandbox-start",
    "audit-writes",
)
VOTE_SECONDS = 150.0
START_SECONDS = 2.0


def _waits() -> tuple[Panel, ...]:
    return (
        Panel("Wait for a person", "stat", "short", "Tasks that were escalated, and nobody has decided on.",
              (Query(most(m.ESCALATIONS)),), ((1, "yellow"),), runbooks=("GoldenEscalationAge",), width=4),
        Panel("Oldest of them", "stat", "s", "Since when the oldest waits; after four hours there is a ticket.",
              (Query(most(m.ESCALATIONS_OLDEST)),), ((4 * 3600, "orange"),), runbooks=("GoldenEscalationAge",),
              width=4),
        Panel("Wait for a slot", "stat", "s", "Since when the oldest task waits to be admitted.",
              (Query(most(m.OLDEST_QUEUED_SECONDS)),), ((300, "yellow"),), width=4),
        Panel("Dead letters", "stat", "short",
              "Steps that were given up; their tasks are parked until somebody decides.",
              (Query(f"sum({most(m.LETTERS, 'kind')})"),), ((1, "orange"),), runbooks=("GoldenDeadLettersOpen",),
              width=4),
        Panel("Oldest dead letter", "stat", "s", "Since when it waits for a decision.",
              (Query(most(m.LETTERS_OLDEST)),), ((4 * 3600, "orange"),), runbooks=("GoldenDeadLettersOpen",), width=4),
        Panel("Numbers are so old", "stat", "s",
              "Since when the fleet's numbers were last read; older than two minutes they say little.",
              (Query(age(m.FLEET_READ_AT)),), ((120, "red"),), runbooks=("GoldenMetricsMissing",), width=4),
    )  # fmt: skip


def _money() -> tuple[Panel, ...]:
    books = {kind: most(m.BUDGET_MICRO_USD, "tenant", where=f'kind="{kind}"') for kind in ("limit", "spent", "held")}
    tokens = {kind: most(m.BUDGET_TOKENS, "tenant", where=f'kind="{kind}"') for kind in ("limit", "spent", "held")}
    return (
        Panel("Dollars an hour, by role", "timeseries", "currencyUSD",
              "What model calls are charged, at the pace of the moment.",
              (Query(f"{rate(m.LLM_MICRO_USD, 'role')} {DOLLARS} {HOURLY}", "{{role}}"),), stacked=True),
        Panel("Tokens charged a second, by kind", "timeseries", "cps",
              "`uncertain` was charged as held, because the provider never told what was used.",
              (Query(rate(m.LLM_TOKENS, "kind"), "{{kind}}"),), stacked=True),
        Panel("Tenants' dollars", "table", "currencyUSD",
              "The 100 tenants that spent most; without a limit the cell is empty.",
              tuple(Query(f"{books[kind]} {DOLLARS}", kind) for kind in books), key="tenant"),
        Panel("Tenants' tokens", "table", "short", "The same tenants; held is what calls under way may use.",
              tuple(Query(tokens[kind], kind) for kind in tokens), key="tenant"),
    )  # fmt: skip


OVERVIEW = Dashboard(
    "golden-overview", "Golden: overview",
    "Whether the promises are kept, what tasks are at, and what it costs.",
    (
        *(kept(name) for name in SLO_NAMES),
        burns(),
        Panel("Tasks that have not ended, by state", "timeseries", "short",
              "Queued ones wait for a slot, escalated and parked ones for a person; the others are worked on.",
              (Query(most(m.ACTIVE_TASKS, "state"), "{{state}}"),), stacked=True,
              runbooks=("GoldenEscalationAge", "GoldenDeadLettersOpen")),
        *_waits(),
        Panel("Tasks that end, a minute", "timeseries", "cpm", "By final state; failed ones spend the error budget.",
              (Query(fleet_rate(m.TASKS_ENDED, "state", minute=True), "{{state}}"),),
              runbooks=("GoldenTaskErrorBudgetBurn",)),
        Panel("From submission to the end", "timeseries", "s", "Half of the tasks, and 19 of 20, took no longer.",
              tuple(Query(quantile(part, m.TASK_SECONDS), name) for part, name in ((0.5, "p50"), (0.95, "p95")))),
        *_money(),
        Panel("Accounts that do not add up", "stat", "short",
              "Accounts whose sums are not those of their ledger's entries. One is too many.",
              (Query(most(m.LEDGER_DRIFT)),), ((1, "red"),), runbooks=("GoldenLedgerDrift",), width=8),
        Panel("Broken audit chains", "stat", "short", "Tenants whose audit chain does not verify. One is too many.",
              (Query(most(m.AUDIT_CHAINS_BROKEN)),), ((1, "red"),), runbooks=("GoldenAuditChainBroken",), width=8),
        Panel("Release", "stat", "short", "Which release the exporter is of.",
              (Query(most(m.BUILD_INFO, "version"), "{{version}}"),), width=8, named=True),
    ),
)  # fmt: skip

CONSENSUS = Dashboard(
    "golden-consensus", "Golden: consensus",
    "How votes end, how long they take, and when the peer hub needs more pods.",
    (
        kept("consensus-time", 8),
        Panel("Escalated tasks", "stat", "short", "A vote that decides nothing leaves its task to a person.",
              (Query(most(m.ESCALATIONS)),), ((1, "yellow"),), runbooks=("GoldenEscalationAge",), width=8),
        Panel("Busy slots of the peer hub", "stat", "percentunit",
              "From 0.8 on, and only while votes are slow too, the autoscaler adds pods.",
              (Query("golden:peer_hub_slots:busy_share"),), ((0.8, "orange"),), runbooks=("GoldenSlotsSpent",),
              width=8),
        Panel("Votes that end, a minute", "timeseries", "cpm", "By outcome.",
              (Query(rate(m.CONSENSUS_SECONDS, "outcome", minute=True), "{{outcome}}"),), stacked=True),
        Panel("From the start of a vote to its outcome", "timeseries", "s",
              "19 of 20 votes are to end within 150 s.",
              tuple(Query(quantile(part, m.CONSENSUS_SECONDS), name)
                    for part, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))),
              ((VOTE_SECONDS, "red"),), runbooks=("GoldenConsensusErrorBudgetBurn",)),
        Panel("Votes by their seconds", "heatmap", "s",
              "How many votes took how long: one line of cells is one bucket.",
              (Query(buckets(m.CONSENSUS_SECONDS)),)),
        Panel("What the autoscaler goes by", "timeseries", "s",
              "The 95th percentile of votes, gated on busy slots: above 150 s pods are added.",
              (Query("golden:autoscale_consensus_seconds:gated", "gated"),
              Query("golden:consensus_seconds:p95", "p95")),
              ((VOTE_SECONDS, "red"),), runbooks=("GoldenAutoscalerAtMaximum",)),
    ),
)  # fmt: skip

_SANDBOX = 'queue="sandbox",kind="activity"'
_SANDBOX_SLOTS = 'task_queue="sandbox",worker_type="ActivityWorker"'
_QUANTILES = ((0.5, "p50"), (0.95, "p95"))

SANDBOX = Dashboard(
    "golden-sandbox", "Golden: sandbox",
    "What runs, which limits end it, and how long it waits for a sandbox.",
    (
        kept("sandbox-start", 6),
        Panel("Steps that wait or run", "stat", "short", "The autoscaler wants five a pod.",
              (Query(most(m.SANDBOX_DEPTH)),), width=6),
        Panel("Oldest step in line", "stat", "s", "Since when the oldest step waits for a worker.",
              (Query(most(m.QUEUE_AGE, where=_SANDBOX)),), ((300, "red"),), runbooks=("GoldenBacklogAge",), width=6),
        Panel("Runs ended by a limit", "stat", "percentunit",
              "Generated programs that ran into a limit of time, memory or output. Some always do.",
              (Query(share(rate(m.SANDBOX_RUN_SECONDS, where='limit!="none"'), rate(m.SANDBOX_RUN_SECONDS))),),
              width=6),
        Panel("Runs a minute, by the limit that ended them", "timeseries", "cpm",
              "`none` came to their end by themselves.",
              (Query(rate(m.SANDBOX_RUN_SECONDS, "limit", minute=True), "{{limit}}"),), stacked=True),
        Panel("Wait for a sandbox", "timeseries", "s",
              "Until a sandbox took the files; 99 of 100 are to wait less than 2 s. More want more standby sandboxes.",
              tuple(Query(quantile(part, m.SANDBOX_START_SECONDS), name) for part,
              name in (*_QUANTILES, (0.99, "p99"))),
              ((START_SECONDS, "red"),), runbooks=("GoldenSandboxStartErrorBudgetBurn",)),
        Panel("Runs by their seconds", "heatmap", "s", "How many runs took how long: one line of cells is one bucket.",
              (Query(buckets(m.SANDBOX_RUN_SECONDS)),)),
        Panel("Seconds of a run", "timeseries", "s", "From the first command to the last, without the wait.",
              tuple(Query(quantile(part, m.SANDBOX_RUN_SECONDS), name) for part, name in _QUANTILES)),
        Panel("Slots of the sandbox workers", "timeseries", "short", "Without an available one, steps wait in line.",
              (Query(f"sum({m.SLOTS_USED.name}{{{_SANDBOX_SLOTS}}})", "used"),
               Query(f"sum({m.SLOTS_AVAILABLE.name}{{{_SANDBOX_SLOTS}}})", "available")),
              stacked=True, runbooks=("GoldenSlotsSpent",)),
        Panel("Given-up steps, by kind", "timeseries", "short",
              "Open dead letters; `sandbox` are steps whose sandbox failed again and again.",
              (Query(most(m.LETTERS, "kind"), "{{kind}}"),), stacked=True, runbooks=("GoldenDeadLettersOpen",)),
    ),
)  # fmt: skip

MODELS = Dashboard(
    "golden-models", "Golden: model calls and circuits",
    "Who is asked, what comes back, what it costs, and which providers are left alone.",
    (
        Panel("Calls without a usable answer", "stat", "percentunit",
              "Calls that failed, ran out of time, were refused, or whose answer could not be used.",
              (Query(share(rate(m.LLM_REQUESTS, where='outcome!~"ok|cancelled"'), rate(m.LLM_REQUESTS))),),
              ((0.05, "yellow"), (0.2, "red")), runbooks=("GoldenCircuitOpen",), width=8),
        Panel("Tokens charged without knowing", "stat", "percentunit",
              "Where a provider did not tell what was used, what was held is charged.",
              (Query(share(rate(m.LLM_TOKENS, where='kind="uncertain"'), rate(m.LLM_TOKENS))),),
              ((0.05, "yellow"),), width=8),
        Panel("Worst circuit", "stat", "short", "0 closed, 1 half-open, 2 open, 3 paused by the provider's own word.",
              (Query(most(m.CIRCUITS)),), ((1, "yellow"), (2, "red")), runbooks=("GoldenCircuitOpen",), width=8),
        Panel("Calls a minute, by outcome", "timeseries", "cpm", "Of all models.",
              (Query(rate(m.LLM_REQUESTS, "outcome", minute=True), "{{outcome}}"),), stacked=True),
        Panel("Calls a minute, by model", "timeseries", "cpm", "Routes lead from the first model to the next.",
              (Query(rate(m.LLM_REQUESTS, "model", minute=True), "{{model}}"),), stacked=True),
        Panel("Seconds of a call, by model", "timeseries", "s", "19 of 20 calls took no longer.",
              (Query(quantile(0.95, m.LLM_SECONDS, "model"), "{{model}}"),)),
        Panel("Calls by their seconds", "heatmap", "s",
              "How many calls took how long: one line of cells is one bucket.",
              (Query(buckets(m.LLM_SECONDS)),)),
        Panel("Circuits", "timeseries", "short",
              "One for each provider and model: 0 closed, 1 half-open, 2 open, 3 paused by the provider's own word.",
              (Query(most(m.CIRCUITS, "circuit"), "{{circuit}}"),), ((2, "red"),), runbooks=("GoldenCircuitOpen",)),
        Panel("Tokens a second, by role", "timeseries", "cps", "Input, output and uncertain ones together.",
              (Query(rate(m.LLM_TOKENS, "role"), "{{role}}"),), stacked=True),
        Panel("Dollars an hour, by role", "timeseries", "currencyUSD", "What is charged, at the pace of the moment.",
              (Query(f"{rate(m.LLM_MICRO_USD, 'role')} {DOLLARS} {HOURLY}", "{{role}}"),), stacked=True),
        Panel("Dollars a call, by the minute", "timeseries", "currencyUSD", "The mean of all roles.",
              (Query(share(f"{rate(m.LLM_MICRO_USD)} {DOLLARS}", rate(m.LLM_REQUESTS)), "mean"),)),
    ),
)  # fmt: skip


def _open(state: str) -> str:
    proposals = most(m.APPROVALS, "role", where=f'state="{state}"')
    return f"sum({proposals})"


def _settled(outcome: str) -> str:
    return f'sum(max by (role) (increase({m.PROMPT_UPDATES.name}{{outcome="{outcome}"}}[24h])))'


LEARNING = Dashboard(
    "golden-learning", "Golden: learning",
    "Proposals for prompts and voters: what waits for a person, what is on trial, what was taken back.",
    (
        Panel("Wait for approval", "stat", "short", "Proposals that a person has to decide on.",
              (Query(_open("pending")),),
              ((1, "yellow"),), width=6),
        Panel("On trial", "stat", "short", "Approved prompts that some tasks are given, beside the old ones.",
              (Query(_open("canary")),), width=6),
        Panel("Adopted in a day", "stat", "short", "Prompts that held on trial.", (Query(_settled("adopted")),),
              width=6),
        Panel("Rolled back in a day", "stat", "short", "Prompts that had been approved and were taken back.",
              (Query(_settled("rolled_back")),), ((1, "red"),), runbooks=("GoldenLearningRolledBack",), width=6),
        Panel("Proposals that are not settled, by state", "timeseries", "short",
              "From proposed over evaluating, pending and approved to canary.",
              (Query(f"sum by (state) ({most(m.APPROVALS, 'role', 'state')})", "{{state}}"),), stacked=True),
        Panel("Proposals that are not settled, by role", "timeseries", "short",
              "Whose prompt, or whose votes' weights.",
              (Query(f"sum by (role) ({most(m.APPROVALS, 'role', 'state')})", "{{role}}"),), stacked=True),
        Panel("What proposals came to", "timeseries", "short", "All since the beginning, by outcome.",
              (Query(f"sum by (outcome) ({most(m.PROMPT_UPDATES, 'role', 'outcome')})", "{{outcome}}"),),
              runbooks=("GoldenLearningRolledBack",)),
        Panel("What proposals came to, by role", "table", "short", "All since the beginning.",
              tuple(Query(most(m.PROMPT_UPDATES, "role", where=f'outcome="{outcome}"'), outcome)
                    for outcome in ("adopted", "rejected", "expired", "rolled_back")), key="role", height=8),
    ),
)  # fmt: skip
