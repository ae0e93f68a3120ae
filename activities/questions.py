"""From a step to one request of one model: the role's prompt, the brief, the answer's schema, the sampling."""

from activities.answer_types import answer_type
from activities.briefs import Brief, Material
from activities.models import Question
from activities.prompt_store import base_of
from activities.routes import ModelTarget
from activities.stubs import Draft
from activities.wording import Lesson, brief_of
from schema.messages.steps import AskRoleInput

FIRST_SEED = 1
DIVERSITY = 0.6
PLAN_TOKENS = 600
BALLOT_TOKENS = 800
LEAN_TOKENS = 200
GUIDELINE_TOKENS = 400
DRAFT_TOKENS = 160
DRAFT_DIVERSITY = 0.8
REPAIR_SEEDS = 500
"""A repair's variant has a candidate's number, and must not be its draft over again."""


def question_for(
    ask: AskRoleInput, material: Material | Lesson, target: ModelTarget, number: int, error: str | None
) -> Question:
    """The request for ask `number` of a step; `error` is why the answer before was invalid."""
    if isinstance(material, Lesson):
        return _guideline_question(ask, material, target, number, error)
    brief, lean, prompt = Brief(material), target.lean, material.prompt or base_of(ask.role)
    if lean and target.drafts and ask.role == "developer" and (begun := brief.draft()) is not None:
        return _draft_question(ask, _taught(prompt.lean, begun[0]), begun[1], target, number)
    if ask.evidence is not None:
        user = brief.lean_vote(ask.role, ask.evidence) if lean else brief.for_voter(ask.evidence)
        limit = LEAN_TOKENS if lean else BALLOT_TOKENS
    elif ask.role == "architect":
        user = brief.lean_plan() if lean else brief.for_architect()
        limit = LEAN_TOKENS if lean else PLAN_TOKENS
    else:
        user, limit = brief.plain_code() if lean else brief.for_developer(), target.max_tokens
    if lean:
        user = _taught(prompt.lean, user)
    elif error is not None:
        user += _again(error)
    plain_code = lean and ask.role == "developer"
    return Question(
        system="" if lean else prompt.system,
        user=user,
        schema=None if plain_code else answer_type(ask.role, ask.evidence, lean=lean).model_json_schema(),
        # The first candidate is as reproducible as its brief; the others, and whoever asks again, look elsewhere.
        temperature=0.0 if ask.variant == 0 and number == 1 else DIVERSITY,
        seed=FIRST_SEED + ask.variant + 1_000 * (number - 1),
        max_tokens=min(limit, target.max_tokens),
    )


def _guideline_question(
    ask: AskRoleInput, lesson: Lesson, target: ModelTarget, number: int, error: str | None
) -> Question:
    return Question(
        system=lesson.prompt.system,
        user=brief_of(lesson.learning) + ("" if error is None else _again(error)),
        schema=answer_type(ask.role, None, lean=False).model_json_schema(),
        temperature=0.0 if ask.variant == 0 and number == 1 else DIVERSITY,
        seed=FIRST_SEED + ask.variant + 1_000 * (number - 1),
        max_tokens=min(GUIDELINE_TOKENS, target.max_tokens),
    )


def _taught(learned: str, user: str) -> str:
    """A small model's brief under what was learned: it looks most at what stands last."""
    return f"{learned}\n\n{user}" if learned else user


def _again(error: str) -> str:
    return f"\n\nYour last answer was not accepted: {error}. Answer again, correctly."


def _draft_question(ask: AskRoleInput, user: str, draft: Draft, target: ModelTarget, number: int) -> Question:
    """Many short drafts that differ: for a small model each is worth as much as an attempt to repair one."""
    again = number > 1 or ask.candidate is not None
    return Question(
        system="",
        user=user,
        schema=None,
        temperature=0.0 if ask.variant == 0 and not again else DRAFT_DIVERSITY,
        seed=FIRST_SEED + ask.variant + 1_000 * (number - 1) + (REPAIR_SEEDS if ask.candidate is not None else 0),
        max_tokens=min(DRAFT_TOKENS, target.max_tokens),
        draft=draft,
    )
