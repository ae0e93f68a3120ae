"""Whether what a bundle says agrees with itself: its story, prompts, calls, runs, decisions and acts."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from activities.answers import read_candidate
from activities.evidence import references, verdict_of
from schema.evidence import Bundle, GuidelineFact, PromptFact, UpdateFact
from schema.messages.sandbox import SandboxRun
from schema.messages.task import TaskResult


def story(bundle: Bundle) -> list[str]:
    """States and steps are in their order, and end where the task did."""
    body = bundle.body
    faults = []
    places = [state.sequence for state in body.states]
    if places != sorted(set(places)) or not places:
        faults.append("the states are not in their order, or one is there twice")
    if [state.at for state in body.states] != sorted(state.at for state in body.states):
        faults.append("the times of the states go back")
    if body.states and body.states[-1].state is not body.task.state:
        faults.append(f"the story ends as {body.states[-1].state}, the task as {body.task.state}")
    if not body.task.state.final:
        faults.append("the task has not ended")
    steps = [(step.step, step.epoch) for step in body.steps]
    if len(set(steps)) != len(steps):
        faults.append("a step is there twice")
    if [(s.started_at, s.step, s.epoch) for s in body.steps] != sorted(
        (s.started_at, s.step, s.epoch) for s in body.steps
    ):
        faults.append("the steps are not in their order")
    faults += [f"{s.step} ended before it began" for s in body.steps if s.ended_at and s.ended_at < s.started_at]
    if body.verdict is not None and body.verdict.state is not body.task.state:
        faults.append("the result says another state than the task")
    if bundle.content is not None and set(bundle.content.texts) != references(body):
        faults.append("texts are missing, or are of nothing here")
    return faults


def prompts(bundle: Bundle) -> list[str]:
    """Each version is what its digest says, and came of the one before it by a change that somebody else approved."""
    body = bundle.body
    versions = {prompt.id: prompt for prompt in body.prompts}
    updates = {update.id: update for update in body.updates}
    faults = [] if len(versions) == len(body.prompts) else ["a version is there twice"]
    if len(updates) != len(body.updates):
        faults.append("a proposal is there twice")
    for prompt in body.prompts:
        parts = ["golden-prompt-1", prompt.base, *(each.digest for each in prompt.guidelines)]
        if _joined(parts) != prompt.digest:
            faults.append(f"the version {prompt.id} is not what its digest says")
        if prompt.update_id is not None:
            faults += _made(prompt, updates.get(prompt.update_id), versions)
    made = {prompt.update_id for prompt in body.prompts}
    return faults + [f"the proposal {each} made no version here" for each in updates if each not in made]


def _made(prompt: PromptFact, update: UpdateFact | None, versions: dict[UUID, PromptFact]) -> list[str]:
    if update is None:
        return [f"the proposal that made the version {prompt.id} is not there"]
    faults = []
    told = [each.digest if each else "-" for each in (update.old, update.new)]
    parent = [str(update.parent_version)] if update.parent_version else []
    if _joined(["golden-prompt-update-1", update.tenant, update.role, update.op, *told, *parent]) != update.digest:
        faults.append(f"the proposal {update.id} is not what its digest says")
    before = versions.get(prompt.parent) if prompt.parent else None
    if before is None or _changed(before.guidelines, update) != prompt.guidelines:
        faults.append(f"the version {prompt.id} is not its parent with the proposal's change")
    if prompt.proposer != update.proposer:
        faults.append(f"the version {prompt.id} has another proposer than its proposal")
    yes = [each.actor for each in update.approvals if each.digest == update.digest]
    if update.proposer in {prompt.approver, *yes}:
        faults.append(f"the proposal {update.id} was approved by who made it")
    if prompt.approver != "golden" and prompt.approver not in yes:
        faults.append(f"there is no approval of the proposal {update.id} by {prompt.approver}")
    return faults


def _changed(before: Sequence[GuidelineFact], update: UpdateFact) -> tuple[GuidelineFact, ...]:
    if update.op == "add":
        return (*before, *([update.new] if update.new else []))
    put = [update.new] if update.op == "change" and update.new else []
    return tuple(kept for each in before for kept in (put if each == update.old else [each]))


def _joined(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def calls(bundle: Bundle) -> list[str]:
    """Each call is of a step and of a prompt that are there; an answer has its tokens."""
    body = bundle.body
    steps = {(step.step, step.epoch) for step in body.steps}
    versions = {str(prompt.id): prompt.role for prompt in body.prompts}
    keys = [(call.step, call.epoch, call.ask, call.dispatch) for call in body.calls]
    faults = [] if keys == sorted(set(keys)) else ["calls are there twice, or not in their order"]
    for call in body.calls:
        if (call.step, call.epoch) not in steps:
            faults.append(f"a call is of the step {call.step}, which is not there")
        version = call.prompt_version.partition("+")[0]
        if "-" in version and versions.get(version) != call.role:
            faults.append(f"the call of {call.step} was asked with a prompt that is not there, or is another role's")
        if call.state == "settled" and call.response and None in (call.input_tokens, call.output_tokens):
            faults.append(f"the answer of {call.step} has no tokens")
        if call.ended_at is not None and call.ended_at < call.sent_at:
            faults.append(f"the call of {call.step} ended before it was sent")
    pinned = {role: str(version) for role, version in body.task.prompts.items()}
    told = {call.role: call.prompt_version for call in body.calls}
    faults += [
        f"the {r} was asked with another prompt than the task's" for r in told if pinned.get(r, told[r]) != told[r]
    ]
    return faults + _result(bundle, told)


def _result(bundle: Bundle, told: dict[str, str]) -> list[str]:
    verdict, content = bundle.body.verdict, bundle.content
    if verdict is None:
        return []
    faults = [] if set(verdict.prompts) == set(told) else ["the result names prompts of other roles than were asked"]
    if content is not None and bundle.body.task.result is not None:
        result = TaskResult.model_validate_json(content.texts[bundle.body.task.result])
        if verdict_of(result, verdict.candidate) != verdict:
            faults.append("the result says something else")
        if verdict.candidate is not None and read_candidate(content.texts[verdict.candidate]) != result.files:
            faults.append("the result's files are not those of the candidate")
    return faults


def runs(bundle: Bundle) -> list[str]:
    """What was accepted was proven, and each proof is what its report says."""
    body = bundle.body
    faults = []
    places = [(run.step, run.epoch) for run in body.runs]
    if len(set(places)) != len(places) or not set(places) <= {(step.step, step.epoch) for step in body.steps}:
        faults.append("a run is there twice, or is of no step")
    for run in body.runs:
        if run.passed and (run.tests_failed or run.limit):
            faults.append(f"the run of {run.step} passed with failing tests or at a limit")
        if bundle.content is not None:
            report = SandboxRun.model_validate_json(bundle.content.texts[run.report])
            passed = sum(test.outcome == "passed" for test in report.tests)
            if (passed, report.limit, report.isolation) != (run.tests_passed, run.limit, run.isolation):
                faults.append(f"the report of {run.step} says something else")
    verdict = body.verdict
    if verdict is not None and verdict.candidate is not None:
        proven = [run for run in body.runs if run.candidate == verdict.candidate]
        if not proven or verdict.isolation not in {run.isolation for run in proven}:
            faults.append("the verdict's candidate was not run, or not isolated as the result says")
    if verdict is not None and body.task.kind == "task" and body.task.state == "accepted" and verdict.candidate is None:
        faults.append("what was accepted is no candidate that was run")
    return faults


def decisions(bundle: Bundle) -> list[str]:
    """Nobody decided on what they submitted; an outcome is the vote's or a person's."""
    body = bundle.body
    submitter = body.task.submitted_by
    faults = []
    if body.decision is not None and body.decision.actor == submitter:
        faults.append(f"{submitter} decided on their own task")
    faults += [
        f"{truth.actor} judged their own task"
        for truth in body.truths
        if truth.actor == submitter and truth.source != "human"
    ]
    wanted = {"accept": "accepted", "reject": "rejected"}
    if (
        body.decision is not None
        and body.task.state in wanted.values()
        and wanted[body.decision.decision] != body.task.state
    ):
        faults.append("the task ended otherwise than the person decided")
    voted = bool(body.votes) and body.votes[-1].outcome == "approved"
    if body.task.state == "accepted" and body.decision is None and not voted:
        faults.append("it was accepted without a vote or a person that approved it")
    letters = [letter.id for letter in body.letters]
    if len(set(letters)) != len(letters) or any(letter.state == "open" for letter in body.letters):
        faults.append("a dead letter is there twice, or still open")
    return faults


def acts(bundle: Bundle) -> list[str]:
    """The audit log tells of the acts that the rows tell of, by the same people."""
    body = bundle.body
    records = [link.record for segment in bundle.audit.segments for link in segment.links if link.record is not None]
    allowed = [record for record in records if record.outcome == "allowed"]
    task = str(body.task.task_id)
    faults = []
    if body.task.parent is None and not any(r.actor == body.task.submitted_by and r.object == task for r in allowed):
        faults.append(f"no record tells that {body.task.submitted_by} submitted the task")
    decision = body.decision
    if decision is not None and not any(
        record.actor == decision.actor and record.action == "tasks.decide" and record.object == task
        for record in allowed
    ):
        faults.append(f"no record tells that {decision.actor} decided")
    known = {task, *(str(each.id) for each in body.letters), *(str(each.id) for each in body.updates)}
    return faults + [
        f"record {record.sequence} is of something else" for record in records if record.object not in known
    ]
