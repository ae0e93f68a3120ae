"""The role and permission table of design §4, cell by cell, and the routes that it guards."""

import itertools

import pytest

from gateway.authorisation import GRANTS, ROLES, Allowed, Denied, Permission, Principal, Role, decide
from gateway.operations import Operation
from gateway.routes import OPERATIONS, PUBLIC_OPERATIONS

# As the design prints it, one letter a role: admin, operator, developer, approver, viewer.
TABLE = {
    "tasks:read": "aodpv",
    "governance:read": "aodpv",
    "tasks:submit": "ad",
    "sandbox:execute": "ad",
    "learning:propose": "ad",
    "tasks:cancel": "aod",
    "tasks:decide": "ap",
    "truths:write": "aop",
    "policies:write": "a",
    "approvals:decide": "ap",
    "approvals:read": "aodp",
    "dead-letters:read": "aod",
    "budgets:read": "aod",
    "circuits:read": "aod",
    "dead-letters:redrive": "ao",
    "prompts:rollback": "ao",
    "budgets:write": "a",
    "tasks:erase": "a",
    "tokens:issue": "a",
    "codec:decode": "a",
    "audit:read": "ao",
}
LETTERS: dict[Role, str] = {"admin": "a", "operator": "o", "developer": "d", "approver": "p", "viewer": "v"}
CELLS = list(itertools.product(ROLES, Permission))


def principal(role: Role, sub: str = "ann") -> Principal:
    return Principal(sub=sub, role=role, tenant="t1", jti="1")


def test_the_table_has_every_permission_and_every_role() -> None:
    assert set(TABLE) == {permission.value for permission in Permission} == {each.value for each in GRANTS}
    assert set(LETTERS) == set(ROLES)


@pytest.mark.parametrize(("role", "permission"), CELLS)
def test_a_role_has_exactly_the_permissions_of_the_table(role: Role, permission: Permission) -> None:
    allowed = isinstance(decide(principal(role), permission), Allowed)

    assert allowed == (LETTERS[role] in TABLE[permission.value])


@pytest.mark.parametrize(("role", "permission"), CELLS)
def test_an_owner_never_gives_what_the_role_has_not(role: Role, permission: Permission) -> None:
    if isinstance(decide(principal(role), permission), Denied):
        assert isinstance(decide(principal(role), permission, owner="ann"), Denied)
        assert isinstance(decide(principal(role), permission, owner="bob"), Denied)


def test_a_developer_cancels_only_what_they_submitted() -> None:
    assert decide(principal("developer"), Permission.TASKS_CANCEL, owner="ann") == Allowed()
    assert isinstance(decide(principal("developer"), Permission.TASKS_CANCEL, owner="bob"), Denied)


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_admins_and_operators_cancel_everybodys(role: Role) -> None:
    assert decide(principal(role), Permission.TASKS_CANCEL, owner="bob") == Allowed()


@pytest.mark.parametrize("permission", [Permission.TASKS_DECIDE, Permission.APPROVALS_DECIDE, Permission.TRUTHS_WRITE])
@pytest.mark.parametrize("role", ["admin", "approver"])
def test_nobody_decides_on_what_they_submitted(role: Role, permission: Permission) -> None:
    assert isinstance(decide(principal(role), permission, owner="ann"), Denied)
    assert decide(principal(role), permission, owner="bob") == Allowed()


def test_a_denial_says_why_without_naming_the_owner() -> None:
    outcome = decide(principal("viewer"), Permission.TASKS_SUBMIT, owner="bob")

    assert outcome == Denied("the role viewer has no permission tasks:submit")


def test_every_route_has_a_permission_or_is_on_the_short_public_list() -> None:
    assert all(isinstance(operation.permission, Permission) for operation in OPERATIONS)
    assert {operation.path for operation in PUBLIC_OPERATIONS} == {
        "/healthz",
        "/readyz",
        "/.well-known/jwks.json",
        "/.well-known/evidence-keys.json",
        "/openapi.json",
        "/docs",
        "/ui",
    }


def test_every_route_whose_decision_depends_on_the_owner_finds_them() -> None:
    def depends(operation: Operation) -> bool:
        return operation.permission in (Permission.TASKS_CANCEL, Permission.TASKS_DECIDE, Permission.TRUTHS_WRITE)

    assert [each.path for each in OPERATIONS if depends(each) and each.owner is None] == []


def test_the_routes_ask_for_the_permissions_of_the_design() -> None:
    assert {(each.method, each.path): each.permission.value for each in OPERATIONS} == {
        ("POST", "/v1/tasks"): "tasks:submit",
        ("POST", "/v1/consensus"): "tasks:submit",
        ("GET", "/v1/tasks"): "tasks:read",
        ("GET", "/v1/tasks/{task_id}"): "tasks:read",
        ("GET", "/v1/tasks/{task_id}/result"): "tasks:read",
        ("GET", "/v1/tasks/{task_id}/consensus"): "tasks:read",
        ("GET", "/v1/tasks/{task_id}/events"): "tasks:read",
        ("GET", "/v1/tasks/{task_id}/evidence"): "audit:read",
        ("POST", "/v1/tasks/{task_id}/cancel"): "tasks:cancel",
        ("POST", "/v1/tasks/{task_id}/decision"): "tasks:decide",
        ("POST", "/v1/tasks/{task_id}/truth"): "truths:write",
        ("GET", "/v1/tasks/{task_id}/findings"): "tasks:read",
        ("POST", "/v1/tasks/{task_id}/follow-ups"): "tasks:submit",
        ("GET", "/v1/policies/{tenant}"): "governance:read",
        ("PUT", "/v1/policies/{tenant}"): "policies:write",
        ("GET", "/v1/governance/voters"): "governance:read",
        ("GET", "/v1/governance/status"): "governance:read",
        ("GET", "/v1/governance/stats"): "governance:read",
        ("GET", "/v1/prompts/{role}"): "governance:read",
        ("GET", "/v1/prompts/{role}/versions/{version_id}"): "governance:read",
        ("POST", "/v1/prompts/{role}/rollback"): "prompts:rollback",
        ("GET", "/v1/approvals"): "approvals:read",
        ("GET", "/v1/approvals/{approval_id}"): "approvals:read",
        ("POST", "/v1/approvals/{approval_id}/approve"): "approvals:decide",
        ("POST", "/v1/approvals/{approval_id}/reject"): "approvals:decide",
        ("POST", "/v1/proposals"): "learning:propose",
        ("GET", "/v1/dead-letters"): "dead-letters:read",
        ("GET", "/v1/dead-letters/{letter_id}"): "dead-letters:read",
        ("POST", "/v1/dead-letters/{letter_id}/redrive"): "dead-letters:redrive",
        ("POST", "/v1/dead-letters/{letter_id}/discard"): "dead-letters:redrive",
        ("POST", "/v1/dead-letters/redrive"): "dead-letters:redrive",
        ("POST", "/v1/dead-letters/discard"): "dead-letters:redrive",
        ("POST", "/codec/decode"): "codec:decode",
        ("POST", "/codec/encode"): "codec:decode",
        ("POST", "/ui"): "codec:decode",
        ("POST", "/ui-sessions/end"): "codec:decode",
        ("POST", "/v1/sandbox/executions"): "sandbox:execute",
        ("POST", "/v1/tokens"): "tokens:issue",
        ("GET", "/v1/tokens"): "tokens:issue",
        ("DELETE", "/v1/tokens"): "tokens:issue",
        ("DELETE", "/v1/tokens/{jti}"): "tokens:issue",
        ("GET", "/v1/audit"): "audit:read",
        ("GET", "/v1/audit/verify"): "audit:read",
        ("GET", "/v1/budgets/{tenant}"): "budgets:read",
        ("PUT", "/v1/budgets/{tenant}"): "budgets:write",
        ("GET", "/v1/budgets/{tenant}/entries"): "budgets:read",
        ("GET", "/v1/budgets/{tenant}/check"): "budgets:read",
        ("POST", "/v1/tasks/{task_id}/top-up"): "budgets:write",
        ("POST", "/v1/tasks/{task_id}/erasure"): "tasks:erase",
        ("POST", "/v1/tenants/{tenant}/erasure"): "tasks:erase",
        ("GET", "/v1/circuits"): "circuits:read",
        ("GET", "/v1/circuits/changes"): "circuits:read",
    }
