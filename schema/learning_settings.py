"""Settings of governed learning: what counts as a pattern, how a proposal is evaluated, tried and decided on."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from schema.recovery_settings import RecoverySettings

Share = Annotated[float, Field(gt=0, lt=1)]


class LearningSettings(RecoverySettings):
    """Times are in the unit that the name says; shares are between 0 and 1."""

    learning_scan: Literal["on", "paused"] = "on"
    """`paused` stops the search for patterns; people may propose all the same."""
    learning_scan_minutes: PositiveInt = 15
    """Minutes between two scans; set when its Schedule is made."""
    learning_window_days: PositiveInt = 14
    """How far back a scan looks."""
    learning_min_tasks: Annotated[int, Field(ge=2)] = 5
    """Different tasks in which a rule must have failed."""
    learning_base_rate: Share = 0.05
    """The least that chance is taken for."""
    learning_fdr: Share = 0.05
    """False discovery rate over all rules of a scan (Benjamini-Hochberg)."""
    learning_again_days: PositiveInt = 7
    """Days before the same pattern is proposed again."""

    evaluation_tasks: Annotated[int, Field(ge=2, le=200)] = 60
    """Past tasks that a proposal is tried on, at most."""
    evaluation_pairs: Annotated[int, Field(ge=2, le=400)] = 80
    """Runs of both versions at most, over all tasks and seeds."""
    evaluation_min_tasks: Annotated[int, Field(ge=2, le=200)] = 8
    """Different past tasks below which it is unclear."""
    evaluation_margin: Share = 0.05
    """The least difference that counts."""
    evaluation_tokens: Annotated[int, Field(ge=1_000, le=10_000_000)] = 400_000
    """What a proposal's words and evaluation may spend."""

    approval_hours: PositiveInt = 168
    """Hours after which a proposal that nobody decides on expires."""
    approval_reminder_hours: PositiveInt = 24
    """Hours after which those who may decide are reminded."""
    approval_escalation_hours: PositiveInt = 72
    """Hours after which it is shown as overdue."""

    canary_tasks: PositiveInt = 20
    """Tasks of a canary that have to end without an alarm."""
    canary_hours: PositiveInt = 168
    """Hours after which a trial that told too little ends."""
    canary_seconds: PositiveInt = 60
    """Seconds between two looks at a trial."""
    canary_false_alarms: Share = 0.05
    """The probability that chance alone looks like harm."""
