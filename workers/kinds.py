"""Which workflows and activities a kind of worker runs, on which Task Queue."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from temporalio.common import VersioningBehavior

from schema.engine import ORCHESTRATOR_QUEUE, PEER_HUB_QUEUE, SANDBOX_QUEUE, SUPERVISOR_QUEUE
from workers.parts import Parts
from workflows.agent_task import AgentTask
from workflows.consensus_round import ConsensusRound
from workflows.learning_approval import LearningApproval
from workflows.learning_scan import LearningScan
from workflows.prompt_evaluation import PromptEvaluation
from workflows.reconcile import Reconcile
from workflows.sandbox_execution import SandboxExecution

PINNED, AUTO_UPGRADE = VersioningBehavior.PINNED, VersioningBehavior.AUTO_UPGRADE


@dataclass(frozen=True)
class Kind:
    """A kind of worker, deployable by itself.

    Attributes:
        activities: given the parts of the process, the activities it runs.
        concurrent_activities: how many at once, for each process; None is as many as the pool has sandboxes.
        behavior: of its workflows in a rollout, where workers have builds. What ends by itself, soon after nobody waits
            for anybody, is pinned; what waits for days, or runs on a Schedule, moves to the new build, with patches.
            Not with each workflow's definition: Temporal refuses that of workers without a build.
    """

    queue: str
    workflows: Sequence[type]
    activities: Callable[[Parts], Sequence[Callable[..., Any]]]
    concurrent_activities: int | None
    behavior: VersioningBehavior


def _orchestrator(parts: Parts) -> Sequence[Callable[..., Any]]:
    records, parking, evaluation = parts.records, parts.parking, parts.evaluation
    return (
        parts.admission.admit,
        parts.given.read_given,
        parts.escalations.remind,
        parts.escalations.expire_decision,
        parts.llm.ask_role,
        parts.llm.await_turn,
        parking.park,
        parking.read_letter,
        parking.yield_slot,
        parking.abandon,
        records.escalate,
        records.read_decision,
        records.finish,
        evaluation.admit_learning,
        evaluation.release_learning,
        evaluation.choose_subjects,
        evaluation.judge_report,
        evaluation.record_evaluation,
    )


def _peer_hub(parts: Parts) -> Sequence[Callable[..., Any]]:
    votes = parts.votes
    return (
        parts.llm.ask_role,
        parts.llm.await_turn,
        votes.read_voter_records,
        votes.store_objections,
        votes.record_vote,
    )


def _sandbox(parts: Parts) -> Sequence[Callable[..., Any]]:
    return (parts.sandbox.prove, parts.sandbox.run_in_sandbox, parts.sandbox.await_sandbox, parts.mending.mend)


def _supervisor(parts: Parts) -> Sequence[Callable[..., Any]]:
    learning, prompts = parts.learning, parts.prompts
    return (
        parts.reconcile.reconcile,
        parts.scan.scan,
        learning.open_update,
        learning.remind_update,
        learning.settle_update,
        prompts.look_update,
        prompts.word_update,
        prompts.admit_update,
        prompts.judge_update,
        prompts.escalate_update,
        prompts.close_update,
        parts.canaries.watch_canary,
        # What a wording waits for is waited for here.
        parts.llm.await_turn,
    )


KINDS: dict[str, Kind] = {
    "orchestrator": Kind(
        ORCHESTRATOR_QUEUE, (AgentTask, PromptEvaluation, SandboxExecution), _orchestrator, 50, PINNED
    ),
    "peer-hub": Kind(PEER_HUB_QUEUE, (ConsensusRound,), _peer_hub, 50, PINNED),
    "sandbox": Kind(SANDBOX_QUEUE, (), _sandbox, None, PINNED),
    "supervisor": Kind(SUPERVISOR_QUEUE, (LearningApproval, LearningScan, Reconcile), _supervisor, 10, AUTO_UPGRADE),
}

ALL = "all"
"""Every kind in one process, for one machine."""


def kinds_of(name: str) -> dict[str, Kind]:
    """The kinds that a name stands for.

    Raises:
        KeyError: there is no such kind.
    """
    return KINDS if name == ALL else {name: KINDS[name]}
