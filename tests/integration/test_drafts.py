"""An answer that is begun for the model, as a provider sees it."""

import json
from uuid import UUID

from activities.briefs import Material
from activities.models import Models
from activities.questions import question_for
from activities.routes import ModelTarget
from activities.stubs import GRAMMAR
from schema.messages.steps import AskRoleInput, StepRef
from schema.messages.task import TaskSpec, TaskState
from tests.support.provider import Script, running_provider
from tests.support.specs import spec

STUB = 'def double(number):\n    """Twice the number."""\n'
BODY = "    return 2 * number\n"


async def test_a_model_is_sent_the_answers_beginning_and_its_grammar_and_the_file_comes_back_whole() -> None:
    fields = spec("begun", instructions="begun: Twice the number.", files={"work.py": STUB})
    task = TaskSpec.model_validate_json(json.dumps(fields))
    ref = StepRef(task_id=UUID(int=1), tenant="t", step="develop/1")
    ask = AskRoleInput(ref=ref, state=TaskState.DEVELOPING, role="developer")
    async with running_provider() as provider:
        provider.script("begun", Script(developer=[f"{BODY}\nThat is all."]))
        target = ModelTarget.model_validate(
            {"model": "openai:small", "base_url": provider.url, "api_key": "none", "lean": True, "drafts": True}
        )
        question = question_for(ask, Material(task), target, 1, None)
        models = Models({"default": [target]}, timeout_seconds=10)
        reply = await models.call(target, question)
        await models.close()

    (asked,) = provider.asked_about("begun")
    assert asked.body["grammar"] == GRAMMAR
    assert [message["role"] for message in asked.body["messages"]] == ["user", "assistant"]
    assert asked.body["messages"][-1]["content"].endswith("def double(number):\n")
    assert reply.text == STUB + BODY
