"""The routes of the HTTP API, and the problems that they answer with."""

from deploy.reference.markdown import code, head, table
from gateway.authorisation import GRANTS, ROLES, Permission
from gateway.operations import Operation
from gateway.problems import KINDS, TYPE_BASE
from gateway.routes import OPERATIONS, PUBLIC_OPERATIONS

ABOUT = """Every route, its permission and its bodies; `/openapi.json` of a gateway has the shapes, and `/docs` shows
them. Errors are problem details (RFC 9457). `Idempotency-Key` is taken where it is named, `Golden-Tenant` everywhere
from a principal of every tenant."""


def page() -> str:
    """Routes, permissions, problems."""
    routes = table(
        ("route", "", "permission", "takes", "answers"),
        [_row(each) for each in OPERATIONS]
        + [
            (code(f"{each.method} {each.path}"), each.summary, "none", "", f"{each.status} {each.media_type or ''}")
            for each in PUBLIC_OPERATIONS
        ],
    )
    return "\n".join(
        [
            head("HTTP API", ABOUT),
            f"## Routes\n\n{routes}",
            f"## Permissions\n\n{table(('permission', *ROLES), map(_grants, Permission))}",
            f"## Problems\n\n`type` is `{TYPE_BASE}` and the name.\n\n{_problems()}",
        ]
    )


def _row(of: Operation) -> tuple[str, str, str, str, str]:
    takes = ", ".join(
        filter(
            None,
            [
                code(of.takes.__name__) if of.takes else "",
                *(code(name) for name in of.headers),
                *(code(f"?{name}") for name in of.query.model_fields),
            ],
        )
    )
    answers = code(of.returns.__name__) if of.returns else of.media_type
    return code(f"{of.method} {of.path}"), of.summary, code(of.permission), takes, f"{of.status} {answers}"


def _grants(permission: Permission) -> tuple[str, ...]:
    return (code(permission), *("✓" if role in GRANTS[permission] else "" for role in ROLES))


def _problems() -> str:
    rows = [(code(kind.name), str(kind.status), kind.title) for kind in sorted(KINDS, key=lambda k: (k.status, k.name))]
    return table(("name", "status", "title"), rows)
