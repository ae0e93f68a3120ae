"""Gathers the evidence of one task from its rows, in the caller's transaction (schema/evidence.py says what it is)."""

import json
from collections import Counter
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.answers import read_candidate
from activities.evidence_prompts import prompts_of
from activities.evidence_rows import read_rows
from schema.evidence import Body, Content, FileFact, RunFact, TaskFacts, VerdictFact, VoteFact, VoterFact, Word
from schema.messages.steps import Proof
from schema.messages.task import TaskResult
from schema.messages.vote import Explanation, VoterAccount
from schema.tables import decisions, task_steps, tasks, truths
from schema.texts import digest_of, get_text, get_texts


async def collect(connection: AsyncConnection, tenant: str, task_id: UUID) -> Body:
    """The evidence of a task that has ended.

    Raises:
        LookupError: a text of it is not there.
        SealBroken, KeyMissing: one can't be read.
    """
    row = (await connection.execute(select(tasks).where(tasks.c.task_id == task_id))).one()
    rows = await read_rows(connection, task_id)
    results = await _results(connection, task_id)
    proofs = [(step, epoch, proof) for step, epoch, found in results for proof in proofs_in(found)]
    spec = json.loads(await get_text(connection, tenant, row.spec))
    verdict = await _verdict(connection, tenant, row, [proof for _, _, proof in proofs])
    answers = {(step, epoch): found.get("response") for step, epoch, found in results}
    votes = await _votes(connection, tenant, results, answers, verdict)
    prompts, updates = await prompts_of(connection, [call.prompt_version for call in rows.calls])
    return Body(
        task=_facts(row, str(spec.get("image", "default"))),
        states=rows.states,
        steps=rows.steps,
        prompts=prompts,
        updates=updates,
        calls=rows.calls,
        runs=tuple(_run(*each) for each in proofs),
        votes=votes,
        ballots=rows.ballots,
        decision=rows.decision,
        truths=rows.truths,
        letters=rows.letters,
        ledger=rows.ledger,
        verdict=verdict,
    )


def proofs_in(result: dict[str, Any]) -> list[Proof]:
    """The proof that a step came to, also where a vote by itself brought it."""
    found = result.get("proof") if "proof" in result else result
    return [Proof.model_validate(found)] if isinstance(found, dict) and "tests_passed" in found else []


def references(body: Body) -> set[str]:
    """The digests of the stored texts that the evidence names."""
    named = {body.task.spec, body.task.result, *(call.response for call in body.calls)}
    named |= {vote.explanation for vote in body.votes}
    named |= {each for run in body.runs for each in (run.candidate, run.report)}
    return {each for each in named if each is not None}


async def content_of(connection: AsyncConnection, tenant: str, body: Body) -> Content:
    """The texts behind the evidence.

    Raises as `collect` does.
    """
    wanted = sorted(references(body))
    found = await get_texts(connection, tenant, *wanted)
    texts = {digest: text for digest, text in zip(wanted, found, strict=True) if text is not None}
    return Content(texts=texts, words=tuple(await _words(connection, body.task.task_id)))


async def _words(connection: AsyncConnection, task_id: UUID) -> list[Word]:
    row = (await connection.execute(select(tasks.c.title, tasks.c.reason).where(tasks.c.task_id == task_id))).one()
    said = [("task.title", row.title), ("task.reason", row.reason)]
    said += [
        ("decision.reason", await connection.scalar(select(decisions.c.reason).where(decisions.c.task_id == task_id)))
    ]
    known = select(truths.c.source, truths.c.reason).where(truths.c.task_id == task_id).order_by(truths.c.source)
    said += [(f"truth.{each.source}.reason", each.reason) for each in await connection.execute(known)]
    return [Word(place=place, text=text) for place, text in said if text]


async def _results(connection: AsyncConnection, task_id: UUID) -> list[tuple[str, int, dict[str, Any]]]:
    """What the steps came to, in the order in which they ended."""
    step = task_steps.c
    done = select(step.step, step.epoch, step.result).where(step.task_id == task_id, step.state == "done")
    found = await connection.execute(done.order_by(step.ended_at, step.step, step.epoch))
    return [(row.step, row.epoch, row.result) for row in found if isinstance(row.result, dict)]


def _facts(row: Any, image: str) -> TaskFacts:
    columns = {name: row._mapping[name] for name in TaskFacts.model_fields if name not in ("image", "prompts")}
    return TaskFacts.model_validate({**columns, "image": image, "prompts": row.prompts or {}})


def _run(step: str, epoch: int, proof: Proof) -> RunFact:
    told = proof.model_dump(include=set(RunFact.model_fields) - {"findings"})
    return RunFact(step=step, epoch=epoch, findings=dict(Counter(proof.findings.values())), **told)


async def _verdict(connection: AsyncConnection, tenant: str, row: Any, proofs: list[Proof]) -> VerdictFact | None:
    if row.result is None:
        return None
    result = TaskResult.model_validate_json(await get_text(connection, tenant, row.result))
    candidate = None
    for proof in reversed(proofs) if result.files else ():
        if read_candidate(await get_text(connection, tenant, proof.candidate)) == result.files:
            candidate = proof.candidate
            break
    return verdict_of(result, candidate)


def verdict_of(result: TaskResult, candidate: str | None) -> VerdictFact:
    """What a result says, without its words."""
    files = (FileFact(path=digest_of(path), content=digest_of(text)) for path, text in result.files.items())
    return VerdictFact(
        state=result.state,
        candidate=candidate,
        files=tuple(sorted(files, key=lambda file: file.path)),
        tests=dict(Counter(test.outcome for test in result.tests)),
        tokens=result.tokens,
        micro_usd=result.micro_usd,
        prompts=result.prompts,
        isolation=result.isolation,
    )


async def _votes(
    connection: AsyncConnection,
    tenant: str,
    results: list[tuple[str, int, dict[str, Any]]],
    answers: dict[tuple[str, int], str | None],
    verdict: VerdictFact | None,
) -> tuple[VoteFact, ...]:
    held = []
    for step, epoch, result in results:
        if step.startswith("vote/") and "text" in result:
            explained = Explanation.model_validate_json(await get_text(connection, tenant, result["text"]))
            given = {
                account.role: next(
                    (answers[key] for key in reversed(answers) if key[0] == f"ballot/{account.role}/{explained.round}"),
                    None,
                )
                for account in explained.voters
            }
            candidate = verdict.candidate if verdict else None
            fact = vote_of(explained, result["text"], int(step.split("/")[1]), epoch, candidate, given)
            held.append(fact)
    return tuple(held)


def vote_of(
    explained: Explanation,
    digest: str,
    number: int,
    epoch: int,
    candidate: str | None,
    answers: dict[Any, str | None],
) -> VoteFact:
    """An explanation without its words; `answers` are the digests of the ballots that counted, by voter."""
    same = set(VoteFact.model_fields) - {"number", "epoch", "explanation", "candidate", "veto", "voters"}
    return VoteFact(
        number=number,
        epoch=epoch,
        explanation=digest,
        candidate=candidate,
        veto=None if explained.veto is None else explained.veto.split()[0],
        voters=tuple(_voter(account, answers.get(account.role)) for account in explained.voters),
        **explained.model_dump(include=same),
    )


def _voter(account: VoterAccount, answer: str | None) -> VoterFact:
    same = set(VoterFact.model_fields) - {"reductions", "answer"}
    reductions = [each.model_dump(exclude={"reason"}) for each in account.reductions]
    counted = None if account.choice == "absent" else answer
    return VoterFact.model_validate({**account.model_dump(include=same), "reductions": reductions, "answer": counted})
