"""Settings of governed learning: what counts as a pattern, how a proposal is evaluated, tried and decided on."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from schema.transport import TransportSettings

Share = Annotated[float, Field(gt=0, lt=1)]


class LearningSettings(TransportSettings):
    """Times are in the unit that the name says; shares are between 0 and 1."""

    learning_scan: Literal["on", "paused"] = "on"
    learning_scan_minutes: PositiveInt = 15
    learning_window_days: PositiveInt = 14
    learning_min_tasks: Annotated[int, Field(ge=2)] = 5
    learning_base_rate: Share = 0.05
    learning_fdr: Share = 0.05
    learning_again_days: PositiveInt = 7

    evaluation_tasks: Annotated[int, Field(ge=2, le=200)] = 60
    evaluation_pairs: Annotated[int, Field(ge=2, le=400)] = 80
    evaluation_min_tasks: Annotated[int, Field(ge=2, le=200)] = 8
    evaluation_margin: Share = 0.05
    evaluation_tokens: Annotated[int, Field(ge=1_000, le=10_000_000)] = 400_000

    approval_hours: PositiveInt = 168
    approval_reminder_hours: PositiveInt = 24
    approval_escalation_hours: PositiveInt = 72

    canary_tasks: PositiveInt = 20
    canary_hours: PositiveInt = 168
    canary_seconds: PositiveInt = 60
    canary_false_alarms: Share = 0.05
