"""Whose word counts in a vote's policy: the settings' default, over it the tenant's, over that the task's own.

What the tenant names binds its tasks: a task may be stricter, never laxer. The settings' default binds nobody.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.errors import SettingsError
from schema.messages.sandbox import GuardName, GuardPolicy
from schema.messages.vote import VotePolicy
from schema.settings import Settings
from schema.tables import tenant_policies

Fault = tuple[str, str]

MORE_IS_STRICTER = {"threshold": True, "veto": True, "deadline_seconds": True, "reject_threshold": False,
                    "rounds": False, "decide_within_seconds": False}  # fmt: skip
"""By field, whether the higher value is the stricter. A short deadline is lax: who is late can't reject. A second
round is one more chance to approve. `remind_after_seconds` is neither."""

SEVERITIES = ("off", "low", "medium", "high")
MARGIN = 0.01
MOST_RULES = 200
"""Of one guard, that a tenant or a task may name: together, as many as a policy holds."""


def default_policy(settings: Settings) -> VotePolicy:
    """The policy of `GOLDEN_POLICY`: JSON, YAML, or the path of a file of it. Without one, our own.

    Raises:
        SettingsError: it can't be read, or is no policy; the message names the field.
    """
    source = settings.policy.strip()
    if not source:
        return VotePolicy()
    try:
        text = source if set(source) & set("{:\n") else Path(source).expanduser().read_text()
        return VotePolicy.model_validate(yaml.safe_load(text) or {})
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"GOLDEN_POLICY is no policy: {_why(error)}") from None


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        field = first.get("ctx", {}).get("field") or ".".join(map(str, first["loc"])) or "it"
        return f"{field} {first['msg']}"
    return "the file can't be read" if isinstance(error, OSError) else "it is no YAML"


async def read_tenant_policy(connection: AsyncConnection, tenant: str) -> VotePolicy | None:
    """What the tenant names of its policy; None where it names nothing."""
    row = await connection.scalar(select(tenant_policies.c.policy).where(tenant_policies.c.tenant == tenant))
    return None if row is None else VotePolicy.model_validate(row)


def merged(default: VotePolicy, tenant: VotePolicy | None, task: VotePolicy) -> VotePolicy:
    """The policy of one vote. Of what the tenant and the task both name, the stricter.

    A combination that nobody wrote is made to work by what is stricter: where threshold and reject threshold would let
    both sides win, the threshold is raised; voters of the task's who could not meet the tenant's quorum don't vote in
    the place of the default's.
    """
    named = {} if tenant is None else _named(tenant)
    own = _named(task)
    values = {**dict(default), **named}
    binding = {"voters"} & set(named) or ({"voters"} if _too_few(tenant, task) or _no_veto(tenant, task) else set())
    for field, value in own.items():
        if field not in binding:
            values[field] = _stricter(field, named[field], value) if field in named else value
    values["guards"] = _guards(default, tenant, task)
    return _made_whole(values, bound="quorum" in named or "quorum" in own)


def too_many(policy: VotePolicy) -> list[Fault]:
    """Guards of which somebody names more rules than can be merged with another's."""
    return [
        (f"guards.{name}", f"must not name more than {MOST_RULES} rules")
        for name, guard in policy.guards.items()
        if isinstance(guard, dict) and len(guard) > MOST_RULES
    ]


def laxer(tenant: VotePolicy | None, task: VotePolicy) -> list[Fault]:
    """Where a task asks for less than its tenant's policy does: field of the policy, and what is wrong with it."""
    if tenant is None:
        return []
    return list(_faults(tenant, task))


def _faults(tenant: VotePolicy, task: VotePolicy) -> Iterator[Fault]:
    named, own = _named(tenant), _named(task)
    if "voters" in named and "voters" in own and own["voters"] != named["voters"]:
        yield "voters", "are named by the tenant's policy"
    elif _too_few(tenant, task):
        yield "voters", f"are too few for the quorum of {tenant.quorum} of the tenant's policy"
    elif _no_veto(tenant, task):
        yield "voters", "leave out security, whose veto the tenant's policy has on"
    for field in (*MORE_IS_STRICTER, "quorum"):
        if field in named and field in own and _stricter(field, named[field], own[field]) != own[field]:
            yield field, f"is laxer than the tenant's policy, which says {_shown(named[field])}"
    for name, ours in own.get("guards", {}).items():
        if name in tenant.guards:
            yield from _guard_faults(f"guards.{name}", tenant.guards[name], ours)


def _guard_faults(field: str, theirs: GuardPolicy, ours: GuardPolicy) -> Iterator[Fault]:
    if theirs == "off":
        return
    if ours == "off":
        yield field, "is laxer than the tenant's policy, which has it on"
    for rule, severity in ours.items() if isinstance(ours, dict) else ():
        least = _least(theirs, rule)
        if SEVERITIES.index(severity) < SEVERITIES.index(least):
            yield f"{field}.{rule}", f"is laxer than the tenant's policy, under which it is at least {least}"


def _named(policy: VotePolicy) -> dict[str, Any]:
    return {field: getattr(policy, field) for field in type(policy).model_fields if field in policy.model_fields_set}


def _too_few(tenant: VotePolicy | None, task: VotePolicy) -> bool:
    able = sum(weight > 0 for weight in task.voters.values())
    return tenant is not None and "voters" in task.model_fields_set and (tenant.quorum or 0) > able


def _no_veto(tenant: VotePolicy | None, task: VotePolicy) -> bool:
    """Whether the tenant insists on the veto, and the task's voters are without the one who has it."""
    if tenant is None or "veto" not in tenant.model_fields_set or not tenant.veto:
        return False
    return "voters" in task.model_fields_set and not task.voters.get("security")


def _stricter(field: str, one: Any, other: Any) -> Any:
    if field == "quorum":
        # None is the least that there is: two, or one where one can vote.
        return max(one or 0, other or 0) or None
    if field not in MORE_IS_STRICTER:
        return other
    return max(one, other) if MORE_IS_STRICTER[field] else min(one, other)


def _guards(default: VotePolicy, tenant: VotePolicy | None, task: VotePolicy) -> dict[GuardName, GuardPolicy]:
    guards: dict[GuardName, GuardPolicy] = {**default.guards, **(tenant.guards if tenant is not None else {})}
    for name, ours in task.guards.items():
        bound = tenant is not None and name in tenant.guards
        guards[name] = _guard(guards[name], ours) if bound else ours
    return guards


def _guard(theirs: GuardPolicy, ours: GuardPolicy) -> GuardPolicy:
    """The stricter of two."""
    if theirs == "off":
        return ours
    if ours == "off":
        return theirs
    rules = dict(theirs) if isinstance(theirs, dict) else {}
    if ours == "on":
        rules = {rule: severity for rule, severity in rules.items() if severity != "off"}
    for rule, severity in (ours if isinstance(ours, dict) else {}).items():
        if SEVERITIES.index(severity) >= SEVERITIES.index(_least(theirs, rule)):
            rules[rule] = severity
    return rules or "on"


def _least(theirs: GuardPolicy, rule: str) -> str:
    """How severe a rule's finding is of itself, its guard alone knows: over that only `high` is never less."""
    return theirs.get(rule, "high") if isinstance(theirs, dict) else "high"


def _made_whole(values: dict[str, Any], *, bound: bool) -> VotePolicy:
    able = sum(weight > 0 for weight in values["voters"].values())
    if values["quorum"] is not None and values["quorum"] > able:
        # The default's is a wish; who named one of its own named voters who can meet it, but not together.
        values["quorum"] = able if bound else None
    if values["threshold"] + values["reject_threshold"] <= 1:
        raised = round(1 - values["reject_threshold"] + MARGIN, 4)
        values["threshold"] = raised if 1 - values["reject_threshold"] < raised <= 1 else 1.0
    return VotePolicy(**values)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
