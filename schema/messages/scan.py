"""What one pass of `LearningScan` found and did."""

from schema.messages.base import Message


class ScanResult(Message):
    """Counts of one scan.

    Attributes:
        outcomes: read, of the window.
        rules: tested, over all tenants and roles.
        patterns: that were found. Each of them is one of the next three.
        proposed: are proposals now.
        known: have an open proposal already.
        held_back: are found again by a later scan: too many are open, or were made by this scan, or the last answer to
            the same is too young, or the prompt has no room.
    """

    outcomes: int = 0
    rules: int = 0
    patterns: int = 0
    proposed: int = 0
    known: int = 0
    held_back: int = 0
