"""Who may do what: one table, and one function that decides."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

Role = Literal["admin", "operator", "developer", "approver", "viewer"]
ROLES: tuple[Role, ...] = get_args(Role)

EVERY_TENANT = "*"
"""The tenant of a principal of the platform, who names a tenant with each request."""


class Permission(StrEnum):
    """What a route asks for."""

    TASKS_READ = "tasks:read"
    TASKS_SUBMIT = "tasks:submit"
    TASKS_CANCEL = "tasks:cancel"
    TASKS_DECIDE = "tasks:decide"
    TASKS_ERASE = "tasks:erase"
    TRUTHS_WRITE = "truths:write"
    POLICIES_WRITE = "policies:write"
    SANDBOX_EXECUTE = "sandbox:execute"
    LEARNING_PROPOSE = "learning:propose"
    APPROVALS_READ = "approvals:read"
    APPROVALS_DECIDE = "approvals:decide"
    DEAD_LETTERS_READ = "dead-letters:read"
    DEAD_LETTERS_REDRIVE = "dead-letters:redrive"
    BUDGETS_READ = "budgets:read"
    BUDGETS_WRITE = "budgets:write"
    CIRCUITS_READ = "circuits:read"
    GOVERNANCE_READ = "governance:read"
    PROMPTS_ROLLBACK = "prompts:rollback"
    TOKENS_ISSUE = "tokens:issue"
    CODEC_DECODE = "codec:decode"
    AUDIT_READ = "audit:read"


@dataclass(frozen=True)
class Principal:
    """Who asks, from a verified token.

    Attributes:
        issued_at, expires_at: the token's, in seconds since 1970; what has neither counts as expired.
        issuer, kid: whose key signed it.
    """

    sub: str
    role: Role
    tenant: str
    jti: str
    issued_at: int = 0
    expires_at: int = 0
    issuer: str = ""
    kid: str = ""


@dataclass(frozen=True)
class Allowed:
    """Yes."""


@dataclass(frozen=True)
class Denied:
    """No, and why."""

    reason: str


_EVERYBODY = frozenset(ROLES)
_MAKERS = frozenset({"admin", "developer"})
_DECIDERS = frozenset({"admin", "approver"})
_WATCHERS = frozenset({"admin", "operator", "developer"})
_KEEPERS = frozenset({"admin", "operator"})
_ADMINS = frozenset({"admin"})

GRANTS: dict[Permission, frozenset[str]] = {
    Permission.TASKS_READ: _EVERYBODY,
    Permission.GOVERNANCE_READ: _EVERYBODY,
    Permission.TASKS_SUBMIT: _MAKERS,
    Permission.SANDBOX_EXECUTE: _MAKERS,
    Permission.LEARNING_PROPOSE: _MAKERS,
    Permission.TASKS_CANCEL: _WATCHERS,
    Permission.TASKS_DECIDE: _DECIDERS,
    Permission.APPROVALS_DECIDE: _DECIDERS,
    # Whoever runs what was accepted learns first that it has to go back, and decides on nothing by saying so.
    Permission.TRUTHS_WRITE: _DECIDERS | {"operator"},
    Permission.POLICIES_WRITE: _ADMINS,
    Permission.APPROVALS_READ: _EVERYBODY - {"viewer"},
    Permission.DEAD_LETTERS_READ: _WATCHERS,
    Permission.BUDGETS_READ: _WATCHERS,
    Permission.CIRCUITS_READ: _WATCHERS,
    Permission.DEAD_LETTERS_REDRIVE: _KEEPERS,
    Permission.PROMPTS_ROLLBACK: _KEEPERS,
    Permission.AUDIT_READ: _KEEPERS,
    Permission.BUDGETS_WRITE: _ADMINS,
    Permission.TASKS_ERASE: _ADMINS,
    Permission.TOKENS_ISSUE: _ADMINS,
    Permission.CODEC_DECODE: _ADMINS,
}

_OWN_ONLY = {(Permission.TASKS_CANCEL, "developer")}
_NEVER_OWN = {Permission.TASKS_DECIDE, Permission.APPROVALS_DECIDE, Permission.TRUTHS_WRITE}


def decide(principal: Principal, permission: Permission, *, owner: str | None = None) -> Allowed | Denied:
    """Whether `principal` may do this, to what `owner` submitted or proposed where that is known."""
    if principal.role not in GRANTS[permission]:
        return Denied(f"the role {principal.role} has no permission {permission}")
    if owner is None:
        return Allowed()
    if permission in _NEVER_OWN and owner == principal.sub:
        return Denied("nobody decides on what they submitted themselves")
    if (permission, principal.role) in _OWN_ONLY and owner != principal.sub:
        return Denied(f"the role {principal.role} has {permission} for its own tasks only")
    return Allowed()
