"""From a step to one request of one model: the role's prompt, the brief, the answer's schema, the sampling."""

from activities.answers import answer_type
from activities.briefs import Brief, Material
from activities.models import ModelTarget, Question
from activities.prompts import base_prompt
from schema.messages.steps import AskRoleInput

FIRST_SEED = 1
DIVERSITY = 0.6
PLAN_TOKENS = 400
BALLOT_TOKENS = 400


def question_for(
    ask: AskRoleInput, material: Material, target: ModelTarget, number: int, error: str | None
) -> Question:
    """The request for ask `number` of a step; `error` is why the answer before was invalid."""
    brief = Brief(ask.ref, material)
    plain_code = ask.role == "developer" and target.answers == "code"
    if ask.evidence is not None:
        user, limit = brief.for_voter(ask.evidence), BALLOT_TOKENS
    elif ask.role == "architect":
        user, limit = brief.for_architect(), PLAN_TOKENS
    else:
        user, limit = brief.plain_code() if plain_code else brief.for_developer(), target.max_tokens
    if error is not None and not plain_code:
        user += f"\n\nYour last answer was not accepted: {error}. Answer again, correctly."
    return Question(
        system="" if plain_code else base_prompt(ask.role),
        user=user,
        schema=None if plain_code else answer_type(ask.role, ask.evidence).model_json_schema(),
        # The first candidate is reproducible; the others, and whoever asks again, look elsewhere.
        temperature=0.0 if ask.variant == 0 and number == 1 else DIVERSITY,
        seed=FIRST_SEED + ask.variant + 1_000 * (number - 1),
        max_tokens=min(limit, target.max_tokens),
    )
