"""The routes of dead letters."""

from gateway import dead_letter_bulk, dead_letter_decisions, dead_letters
from gateway.authorisation import Permission
from gateway.operations import KEY_HEADER, Operation
from gateway.problems import BUDGET_EXHAUSTED, DEAD_LETTER_DECIDED, KEY_REUSED, NOT_FOUND, TASK_FINAL

LETTERS = "/v1/dead-letters"
LETTER = f"{LETTERS}/{{letter_id}}"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path=LETTERS,
        permission=Permission.DEAD_LETTERS_READ,
        handler=dead_letters.list_dead_letters,
        action="dead-letters.list",
        summary="List dead letters, newest first",
        query=dead_letters.DeadLetterQuery,
        returns=dead_letters.DeadLetterPage,
        platform=True,
    ),
    Operation(
        method="POST",
        path=f"{LETTERS}/redrive",
        permission=Permission.DEAD_LETTERS_REDRIVE,
        handler=dead_letter_bulk.redrive_letters,
        action="dead-letters.bulk.redrive",
        summary="Redrive the open dead letters that match, so many a minute",
        status=202,
        takes=dead_letter_bulk.BulkRedriveRequest,
        returns=dead_letter_bulk.BulkAnswer,
        headers=(KEY_HEADER,),
        problems=(NOT_FOUND, KEY_REUSED),
    ),
    Operation(
        method="POST",
        path=f"{LETTERS}/discard",
        permission=Permission.DEAD_LETTERS_REDRIVE,
        handler=dead_letter_bulk.discard_letters,
        action="dead-letters.bulk.discard",
        summary="Discard the open dead letters that match, so many a minute",
        status=202,
        takes=dead_letter_bulk.BulkDiscardRequest,
        returns=dead_letter_bulk.BulkAnswer,
        headers=(KEY_HEADER,),
        problems=(NOT_FOUND, KEY_REUSED),
    ),
    Operation(
        method="GET",
        path=LETTER,
        permission=Permission.DEAD_LETTERS_READ,
        handler=dead_letters.show_dead_letter,
        action="dead-letters.show",
        summary="Show a dead letter",
        returns=dead_letters.DeadLetterView,
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="POST",
        path=f"{LETTER}/redrive",
        permission=Permission.DEAD_LETTERS_REDRIVE,
        handler=dead_letter_decisions.redrive_letter,
        action="dead-letters.redrive",
        summary="Redrive a dead letter, perhaps by another route or with more tokens",
        takes=dead_letter_decisions.RedriveRequest,
        body_optional=True,
        returns=dead_letters.DeadLetterView,
        headers=(KEY_HEADER,),
        problems=(NOT_FOUND, DEAD_LETTER_DECIDED, TASK_FINAL, BUDGET_EXHAUSTED, KEY_REUSED),
    ),
    Operation(
        method="POST",
        path=f"{LETTER}/discard",
        permission=Permission.DEAD_LETTERS_REDRIVE,
        handler=dead_letter_decisions.discard_letter,
        action="dead-letters.discard",
        summary="Discard a dead letter",
        takes=dead_letter_decisions.DiscardRequest,
        body_optional=True,
        returns=dead_letters.DeadLetterView,
        headers=(KEY_HEADER,),
        problems=(NOT_FOUND, DEAD_LETTER_DECIDED, KEY_REUSED),
    ),
)
