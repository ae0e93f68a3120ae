"""Every setting, from the class that reads them."""

from typing import Any, get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from deploy.reference.markdown import code, head, table
from schema.settings import Settings
from schema.transport import is_secret

ABOUT = """Read from the environment once, when a process starts. `golden doctor --settings` prints each with its value
and where it came from. A secret may lie in a file: `GOLDEN_NAME_FILE` names it. Temporal's own, `TEMPORAL_*`, are those
of temporalio.envconfig; traces are set by OpenTelemetry's own, `OTEL_*`."""


def page() -> str:
    """Every setting by name."""
    rows = sorted(_row(field, info) for field, info in Settings.model_fields.items())
    return f"{head('Settings', ABOUT)}\n{table(('name', 'default', 'takes', ''), rows)}"


def _row(field: str, info: FieldInfo) -> tuple[str, str, str, str]:
    name = str(info.validation_alias or f"GOLDEN_{field}").upper()
    secret = "a secret" if is_secret(info) else ""
    return code(name), code(_default(info.default)), secret or _takes(info), info.description or ""


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return ""
    if isinstance(value, dict):
        return ",".join(f"{name}={each}" for name, each in value.items())
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _takes(info: FieldInfo) -> str:
    """The closed choices, or the bounds, where there are some."""
    choices = [str(each) for each in get_args(info.annotation) if isinstance(each, str)]
    if choices:
        return " ".join(map(code, choices))
    bounds = {
        name: getattr(each, name) for each in info.metadata for name in ("ge", "gt", "le", "lt") if hasattr(each, name)
    }
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return ", ".join(f"{signs[name]} {bound:g}" for name, bound in bounds.items() if bound is not None)
