"""The routes about votes and findings: why a vote came out so, what turned out later, what is left to mend."""

from gateway import consensus, findings, follow_ups, policies, submission, task_views, truths, voters
from gateway.authorisation import Permission
from gateway.operations import KEY_HEADER, Operation
from gateway.problems import BUDGET_EXHAUSTED, KEY_REUSED, NO_VOTE, NOT_FOUND, TASK_NOT_FINAL
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
    Operation(
        method="GET",
        path="/v1/governance/voters",
        permission=Permission.GOVERNANCE_READ,
        handler=voters.show_voters,
        action="governance.voters",
        summary="Show the voters' records, and which weights they would propose",
        returns=voters.VoterPage,
    ),
    Operation(
        method="POST",
        path=f"{TASK}/follow-ups",
        permission=Permission.TASKS_SUBMIT,
        handler=follow_ups.submit_follow_up,
        action="tasks.follow-up",
        summary="Submit a task that was suggested for what could not be fixed",
        status=202,
        takes=follow_ups.FollowUpRequest,
        returns=TaskView,
        headers=(KEY_HEADER,),
        problems=(NOT_FOUND, TASK_NOT_FINAL, BUDGET_EXHAUSTED, KEY_REUSED),
    ),
    Operation(
        method="GET",
        path=f"{TASK}/findings",
        permission=Permission.TASKS_READ,
        handler=findings.list_findings,
        action="tasks.findings",
        summary="List what the guards found and nobody mended; also as SARIF 2.1.0",
        forms=(findings.SARIF,),
        returns=findings.FindingPage,
        problems=(NOT_FOUND, TASK_NOT_FINAL),
    ),
)
