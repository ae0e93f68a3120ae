"""The evidence of one task: everything that vouches for how it came out, in one document that is checked offline.

The document is `canonical_json` of a `Bundle` and a line end, and nothing else: one text for one bundle. Unless its
texts are asked for it holds no word that a user or a model wrote, only digests, numbers, ids, and the names of people
and of what Golden itself names.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from schema.anchor import Anchor
from schema.audit import ChainedRecord
from schema.messages.base import Message, Tenant, TextRef
from schema.messages.sandbox import Isolation, Limit, Severity
from schema.messages.task import RoleTokens, TaskState
from schema.messages.vote import LateBallot, Rule, VoteOutcome, Voter, VoterRecord
from schema.texts import canonical_json

FORMAT = "golden.evidence/1"
SIGNED = b"golden-evidence-1\n"
"""Before what is signed, so that no signature of a bundle is one of anything else."""


class Erased(Message):
    """That the task's content was erased. Of such a task no bundle is made; the form has a place for it."""

    at: datetime
    by: str


class TaskFacts(Message):
    """Who wanted what, and what it came to. `spec` and `result` are digests of stored texts."""

    task_id: UUID
    tenant: Tenant
    kind: Literal["task", "vote"]
    parent: UUID | None
    state: TaskState
    submitted_by: str
    submitted_at: datetime
    updated_at: datetime
    cancel_requested_by: str | None
    spec: TextRef
    result: TextRef | None
    image: str
    budget_tokens: int
    spent_tokens: int
    held_tokens: int
    charged_tokens: int
    spent_micro_usd: int
    held_micro_usd: int
    charged_micro_usd: int
    prompts: dict[str, UUID]


class StateFact(Message):
    """A state that the task came to; `sequence` is the place in its story."""

    sequence: int
    state: TaskState
    at: datetime


class StepFact(Message):
    """A step; `detail` is the type of its error, where it failed."""

    step: str
    epoch: int
    state: str
    started_at: datetime
    ended_at: datetime | None
    detail: str


class GuidelineFact(Message):
    """A learned sentence by its digest."""

    id: UUID
    digest: TextRef


class PromptFact(Message):
    """A version of a role's prompt, by the digests of its parts."""

    id: UUID
    tenant: str
    role: str
    kind: Literal["release", "update"]
    base: TextRef
    guidelines: tuple[GuidelineFact, ...]
    digest: TextRef
    parent: UUID | None
    update_id: UUID | None
    proposer: str
    approver: str
    at: datetime


class ApprovalFact(Message):
    """Who said yes to which digest of a proposal."""

    actor: str
    digest: TextRef
    at: datetime


class UpdateFact(Message):
    """The proposal that made a version: what it changed, by digests, and who proposed and approved it."""

    id: UUID
    tenant: str
    role: str
    op: Literal["add", "change", "remove"]
    old: GuidelineFact | None
    new: GuidelineFact | None
    parent_version: UUID | None
    version: UUID | None
    digest: TextRef
    proposer: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    approvals: tuple[ApprovalFact, ...]


class CallFact(Message):
    """One dispatch to a model. What was asked is built of what is named here, and is not stored itself.

    Attributes:
        prompt_version: a version's id; with a proposal's after a plus; or a base's hash where none was pinned.
        response: the digest of the answer.
        invalid: it was refused as no answer.
    """

    step: str
    epoch: int
    ask: int
    dispatch: int
    role: str
    model: str
    prompt_version: str
    state: Literal["sent", "settled", "uncertain"]
    response: TextRef | None
    invalid: bool
    reserved_tokens: int
    reserved_micro_usd: int | None
    input_tokens: int | None
    output_tokens: int | None
    micro_usd: int | None
    sent_at: datetime
    ended_at: datetime | None


class RunFact(Message):
    """A candidate's proof; `isolation` is None where its submitter stated it. `findings` are counted by severity."""

    step: str
    epoch: int
    candidate: TextRef
    report: TextRef
    passed: bool
    tests_passed: int
    tests_failed: int
    limit: Limit | None
    isolation: Isolation | None
    findings: dict[Severity, int]
    weights: dict[str, int]
    size_bytes: int


class ReductionFact(Message):
    """What a rule took from a ballot's weight."""

    rule: Rule
    factor: float


class VoterFact(Message):
    """What one voter's ballot counted for in the round that decided; `answer` is the digest of what it wrote."""

    role: Voter
    choice: Literal["approve", "reject", "abstain", "absent"]
    confidence: float | None
    weight: int
    effective_weight: int
    pivotal: bool
    outcome_without: VoteOutcome
    banzhaf: float
    shapley_shubik: float
    reductions: tuple[ReductionFact, ...]
    record: VoterRecord | None
    answer: TextRef | None


class VoteFact(Message):
    """A vote's explanation without its words, whose digest is `explanation`.

    Attributes:
        candidate: what was voted on.
        veto: who vetoed.
    """

    number: int
    epoch: int
    explanation: TextRef
    candidate: TextRef | None
    outcome: VoteOutcome
    threshold: float
    reject_threshold: float
    quorum: int
    round: int
    round_one_outcome: VoteOutcome
    veto: Voter | None
    flip: tuple[str, ...] | None
    flip_cost: int | None
    flip_outcome: VoteOutcome | None
    effective_votes: float | None
    voters: tuple[VoterFact, ...]
    late: tuple[LateBallot, ...]


class BallotFact(Message):
    """A ballot as its row says it, of every round."""

    vote: int
    round: int
    voter: Voter
    choice: Literal["approve", "reject", "abstain", "absent"]
    confidence: float | None
    weight: int
    effective_weight: int
    late: bool
    at: datetime


class DecisionFact(Message):
    """A person's decision on an escalated task."""

    decision: Literal["accept", "reject"]
    actor: str
    at: datetime


class TruthFact(Message):
    """What became known later of what was voted on."""

    source: str
    good: bool
    actor: str
    at: datetime


class LetterFact(Message):
    """A step that was parked, and who decided on it."""

    id: UUID
    step: str
    epoch: int
    kind: str
    cause: str
    attempts: int
    state: str
    parked_at: datetime
    decided_at: datetime | None
    decided_by: str | None


class EntryFact(Message):
    """An entry of the ledger, on the task's account or on its tenant's."""

    id: int
    at: datetime
    account: Literal["task", "tenant"]
    step: str
    epoch: int
    ask: int
    dispatch: int
    kind: str
    held_tokens: int
    spent_tokens: int
    held_micro_usd: int
    spent_micro_usd: int
    actor: str | None


class FileFact(Message):
    """A file of the verdict: SHA-256 of its path and of its text."""

    path: TextRef
    content: TextRef


class VerdictFact(Message):
    """What the result says. `candidate` is None where the files are none that was proven."""

    state: TaskState
    candidate: TextRef | None
    files: tuple[FileFact, ...]
    tests: dict[str, int]
    tokens: dict[str, RoleTokens]
    micro_usd: int | None
    prompts: dict[str, str]
    isolation: Isolation | None


class Word(Message):
    """A short text of a person or a model, and where it stands."""

    place: str
    text: str


class Content(Message):
    """The texts themselves: those that are stored by their digest, and the short ones."""

    texts: dict[TextRef, str]
    words: tuple[Word, ...]


class Body(Message):
    """What is known of a task, but for the audit log."""

    task: TaskFacts
    states: tuple[StateFact, ...]
    steps: tuple[StepFact, ...]
    prompts: tuple[PromptFact, ...]
    updates: tuple[UpdateFact, ...]
    calls: tuple[CallFact, ...]
    runs: tuple[RunFact, ...]
    votes: tuple[VoteFact, ...]
    ballots: tuple[BallotFact, ...]
    decision: DecisionFact | None
    truths: tuple[TruthFact, ...]
    letters: tuple[LetterFact, ...]
    ledger: tuple[EntryFact, ...]
    verdict: VerdictFact | None


class Link(Message):
    """One record of a part of a chain: whole, where it is of the task; else its leaf.

    Attributes:
        hash: of a record of somebody else from before records had leaves: that it stands there only the bundle says.
    """

    record: ChainedRecord | None = None
    leaf: TextRef | None = None
    hash: TextRef | None = None


class Segment(Message):
    """A part of the chain, from a record of the task on to the next head that was signed when it was the last.

    Attributes:
        previous: the hash before its first record.
        anchor: None where no head had been signed yet.
    """

    first: int
    previous: TextRef
    links: tuple[Link, ...] = Field(min_length=1)
    anchor: Anchor | None


class AuditFact(Message):
    """The audit records of the task. `looks` were allowed and only read it; they are counted, not shown."""

    looks: int
    segments: tuple[Segment, ...]


class Signature(Message):
    """Ed25519 (RFC 8032) over `SIGNED` and the canonical JSON of all the rest; hexadecimal."""

    kid: str
    value: str


class Unsigned(Message):
    """A bundle before it is signed.

    Attributes:
        keys: the public keys that signed it and its anchors, raw in hexadecimal, by RFC 7638 thumbprint.
    """

    format: Literal["golden.evidence/1"]
    made_at: datetime
    made_for: str
    erased: Erased | None
    body: Body
    audit: AuditFact
    content: Content | None
    keys: dict[str, str]


class Bundle(Unsigned):
    """The evidence of one task, signed."""

    signature: Signature


def signed_bytes(unsigned: dict[str, Any]) -> bytes:
    """What the signature of a bundle is of: its JSON value without the member `signature`."""
    return SIGNED + canonical_json(unsigned).encode()


def document(bundle: Bundle) -> bytes:
    """A bundle as its file has it."""
    return canonical_json(bundle.model_dump(mode="json")).encode() + b"\n"
