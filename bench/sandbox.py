"""What a sandbox costs: `python bench/sandbox.py [--rounds N] [--check]`, as somebody who may use Docker.

In each round, interleaved and in changing order, the same `python -c "print(1)"` is run three ways under the runtime
of the settings and with the same limits: by `docker run --rm`, by `docker exec` into a running container, and by the
pool, which had the time to refill; then a candidate's proof, with and without guards. Prints Markdown tables; with
`--check` it ends with 1 where the pool's median is over 0.7 of exec's or over 0.2 of a cold run's.
"""

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from activities.docker_container import TMP, seccomp_profile  # noqa: E402
from activities.docker_pool import DockerSandboxPool  # noqa: E402
from activities.judging import judge  # noqa: E402
from schema.messages.sandbox import SandboxJob  # noqa: E402
from schema.settings import Settings  # noqa: E402

OWNER = f"bench-{os.getpid()}"
PROGRAM = ("python", "-c", "print(1)")
CANDIDATE = {"double.py": "def double(x):\n    return 2 * x\n"}
TESTS = {"test_double.py": "from double import double\n\n\ndef test_double():\n    assert double(2) == 4\n"}
OF_EXEC, OF_COLD = 0.7, 0.2
AT_ONCE = (1, 2, 4)
RUNS_AT_ONCE = 24


def make_pool(settings: Settings, size: int) -> DockerSandboxPool:
    """A pool as the worker has it."""
    return DockerSandboxPool(
        isolation=settings.sandbox_isolation,
        runtime=settings.sandbox_runtime,
        images=settings.sandbox_images,
        size=size,
        owner=OWNER,
    )


def hardening(settings: Settings, seccomp: str) -> list[str]:
    """The pool's own limits, as the command line says them."""
    return [
        f"--runtime={settings.sandbox_runtime if settings.sandbox_isolation == 'gvisor' else 'runc'}",
        "--network=none", "--read-only", "--tmpfs=/work:rw,nosuid,nodev,mode=1777,size=64m", f"--tmpfs=/tmp:{TMP}",
        "--cap-drop=ALL", "--security-opt=no-new-privileges", f"--security-opt=seccomp={seccomp}", "--user=65534",
        "--pids-limit=4096", "--memory=512m", "--memory-swap=512m", "--cpus=1", "--log-driver=none", "--ipc=none",
        "--workdir=/work",
    ]  # fmt: skip


async def output(*command: str) -> str:
    """What a command says; its failure ends the measurement."""
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said, errors = await process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command[:2])} failed: {errors.decode().strip()}")
    return said.decode().strip()


async def pooled(pool: DockerSandboxPool) -> str:
    """What one run by the pool says."""
    return (await pool.run(SandboxJob(files={}, command=PROGRAM))).stdout.strip()


async def timed(work: Callable[[], Awaitable[str]]) -> float:
    """The milliseconds that the program takes in one way; it has to be the program that ran."""
    started = time.perf_counter()
    said = await work()
    milliseconds = (time.perf_counter() - started) * 1000
    if said != "1":
        raise SystemExit(f"the program did not run: {said!r}")
    return milliseconds


@asynccontextmanager
async def started(pool: DockerSandboxPool) -> AsyncIterator[DockerSandboxPool]:
    """The pool, full, and closed afterwards."""
    await pool.start()
    try:
        await pool.settle()
        yield pool
    finally:
        await pool.close()


async def latencies(settings: Settings, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each way, paired in one run and in changing order."""
    image = settings.sandbox_images["default"]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as seccomp:
        seccomp.write(seccomp_profile())
        seccomp.flush()
        options = hardening(settings, seccomp.name)
        held = await output("docker", "run", "--rm", "--detach", *options, "--entrypoint=sleep", image, "infinity")
        try:
            async with started(make_pool(settings, settings.sandbox_pool)) as pool:
                ways: dict[str, Callable[[], Awaitable[str]]] = {
                    "cold": lambda: output("docker", "run", "--rm", *options, "--entrypoint=", image, *PROGRAM),
                    "exec": lambda: output("docker", "exec", held, *PROGRAM),
                    "pool": lambda: pooled(pool),
                }
                return await interleaved(ways, pool, rounds)
        finally:
            await output("docker", "rm", "--force", held)


async def interleaved(
    ways: dict[str, Callable[[], Awaitable[str]]], pool: DockerSandboxPool, rounds: int
) -> dict[str, list[float]]:
    """Each way once a round, after one round that doesn't count; the pool settles before each."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name in random.sample(list(ways), len(ways)):
            await pool.settle()
            milliseconds = await timed(ways[name])
            if number:
                taken[name].append(milliseconds)
    return taken


async def proofs(settings: Settings, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of a candidate's proof, its control included, without guards and with them."""
    plain = SandboxJob(files=CANDIDATE, tests=TESTS, command=("python", "-m", "pytest", "-q"))
    jobs = {"without guards": plain, "with guards": plain.model_copy(update={"guards": {}, "given": {}})}

    async def proven(pool: DockerSandboxPool, job: SandboxJob) -> str:
        return str(int((await judge(pool, job)).passed))

    async with started(make_pool(settings, max(2, settings.sandbox_pool))) as pool:
        ways: dict[str, Callable[[], Awaitable[str]]] = {name: partial(proven, pool, job) for name, job in jobs.items()}
        return await interleaved(ways, pool, rounds)


async def throughput(settings: Settings, at_once: int) -> float:
    """Runs a second, with so many in parallel on a pool of that size, refilling as it goes."""
    async with started(make_pool(settings, at_once)) as pool:

        async def some() -> None:
            for _ in range(RUNS_AT_ONCE // at_once):
                await pooled(pool)

        begun = time.perf_counter()
        await asyncio.gather(*(some() for _ in range(at_once)))
        return RUNS_AT_ONCE / (time.perf_counter() - begun)


async def idle_memory(settings: Settings) -> dict[str, float]:
    """MiB of proportional set size that one waiting container has, by what holds it."""
    async with started(make_pool(settings, 1)):
        container = await output("docker", "ps", "--quiet", "--no-trunc", f"--filter=label=golden.owner={OWNER}")
        named = [pid for pid in processes() if container in read(pid, "cmdline")]
        shims = [pid for pid in named if "shim" in read(pid, "cmdline").split("\0")[0]]
        inside = [pid for pid in named if pid not in shims]
        parents = {pid: read(pid, "stat").rpartition(")")[2].split()[1] for pid in processes() if read(pid, "stat")}
        for pid in inside:
            inside += [child for child, parent in parents.items() if parent == pid and child not in inside + shims]
        return {"sandbox": sum(map(pss, inside)), "shim": sum(map(pss, shims))}


def processes() -> list[str]:
    """The ids of all processes."""
    return [path.name for path in Path("/proc").iterdir() if path.name.isdecimal()]


def read(pid: str, name: str) -> str:
    """A file of a process; empty when it has gone."""
    try:
        return Path("/proc", pid, name).read_text(errors="replace")
    except OSError:
        return ""


def pss(pid: str) -> float:
    """MiB of a process, with its share of what it shares."""
    lines = [line.split() for line in read(pid, "smaps_rollup").splitlines()]
    return sum(int(words[1]) for words in lines if words[0] == "Pss:") / 1024


async def measure(rounds: int) -> bool:
    """All of it, printed; whether the goals were met."""
    settings = Settings()
    taken = await latencies(settings, rounds)
    middle = {name: statistics.median(values) for name, values in taken.items()}
    print("| the same program | p50 ms | p90 ms | pool / this |\n| --- | --- | --- | --- |")
    for name, values in taken.items():
        p90 = statistics.quantiles(values, n=10)[-1]
        print(f"| {name} | {middle[name]:.0f} | {p90:.0f} | {middle['pool'] / middle[name]:.2f} |", flush=True)
    proven = await proofs(settings, rounds)
    without = statistics.median(proven["without guards"])
    print("\n| a proof and its control | p50 ms | this / without |\n| --- | --- | --- |")
    for name, values in proven.items():
        print(f"| {name} | {statistics.median(values):.0f} | {statistics.median(values) / without:.2f} |", flush=True)
    print("\n| in parallel | runs a second |\n| --- | --- |")
    for at_once in AT_ONCE:
        print(f"| {at_once} | {await throughput(settings, at_once):.1f} |", flush=True)
    memory = await idle_memory(settings)
    print(f"\nAn idle container has {memory['sandbox']:.0f} MiB, and its shim {memory['shim']:.0f} MiB (PSS).")
    return middle["pool"] <= OF_EXEC * middle["exec"] and middle["pool"] <= OF_COLD * middle["cold"]


def main() -> int:
    """0, or 1 where `--check` is asked for and a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    met = asyncio.run(measure(arguments.rounds))
    return 0 if met or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())
