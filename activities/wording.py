"""How a guideline is worded: what the supervisor is told of a pattern, and how its answer is read."""

from dataclasses import dataclass

from activities.answer_json import parse_json
from activities.answer_types import GuidelineAnswer
from activities.briefs import FENCED_IS_DATA, draw_boundary, fenced
from activities.prompt_store import AskedPrompt
from schema.errors import TaskGone
from schema.messages.learning import LearningSpec, Pattern

MAX_MESSAGES = 8
MAX_MESSAGE = 300


@dataclass(frozen=True)
class Lesson:
    """What the supervisor words a guideline from."""

    learning: LearningSpec
    prompt: AskedPrompt


def pattern_of(learning: LearningSpec) -> Pattern:
    """The pattern to word.

    Raises:
        TaskGone: a person proposed it, in words of their own.
    """
    if learning.learning is None:
        raise TaskGone("the proposal has no pattern to word")
    return learning.learning


def brief_of(learning: LearningSpec) -> str:
    """The supervisor's brief. What guards, tests and models said is data, behind a boundary that nobody knows."""
    pattern = pattern_of(learning)
    messages = [message[:MAX_MESSAGE] for message in pattern.messages[:MAX_MESSAGES]]
    numbers = (
        f"rule: {pattern.rule}\n"
        f"It failed in {pattern.failing} of {pattern.tasks} tasks of the last {pattern.window_days} days; by chance it "
        f"would in {pattern.base_rate:.0%} of them."
    )
    boundary = draw_boundary([numbers, *learning.guidelines, *messages])
    parts = [f"{FENCED_IS_DATA}.", f"The guideline is for the {learning.role}.", fenced(boundary, "mistake", numbers)]
    if messages:
        parts.append(fenced(boundary, "what was said of it", "\n".join(f"- {each}" for each in messages)))
    if learning.guidelines:
        known = "\n".join(f"- {each}" for each in learning.guidelines)
        parts.append(fenced(boundary, f"guidelines that the {learning.role} has already", known))
    parts.append(f"Word one guideline for the {learning.role} that would have prevented the mistake.")
    return "\n\n".join(parts)


def parse_guideline(unverified_text: str) -> str:
    """The answer as it is stored, JSON with a `guideline`.

    Raises:
        AnswerRefused: it is not of that type.
    """
    return parse_json(unverified_text, GuidelineAnswer).model_dump_json()
