"""Reads a model's answer as strict JSON of one type, or refuses it with a reason that the model can act on.

Nothing is repaired silently, and nothing unknown is ignored. The reason goes back to the model, and to whoever looks
into the task: it is short, and quotes next to nothing of what the model wrote.
"""

import json
import math
import re
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from schema.characters import clean

MAX_ANSWER_CHARACTERS = 400_000
MAX_DEPTH = 8
"""The deepest type has four levels: ballot, objections, objection, evidence."""
MAX_DIGITS = 18
MAX_REFUSAL_CHARACTERS = 500
MAX_FAULTS = 5

ALONE = "answer with the JSON object alone, without words or code fences around it"

Answer = TypeVar("Answer", bound=BaseModel)

# Strings first, so that what is in them doesn't count; possessive, so that no text takes more than one pass.
_NESTING = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9_]{1,40}")


class AnswerRefused(ValueError):
    """The answer is not of the type asked for; the text says why, in words for the model, within a bound."""

    def __init__(self, why: str) -> None:
        super().__init__(clean(why)[:MAX_REFUSAL_CHARACTERS])


def parse_json(unverified_text: str, wanted: type[Answer]) -> Answer:
    """Parse strictly.

    Raises:
        AnswerRefused: it is too long or deep, no JSON, has prose around it, a key twice, NaN, a character that
            nobody can store, or is not of type `wanted`.
    """
    check_storable(unverified_text)
    _check_depth(unverified_text)
    try:
        value = json.loads(
            unverified_text,
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_int=_short_integer,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise AnswerRefused(_why_no_json(unverified_text, error)) from None
    _check_strings(value)
    try:
        return wanted.model_validate_json(json.dumps(value))
    except ValidationError as error:
        raise AnswerRefused(_faults(error)) from None


def check_storable(unverified_text: str) -> None:
    """Refuse what is empty, too long, or holds what PostgreSQL can't.

    Raises:
        AnswerRefused: it does.
    """
    if not unverified_text.strip():
        raise AnswerRefused("the answer is empty: answer with what was asked for")
    if len(unverified_text) > MAX_ANSWER_CHARACTERS:
        raise AnswerRefused(f"the answer is longer than {MAX_ANSWER_CHARACTERS} characters: be shorter")
    _check_text(unverified_text)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise AnswerRefused("the answer holds a NUL character: leave it out, or write it as an escape of the language")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise AnswerRefused("the answer holds half a surrogate pair: write the whole character") from None


def _check_depth(text: str) -> None:
    depth = 0
    for match in _NESTING.finditer(text):
        if match[0] in ("[", "{"):
            depth += 1
        elif match[0] in ("]", "}"):
            depth -= 1
        if depth > MAX_DEPTH:
            raise AnswerRefused(f"the answer is nested deeper than {MAX_DEPTH} levels")


def _check_strings(value: Any) -> None:
    """What escapes made of the text's strings."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_strings(item)
    elif isinstance(value, list):
        for item in value:
            _check_strings(item)
    elif isinstance(value, str):
        _check_text(value)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise AnswerRefused("a key occurs twice in one object: give each once")
    return keys


def _no_constant(name: str) -> NoReturn:
    raise AnswerRefused(f"{name} is no JSON number")


def _short_integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise AnswerRefused(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise AnswerRefused("a number is too large")
    return number


def _why_no_json(text: str, error: json.JSONDecodeError) -> str:
    said = text.strip()
    if said.startswith("```"):
        return f"there is a code fence around the answer: {ALONE}"
    if not said.startswith("{"):
        return (
            f"the answer is prose and not the JSON object asked for: {ALONE}. Where you can't do or judge all of it, "
            "do what you can, and say the rest inside the object"
        )
    if error.msg == "Extra data":
        return f"something follows the JSON object: {ALONE}"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        return "the answer ends before its JSON does: write it whole, and shorter"
    return f"the answer is not valid JSON: {error.msg}, line {error.lineno}, column {error.colno}"


def _faults(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_input=False)
    told = [f"{'.'.join(_name(part) for part in fault['loc'])}: {fault['msg'][:200]}" for fault in faults[:MAX_FAULTS]]
    return f"the answer does not fit the schema: {'; '.join(told)}"


def _name(part: int | str) -> str:
    """A field's name; what the model made up is told only where it looks like one, for it may be anything."""
    text = str(part)
    return text if _NAME.fullmatch(text) else "…"
