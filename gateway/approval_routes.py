"""The routes of proposals and approvals."""

from gateway import approval_views, approvals, proposals
from gateway.authorisation import Permission
from gateway.operations import KEY_HEADER, Operation
from gateway.problems import (
    APPROVAL_DECIDED,
    DIGEST_CHANGED,
    KEY_REUSED,
    LEARNING_NOT_ALLOWED,
    NOT_FOUND,
    NOTHING_TO_PROPOSE,
    PROPOSAL_OPEN,
    TOO_MANY_PROPOSALS,
)

APPROVALS = "/v1/approvals"
APPROVAL = f"{APPROVALS}/{{approval_id}}"
DECIDING = (NOT_FOUND, APPROVAL_DECIDED, DIGEST_CHANGED, KEY_REUSED)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path=APPROVALS,
        permission=Permission.APPROVALS_READ,
        handler=approvals.list_approvals,
        action="approvals.list",
        summary="List proposed changes, newest first",
        query=approvals.ApprovalQuery,
        returns=approvals.ApprovalPage,
    ),
    Operation(
        method="GET",
        path=APPROVAL,
        permission=Permission.APPROVALS_READ,
        handler=approvals.show_approval,
        action="approvals.show",
        summary="Show a proposed change, its evidence, how it was evaluated, its digest and what follows on yes",
        returns=approval_views.ApprovalView,
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="POST",
        path=f"{APPROVAL}/approve",
        permission=Permission.APPROVALS_DECIDE,
        handler=approvals.approve,
        action="approvals.approve",
        summary="Approve a proposed change that was shown",
        takes=approvals.ApprovalRequest,
        returns=approval_views.ApprovalView,
        headers=(KEY_HEADER,),
        owner=approvals.find_proposer,
        problems=(*DECIDING, LEARNING_NOT_ALLOWED),
    ),
    Operation(
        method="POST",
        path=f"{APPROVAL}/reject",
        permission=Permission.APPROVALS_DECIDE,
        handler=approvals.reject,
        action="approvals.reject",
        summary="Reject a proposed change that was shown",
        takes=approvals.ApprovalRequest,
        returns=approval_views.ApprovalView,
        headers=(KEY_HEADER,),
        owner=approvals.find_proposer,
        problems=DECIDING,
    ),
    Operation(
        method="POST",
        path="/v1/proposals",
        permission=Permission.LEARNING_PROPOSE,
        handler=proposals.propose,
        action="learning.propose",
        summary="Propose a change of a role's prompt, or new weights for the voters",
        status=202,
        takes=proposals.ProposalRequest,
        returns=approval_views.ApprovalView,
        headers=(KEY_HEADER,),
        problems=(NOT_FOUND, NOTHING_TO_PROPOSE, PROPOSAL_OPEN, TOO_MANY_PROPOSALS, KEY_REUSED),
    ),
)
