"""A vote in words: what would have changed it, also where no voter's change of mind would."""

from gateway.consensus_words import flip_of
from schema.messages.vote import Reduction
from tests.support.votes import VOTE

UNSUPPORTED = Reduction(rule="unsupported", factor=0, reason="rejects without an objection that the evidence bears")


def test_where_no_change_of_choices_would_help_it_is_told_whose_ballots_count_for_nothing() -> None:
    reviewer, security, tester = VOTE.voters
    annulled = security.model_copy(update={"effective_weight": 0, "reductions": (UNSUPPORTED,)})

    told = flip_of(VOTE.model_copy(update={"flip": (), "voters": (reviewer, annulled, tester)}))

    assert told == (
        "no change of choices alone would have changed the outcome "
        "(what counts for nothing, for the reasons beside it: security)"
    )
