"""The routes about votes: put a candidate to one, see why it came out so, and what turned out later."""

from gateway import consensus, policies, submission, task_views, truths
from gateway.authorisation import Permission
from gateway.operations import KEY_HEADER, Operation
from gateway.problems import KEY_REUSED, NO_VOTE, NOT_FOUND, TASK_NOT_FINAL
from schema.messages.candidate import VoteSpec
from schema.messages.task import TaskView
from schema.messages.vote import Explanation

POLICY = "/v1/policies/{tenant}"
TASK = "/v1/tasks/{task_id}"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="POST",
        path="/v1/consensus",
        permission=Permission.TASKS_SUBMIT,
        handler=submission.submit_vote,
        action="consensus.submit",
        summary="Put a candidate to a vote by itself",
        status=202,
        takes=VoteSpec,
        returns=TaskView,
        headers=(KEY_HEADER,),
        problems=(KEY_REUSED,),
    ),
    Operation(
        method="GET",
        path=f"{TASK}/consensus",
        permission=Permission.TASKS_READ,
        handler=consensus.show_consensus,
        action="tasks.consensus",
        summary="Show why the vote on a task came out as it did; also while a person is asked, and as a picture",
        forms=(consensus.SVG,),
        returns=Explanation,
        problems=(NOT_FOUND, NO_VOTE, TASK_NOT_FINAL),
    ),
    Operation(
        method="POST",
        path=f"{TASK}/truth",
        permission=Permission.TRUTHS_WRITE,
        handler=truths.tell_truth,
        action="tasks.truth",
        summary="Tell what turned out later about what was voted on",
        takes=truths.TruthRequest,
        returns=TaskView,
        owner=task_views.find_submitter,
        problems=(NOT_FOUND, TASK_NOT_FINAL),
    ),
    Operation(
        method="GET",
        path=POLICY,
        permission=Permission.GOVERNANCE_READ,
        handler=policies.show_policy,
        action="policies.show",
        summary="Show a tenant's policy of votes, and what is in force",
        returns=policies.PolicyView,
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="PUT",
        path=POLICY,
        permission=Permission.POLICIES_WRITE,
        handler=policies.set_policy,
        summary="Replace a tenant's policy of votes",
        takes=policies.PolicyRequest,
        returns=policies.PolicyView,
        problems=(NOT_FOUND,),
    ),
)
