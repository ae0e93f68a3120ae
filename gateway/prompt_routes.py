"""The routes of prompts, and of the limits within which they change."""

from gateway import governance, prompt_views, prompts
from gateway.authorisation import Permission
from gateway.operations import KEY_HEADER, Operation
from gateway.problems import KEY_REUSED, NOT_FOUND, VERSION_ACTIVE

PROMPT = "/v1/prompts/{role}"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path=PROMPT,
        permission=Permission.GOVERNANCE_READ,
        handler=prompts.show_prompt,
        action="prompts.show",
        summary="Show a role's prompt: what is active, its versions and its log, newest first",
        query=prompts.PromptQuery,
        returns=prompt_views.PromptView,
        problems=(NOT_FOUND,),
        platform=True,
    ),
    Operation(
        method="GET",
        path=f"{PROMPT}/versions/{{version_id}}",
        permission=Permission.GOVERNANCE_READ,
        handler=prompts.show_prompt_version,
        action="prompts.version",
        summary="Show one version of a prompt in full, and what it has that another has not",
        query=prompts.VersionQuery,
        returns=prompt_views.PromptText,
        problems=(NOT_FOUND,),
        platform=True,
    ),
    Operation(
        method="POST",
        path=f"{PROMPT}/rollback",
        permission=Permission.PROMPTS_ROLLBACK,
        handler=prompts.roll_back_prompt,
        summary="Give new tasks an earlier version of a prompt, at once and without an approval",
        takes=prompts.RollbackRequest,
        returns=prompt_views.PromptView,
        headers=(KEY_HEADER,),
        problems=(NOT_FOUND, VERSION_ACTIVE, KEY_REUSED),
        platform=True,
    ),
    Operation(
        method="GET",
        path="/v1/governance/status",
        permission=Permission.GOVERNANCE_READ,
        handler=governance.show_governance,
        action="governance.status",
        summary="Show the limits of learning, what is allowed next, and what waits",
        query=governance.GovernanceQuery,
        returns=governance.GovernanceStatus,
        platform=True,
    ),
    Operation(
        method="GET",
        path="/v1/governance/stats",
        permission=Permission.GOVERNANCE_READ,
        handler=governance.show_learning_stats,
        action="governance.stats",
        summary="Show what became of the proposals for each role's prompt",
        returns=governance.StatsPage,
        platform=True,
    ),
)
