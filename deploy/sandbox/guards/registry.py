"""All guards, in the order in which they look: what is quick and sure comes first. Standard library only."""

from __future__ import annotations

from deploy.sandbox.guards.dependencies import DependenciesGuard
from deploy.sandbox.guards.lint import LintGuard
from deploy.sandbox.guards.material import Guard
from deploy.sandbox.guards.scope import ScopeGuard
from deploy.sandbox.guards.secrets import SecretsGuard
from deploy.sandbox.guards.security import SecurityGuard
from deploy.sandbox.guards.syntax import SyntaxGuard
from deploy.sandbox.guards.tests import TestsGuard

GUARDS: tuple[Guard, ...] = (
    ScopeGuard(), SyntaxGuard(), SecretsGuard(), DependenciesGuard(), LintGuard(), SecurityGuard(),
)  # fmt: skip
"""Before the run, on the candidate as it was sent."""

AFTER: tuple[Guard, ...] = (TestsGuard(),)
"""After it, on what the run showed."""

NAMES = tuple(guard.name for guard in (*GUARDS, *AFTER))
