"""Makes a worker die by SIGKILL of one message, as of a fault in a native library. On `PYTHONPATH` of one test's stack.

Python imports a module of this name by itself at its start.
"""

import os
import signal
import sys

POISON = "poisoned"

if "worker" in sys.orig_argv:
    from activities.llm import LlmActivities
    from schema.messages.steps import AskRoleInput, AskRoleResult

    _answer = LlmActivities._answer

    async def _answer_or_die(self: LlmActivities, ask: AskRoleInput) -> AskRoleResult:
        spec = await self._store.spec(ask.ref.task_id, ask.ref.tenant)
        if spec.title == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        return await _answer(self, ask)

    LlmActivities._answer = _answer_or_die  # type: ignore[method-assign]
