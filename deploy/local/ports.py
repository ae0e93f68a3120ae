"""Which ports the stack needs, and whether they are free."""

import contextlib
import socket
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from deploy.local.services import worker_metrics_port
from schema.settings import Settings


@dataclass(frozen=True)
class Needed:
    """A port, and the setting that changes it."""

    setting: str
    number: int


def needs_model(settings: Settings) -> bool:
    """Whether any route leads to the embedded model."""
    text = settings.models
    with contextlib.suppress(OSError, ValueError):  # it is the text itself, or the worker will say what is wrong
        text = Path(text.strip()).read_text()
    return "embedded" in text


def needed(settings: Settings) -> list[Needed]:
    """The ports of the parts that this stack will start."""
    ports = [
        Needed("GOLDEN_GATEWAY_PORT", settings.gateway_port),
        Needed("GOLDEN_METRICS_PORT", settings.metrics_port),
        Needed("GOLDEN_METRICS_PORT", worker_metrics_port(settings)),
    ]
    if settings.temporal_address is None:
        ports.append(Needed("GOLDEN_TEMPORAL_PORT", settings.temporal_port))
        ports.append(Needed("GOLDEN_TEMPORAL_UI_PORT", settings.temporal_ui_port))
    if needs_model(settings):
        ports.append(Needed("GOLDEN_MODEL_PORT", settings.model_port))
    return ports


def conflicts(settings: Settings) -> list[str]:
    """What stands in the way, one sentence each, with the setting that helps; nothing if every port is free."""
    ports = needed(settings)
    twice = {number for number, count in Counter(port.number for port in ports).items() if count > 1}
    return [
        f"port {port.number} is {'wanted twice' if port.number in twice else 'taken'}: set {port.setting}"
        for port in ports
        if port.number in twice or not _is_free(port.number)
    ]


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection that has just closed doesn't block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except (OSError, OverflowError):
            return False
    return True
