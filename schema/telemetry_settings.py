"""Settings of traces: the standard's own variables that decide whether there are any, and what may be in them.

The OpenTelemetry SDK reads the other `OTEL_*` variables itself.
"""

from typing import Annotated

from pydantic import Field

from schema.learning_settings import LearningSettings


class TelemetrySettings(LearningSettings):
    """Traces are on where an endpoint is named and nothing turns them off."""

    otlp_endpoint: Annotated[str | None, Field(validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")] = None
    """A collector's base URL; traces go to `/v1/traces` under it."""
    otlp_traces_endpoint: Annotated[str | None, Field(validation_alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")] = None
    """The whole URL for traces, before the one above."""
    otel_disabled: Annotated[str, Field(validation_alias="OTEL_SDK_DISABLED")] = "false"
    """`true` turns traces off, whatever else is set."""
    otel_exporter: Annotated[str, Field(validation_alias="OTEL_TRACES_EXPORTER")] = "otlp"
    """`none` turns traces off; there is no other exporter than `otlp`."""
    trace_prompts: bool = False
    """Whether the spans of model calls hold what was asked and answered: users' text and models'."""

    @property
    def traces_on(self) -> bool:
        """Whether spans are made and sent."""
        wanted = self.otel_disabled.strip().lower() != "true" and self.otel_exporter.strip().lower() in ("", "otlp")
        return wanted and bool(self.otlp_traces_endpoint or self.otlp_endpoint)
