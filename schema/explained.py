"""Views of a vote's explanation that all who show it share."""

from typing import get_args

from schema.messages.vote import CountedObjection, Explanation, Objection

CATEGORIES: tuple[str, ...] = get_args(Objection.model_fields["category"].annotation)
_RANK = {"high": 0, "medium": 1, "low": 2}


def by_severity(explanation: Explanation) -> list[CountedObjection]:
    """The objections, those that survive before the others, and of each the most severe first."""
    return sorted(explanation.objections, key=lambda each: (not each.survives, _RANK[each.objection.severity]))


def by_category(explanation: Explanation) -> dict[str, list[CountedObjection]]:
    """The objections by category, in the order of `by_severity`; only categories that have one."""
    found = by_severity(explanation)
    grouped = {name: [each for each in found if each.objection.category == name] for name in CATEGORIES}
    return {name: objections for name, objections in grouped.items() if objections}
