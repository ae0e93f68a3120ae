"""The routes about votes: put a candidate to one, see why it came out so, and what turned out later."""

from gateway import consensus, submission
from gateway.authorisation import Permission
from gateway.operations import KEY_HEADER, Operation
from gateway.problems import KEY_REUSED, NO_VOTE, NOT_FOUND, TASK_NOT_FINAL
from schema.messages.candidate import VoteSpec
from schema.messages.task import TaskView
from schema.messages.vote import Explanation

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
)
