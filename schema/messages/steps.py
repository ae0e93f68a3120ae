"""What workflows and activities say to each other. Large texts go by reference, so that histories stay small."""

from typing import Literal
from uuid import UUID

from schema.messages.base import Message, Tenant, TextRef
from schema.messages.sandbox import GuardName, GuardPolicy, Isolation, Limit, Remedied, Severity
from schema.messages.task import AutoFix, FixView, TaskState
from schema.messages.vote import Ballot, Evidence, VotePolicy

Role = Literal["architect", "developer", "reviewer", "security", "tester"]
Asked = Role | Literal["supervisor"]
"""Whose model is asked. The supervisor words what the others might learn; it works on no task."""


class AgentTaskInput(Message):
    """Starts `AgentTask`. Everything else is read from the task's row when it is admitted."""

    task_id: UUID
    tenant: Tenant


class StepRef(Message):
    """Names one durable step of one task: `plan`, `develop/2`, `ballot/security/1`. A redrive opens a new epoch."""

    task_id: UUID
    tenant: Tenant
    step: str
    epoch: int = 1


class Admission(Message):
    """A task's slot is taken and its budget held; this is what the workflow needs to run it.

    Attributes:
        given: it is a vote by itself, whose candidate is there.
        auto_fix: what is done about findings.
    """

    title: str
    candidates: int
    repair_rounds: int
    deadline_seconds: int
    policy: VotePolicy
    given: bool = False
    auto_fix: AutoFix = AutoFix()


class ReadGivenInput(Message):
    """Reads the candidate that a vote by itself brings."""

    ref: StepRef


class AskRoleInput(Message):
    """Asks one role's model.

    Attributes:
        state: the task's state while this step runs.
        variant: 0 is asked at temperature 0 with a fixed seed; each other number with its own seed and more
            diversity.
        plan, candidate, report, objections: what is known so far, by reference.
        evidence: what a ballot may cite; voters only.
        route: the models to ask, in their order, where a redrive named them.
        prompt: the version to ask with, in place of the one that the task is pinned to.
        change: the proposal whose change is made to `prompt` before it is asked with: what a version would be that
            nobody has approved.
        subject: what is asked about, in place of the task's own spec: a past task of the tenant's, by reference.
    """

    ref: StepRef
    state: TaskState
    role: Asked
    variant: int = 0
    route: tuple[str, ...] | None = None
    plan: TextRef | None = None
    candidate: TextRef | None = None
    report: TextRef | None = None
    objections: TextRef | None = None
    evidence: Evidence | None = None
    prompt: UUID | None = None
    change: UUID | None = None
    subject: TextRef | None = None


class AskRoleResult(Message):
    """The validated answer by reference; a ballot also by value, since the tally needs it."""

    response: TextRef
    ballot: Ballot | None = None


class ProveInput(Message):
    """Runs the task's acceptance tests against a candidate in the sandbox, and has the guards look at it.

    Attributes:
        guards: the policy of the guards; None is the one that was submitted.
        subject: what it is a candidate for, in place of the task's own spec, by reference.
    """

    ref: StepRef
    state: TaskState
    candidate: TextRef
    guards: dict[GuardName, GuardPolicy] | None = None
    subject: TextRef | None = None


class MendInput(Message):
    """Has the remedies answer what the guards found in a candidate.

    Attributes:
        report: the report of the candidate's proof, with its findings.
        gentle: only remedies after which the code does the same.
    """

    ref: StepRef
    state: TaskState
    candidate: TextRef
    report: TextRef
    gentle: bool = False


class MendResult(Message):
    """What the remedies made of a candidate; None where nothing changed."""

    candidate: TextRef | None = None
    remedies: tuple[Remedied, ...] = ()


class Proof(Message):
    """How a candidate did in the sandbox; the whole report is behind `report`.

    Attributes:
        passed: every expected test ran and passed and no limit was hit.
        size_bytes: of the candidate's files, to prefer the smaller of two equals.
        lines: number of lines by path of the candidate's files.
        findings: severity by id, of the gravest.
        weights: by guard, what its findings weigh together.
        mendable: findings that a remedy may answer.
        repairable: findings of severity medium and more that a remedy or a model may answer, beside failing tests.
    """

    candidate: TextRef
    report: TextRef
    passed: bool
    tests_passed: int
    tests_failed: int
    limit: Limit | None = None
    isolation: Isolation | None
    size_bytes: int
    lines: dict[str, int]
    findings: dict[str, Severity] = {}
    weights: dict[str, int] = {}
    mendable: int = 0
    repairable: int = 0


class Given(Message):
    """The candidate of a vote by itself. `proof` is what its submitter states; None: it is to be proven here."""

    candidate: TextRef
    plan: TextRef | None = None
    proof: Proof | None = None


class StoredText(Message):
    """A reference to a stored text."""

    text: TextRef


class ReadDecisionInput(Message):
    """Asks whether a person has decided on an escalated task."""

    task_id: UUID
    tenant: Tenant


class HumanDecision(Message):
    """A person's decision, from its row; `decision` is None as long as there is none."""

    decision: Literal["accept", "reject"] | None = None
    actor: str = ""
    reason: str = ""


class KeptFix(FixView):
    """A repair that was kept, by the candidates and the reports before and after it: the diff is made of them where
    the task ends, so that histories stay small."""

    before: TextRef | None = None
    after: TextRef | None = None
    report_before: TextRef | None = None
    report_after: TextRef | None = None


class FinishInput(Message):
    """Ends a task: its result, its verdict event, and the release of its slot and hold, in one transaction."""

    task_id: UUID
    tenant: Tenant
    state: TaskState
    reason: str | None = None
    candidate: TextRef | None = None
    report: TextRef | None = None
    explanation: TextRef | None = None
    fixes: tuple[KeptFix, ...] = ()


class EscalateInput(Message):
    """Puts a question to a person.

    Attributes:
        shown: what they decide on, as the task's result would have it.
    """

    ref: StepRef
    question: str
    shown: FinishInput | None = None


class ReconcileResult(Message):
    """What one pass of `Reconcile` mended."""

    started: int = 0
    closed: int = 0
    cancelled: int = 0
    woken: int = 0
    skipped: int = 0
    erased: int = 0
