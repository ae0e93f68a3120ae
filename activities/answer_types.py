"""The type that each role's answer must have. The model is given its JSON schema, and what comes back is held to it.

What people read of an answer is cleaned here and nowhere else. Places, ids and paths are refused where cleaning would
change them; the contents of files are kept byte for byte.
"""

from functools import lru_cache
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from schema.characters import clean
from schema.guidelines import LONGEST
from schema.messages.base import WorkspacePath
from schema.messages.steps import Asked
from schema.messages.vote import Evidence, Voter

MAX_FILE_CHARACTERS = 200_000


def _check_place(place: str) -> str:
    if clean(place) != place or "\n" in place or "\t" in place:
        raise ValueError("must be path:line, without control or invisible characters")
    return place


def _check_said(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _check_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("must be one line")
    return text


Shown = Annotated[str, AfterValidator(clean)]
"""Text for people to read: no terminal, page or reader is misled by it."""


class PlanAnswer(BaseModel):
    """The architect's answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    summary: Annotated[Shown, Field(max_length=400), AfterValidator(_check_said)]
    steps: list[Shown] = Field(max_length=8)


class LeanPlanAnswer(BaseModel):
    """The architect's answer, short."""

    model_config = ConfigDict(extra="forbid", strict=True)

    summary: Annotated[Shown, Field(max_length=120)]
    steps: list[Annotated[Shown, Field(max_length=60)]] = Field(max_length=3)


class FileAnswer(BaseModel):
    """One whole file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: WorkspacePath
    content: str = Field(max_length=MAX_FILE_CHARACTERS)


class CandidateAnswer(BaseModel):
    """The developer's answer: every file that is new or changed, whole."""

    model_config = ConfigDict(extra="forbid", strict=True)

    files: list[FileAnswer] = Field(min_length=1, max_length=50)


class ObjectionAnswer(BaseModel):
    """What a voter holds against the candidate."""

    model_config = ConfigDict(extra="forbid", strict=True)

    category: Literal["correctness", "tests", "security", "requirements", "maintainability"]
    severity: Literal["low", "medium", "high"]
    where: Annotated[str, Field(max_length=300), AfterValidator(_check_place)]
    evidence: list[str] = Field(max_length=8)


class BallotAnswer(BaseModel):
    """A voter's answer. The rationale comes first: models choose better after they have said why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rationale: Annotated[Shown, Field(max_length=400)]
    choice: Literal["approve", "reject", "abstain"]
    confidence: float = Field(ge=0, le=1)
    evidence: list[str] = Field(max_length=8)
    objections: list[ObjectionAnswer] = Field(max_length=4)


class GuidelineAnswer(BaseModel):
    """The supervisor's answer: what a role is told from now on."""

    model_config = ConfigDict(extra="forbid", strict=True)

    guideline: Annotated[Shown, Field(max_length=LONGEST), AfterValidator(_check_said), AfterValidator(_check_line)]


def ballot_type(evidence: Evidence, *, lean: bool = False) -> type[BaseModel]:
    """A ballot's type in which only evidence that exists can be cited; a lean one holds one of each at most."""
    return _ballot_type(evidence.ids, lean)


@lru_cache(maxsize=64)
def _ballot_type(ids: tuple[str, ...], lean: bool) -> type[BaseModel]:
    """Kept, since a type takes milliseconds to make and most votes cite the same."""
    cited: Any = list[Literal[ids]]  # type: ignore[valid-type]
    citations = (cited, Field(max_length=1 if lean else 8))
    objection: Any = create_model("Objection", __base__=ObjectionAnswer, evidence=citations)
    fields: dict[str, Any] = {
        "evidence": citations,
        "objections": (list[objection], Field(max_length=1 if lean else 4)),
    }
    if lean:
        # A grammar of numbers lets a small model write digits without end.
        fields["confidence"] = (Literal[0.5, 0.7, 0.9], ...)
        fields["rationale"] = (Shown, Field(max_length=80))
    return create_model("Ballot", __base__=BallotAnswer, **fields)


def answer_type(role: Asked, evidence: Evidence | None, *, lean: bool) -> type[BaseModel]:
    """The type that a role's answer must have: a ballot where there is evidence to vote on.

    Raises:
        ValueError: the role answers no such question; only voters vote, and no voter writes files.
    """
    if evidence is not None and role in get_args(Voter):
        return ballot_type(evidence, lean=lean)
    if evidence is None and role == "architect":
        return LeanPlanAnswer if lean else PlanAnswer
    if evidence is None and role == "developer":
        return CandidateAnswer
    if evidence is None and role == "supervisor":
        return GuidelineAnswer
    raise ValueError(f"the role {role} has no answer to this question")
