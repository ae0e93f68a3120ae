"""What authentication, limits, audit and encryption cost: `python bench/gateway.py [--check]`.

The gateway and `bench/bare_gateway.py` on one PostgreSQL and one Temporal, by turns, under the same load from raw
sockets: submissions, and reads of one task. Prints a Markdown table of the medians of the rounds, and the ratios;
with --check it fails below the goals.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count, cycle
from pathlib import Path

ROOT = Path(__file__).parent.parent
# In place of this folder, where this file would be taken for the package `gateway`.
sys.path[0] = str(ROOT)

from gateway.tokens import issue_token  # noqa: E402
from schema.settings import Settings  # noqa: E402
from tests.support.parts import free_port, running_postgres, running_temporal  # noqa: E402

ROUNDS, SECONDS, CONNECTIONS = 5, 4.0, 16
PRINCIPALS = 400
"""As many as it takes to stay below each one's limit, which is on."""
GOALS = {"submit": 0.8, "read": 0.5}
SPEC = {
    "title": "Double",
    "instructions": "Write double(x).",
    "files": {},
    "tests": {"test_double.py": "from double import double\n\n\ndef test_it():\n    assert double(2) == 4\n"},
    "budget_tokens": 20_000,
}

Request = Callable[[], bytes]


@dataclass
class Load:
    """What one round of load came to: seconds of each request, and how long the round took."""

    seconds: list[float] = field(default_factory=list)
    took: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.took

    def quantile(self, share: float) -> float:
        return sorted(self.seconds)[int(share * (len(self.seconds) - 1))]


async def load(port: int, request: Request, wanted: bytes) -> Load:
    """Keep CONNECTIONS busy for SECONDS."""
    found, started = Load(), time.perf_counter()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() - started < SECONDS:
            sent = time.perf_counter()
            writer.write(request())
            status, _ = await _answer(reader)
            if status != wanted:
                raise SystemExit(f"the server answered {status.decode()} in place of {wanted.decode()}")
            found.seconds.append(time.perf_counter() - sent)
        writer.close()

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    found.took = time.perf_counter() - started
    return found


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    size = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
    return lines[0].split(b" ")[1], await reader.readexactly(size)


def submission(tokens: Iterator[str]) -> Request:
    keys = count()
    body = json.dumps(SPEC).encode()

    def make() -> bytes:
        head = (
            f"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {next(tokens)}\r\n"
            f"Idempotency-Key: bench-{os.getpid()}-{next(keys)}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    return make


def read(tokens: Iterator[str], task_id: str) -> Request:
    def make() -> bytes:
        return (
            f"GET /v1/tasks/{task_id} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {next(tokens)}\r\n\r\n"
        ).encode()

    return make


@asynccontextmanager
async def serving(settings: Settings, *command: str) -> AsyncIterator[int]:
    """A server on a port of its own, once it answers."""
    port = free_port()
    named = {
        "HOME": settings.home,
        "GATEWAY_PORT": port,
        "METRICS_PORT": free_port(),
        "TENANT_SLOTS": 1_000_000,
        "LOG_LEVEL": "error",
    }
    environment = {f"GOLDEN_{name}": str(value) for name, value in named.items()}
    environment |= {"TEMPORAL_ADDRESS": settings.temporal_target, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env={**os.environ, **environment})
    try:
        await _until_ready(port)
        yield port
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _until_ready(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                status, _ = await _answer(reader)
                writer.close()
                if status == b"200":
                    return
            except OSError:
                pass
            await asyncio.sleep(0.1)


async def measure(home: Path) -> dict[tuple[str, str], list[Load]]:
    async with running_temporal(home) as address, running_postgres(home) as prepared:
        settings = prepared.model_copy(update={"temporal_address": address})
        made = [
            issue_token(settings, sub=f"p{n}", role="admin", tenant="default", ttl=timedelta(hours=1))
            for n in range(PRINCIPALS)
        ]
        tokens = cycle(made)
        async with (
            serving(settings, sys.executable, "-m", "gateway.cli", "gateway") as ours,
            serving(settings, sys.executable, "-m", "bench.bare_gateway") as bare,
        ):
            task_id = await _first_task(ours, tokens)
            kinds = {
                "submit": (submission(tokens), b"202"),
                "read": (read(tokens, task_id), b"200"),
            }
            loads: dict[tuple[str, str], list[Load]] = {}
            for number in range(ROUNDS + 1):
                for kind, (request, wanted) in kinds.items():
                    for name, port in (("golden", ours), ("bare", bare)):
                        done = await load(port, request, wanted)
                        # The first round warms up.
                        if number:
                            loads.setdefault((kind, name), []).append(done)
            return loads


async def _first_task(port: int, tokens: Iterator[str]) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(submission(tokens)())
    status, body = await _answer(reader)
    writer.close()
    if status != b"202":
        raise SystemExit(f"the gateway took no task: {body.decode()}")
    return str(json.loads(body)["task_id"])


def report(loads: dict[tuple[str, str], list[Load]]) -> dict[str, float]:
    print("| | a second | p50 ms | p99 ms |\n| --- | --- | --- | --- |")
    for (kind, name), rounds in loads.items():
        rate, half, last = (
            statistics.median(figures)
            for figures in zip(*((r.per_second, r.quantile(0.5), r.quantile(0.99)) for r in rounds), strict=True)
        )
        print(f"| {kind}, {name} | {rate:.0f} | {half * 1000:.1f} | {last * 1000:.1f} |")
    ratios = {}
    for kind, goal in GOALS.items():
        pairs = zip(loads[kind, "golden"], loads[kind, "bare"], strict=True)
        ratios[kind] = statistics.median(ours.per_second / bare.per_second for ours, bare in pairs)
        print(f"\n{kind}: {ratios[kind]:.2f} of the bare throughput (goal {goal})")
    return ratios


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="golden-bench-") as folder:
        ratios = report(asyncio.run(measure(Path(folder))))
    if "--check" in sys.argv and any(ratios[kind] < goal for kind, goal in GOALS.items()):
        sys.exit(1)


if __name__ == "__main__":
    main()
