"""A model provider of our own, for attacks that must not hang on what a real model says."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

READ_TOKENS, WRITTEN_TOKENS = 100, 20
"""What it says that each answer used."""


class Provider(ThreadingHTTPServer):
    """An OpenAI-compatible endpoint.

    Attributes:
        mood: `down` answers 500; `lost` works, and the answer is lost on its way; `well` answers with `text`.
        asked: requests that reached it.
        worked: those of them that it worked for, and a real provider would charge.
    """

    daemon_threads = True

    def __init__(self, text: str) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.text = text
        self.mood: Literal["down", "lost", "well"] = "down"
        self.asked = self.worked = 0
        self.counting = threading.Lock()

    def routes(self, run: str) -> str:
        """`GOLDEN_MODELS` for it; the model's name is of this run alone, and so is its circuit."""
        url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        price = {"input": 1.0, "output": 2.0}
        model = {"model": f"openai:prove-{run}", "base_url": url, "api_key": "none", "max_tokens": 500, "price": price}
        return json.dumps({"default": [model]})


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Provider)  # noqa: S101 - for the type checker
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        mood = server.mood
        with server.counting:
            server.asked += 1
            server.worked += mood != "down"
        if mood == "lost":
            self.close_connection = True
            return
        body = json.dumps(_completion(server.text) if mood == "well" else {"error": {"message": "down"}}).encode()
        self.send_response(200 if mood == "well" else 500)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _completion(text: str) -> dict[str, object]:
    message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    total = READ_TOKENS + WRITTEN_TOKENS
    usage = {"prompt_tokens": READ_TOKENS, "completion_tokens": WRITTEN_TOKENS, "total_tokens": total}
    named = {"id": "prove", "object": "chat.completion", "created": 0, "model": "prove"}
    return {**named, "choices": [message], "usage": usage}


@contextmanager
def running_provider(text: str = "well") -> Iterator[Provider]:
    """The provider on a port of its own; it is down until its mood is changed."""
    provider = Provider(text)
    thread = threading.Thread(target=provider.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.shutdown()
        provider.server_close()
        thread.join()
