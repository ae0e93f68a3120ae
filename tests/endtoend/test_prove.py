"""`golden prove` on a stack whose defences are up, and with one of them switched off at a time."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import httpx
import psycopg
import pytest
import pytest_asyncio
from temporalio.client import Client, ScheduleHandle
from temporalio.service import RPCError

from deploy.prove import failures, messages, runner, slo
from deploy.prove.proof import Proof
from schema.settings import DEFAULT_RATE_LIMITS, Settings
from tests.support.golden import Golden
from tests.support.parts import free_port
from tests.support.processes import until
from tests.support.provider import Provider, Script, files

LIMITS = ",".join(f"{name}={quota}" for name, quota in DEFAULT_RATE_LIMITS.items())
MEAN = files(mean="def mean(numbers):\n    return sum(numbers) / len(numbers)\n")
WHOLE = "GOLDEN_WHOLE" in os.environ
whole = pytest.mark.skipif(not WHOLE, reason="takes a minute: `make whole`")


@pytest.fixture(scope="module")
def stack(golden: Golden, provider: Provider) -> Golden:
    """The stack, whose provider answers what is asked for proofs; its limits bound nothing."""
    for title in ("prove ", "canary"):
        provider.script(title, Script(developer=[MEAN]))
    return golden


@contextmanager
def gateway_beside(golden: Golden, module: str, *arguments: str, limits: str) -> Iterator[Settings]:
    """Another gateway of the same stack; the settings that lead to it."""
    settings = golden.settings.model_copy(update={"gateway_port": free_port(), "metrics_port": free_port()})
    ports = {"GOLDEN_GATEWAY_PORT": str(settings.gateway_port), "GOLDEN_METRICS_PORT": str(settings.metrics_port)}
    environment = {**golden.environment, **ports, "GOLDEN_RATE_LIMITS": limits}
    with subprocess.Popen([sys.executable, "-m", module, *arguments], env=environment) as process:
        try:
            until_answers(settings.gateway_url)
            yield settings
        finally:
            process.terminate()


def until_answers(url: str) -> None:
    """Wait for a gateway."""
    transport = httpx.HTTPTransport(retries=8)  # the pause doubles from 0.5 s
    with httpx.Client(transport=transport, timeout=10) as client:
        assert client.get(f"{url}/healthz").status_code == 200


@pytest.fixture(scope="module")
def strict(stack: Golden) -> Iterator[Settings]:
    """A gateway with the limits that one has by itself."""
    with gateway_beside(stack, "gateway.cli", "gateway", limits=LIMITS) as settings:
        yield settings


@pytest.fixture(scope="module")
def weak(stack: Golden) -> Iterator[Settings]:
    """A gateway whose tokens never end, whose keys stand for nothing, whose YAML makes objects, and that is slow."""
    with gateway_beside(
        stack, "tests.support.weak_gateway", limits=stack.environment["GOLDEN_RATE_LIMITS"]
    ) as settings:
        yield settings


async def proven(settings: Settings, *names: str) -> list[Proof]:
    """The rows of these guarantees."""
    return await runner.prove_all(settings, names, gentle=False, report=lambda _: None)


async def not_held(settings: Settings, name: str) -> str:
    """What the one row says, which has to say that its guarantee does not hold."""
    (proof,) = proofs = await proven(settings, name)
    assert (proof.standing, runner.exit_code(proofs)) == ("not held", 1), proof
    return proof.figure


@contextmanager
def sql(golden: Golden, off: str, on: str) -> Iterator[None]:
    """A defence of the database that its owner takes away, and puts back."""
    url = golden.settings.database("migrator").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(off.encode())
        try:
            yield
        finally:
            connection.execute(on.encode())


@pytest_asyncio.fixture(scope="module")
async def rows(stack: Golden, strict: Settings) -> AsyncIterator[dict[str, Proof]]:
    """The rows by name, those that wait beside those that work; what measures and what kills is alone."""
    found = await proven(strict, "access", *(["load", "slo"] if WHOLE else []))
    lanes: tuple[tuple[str, ...], ...] = (("messages",), ("charging", "injection"), ("learning", "cascade"))
    for proofs in await asyncio.gather(*(proven(stack.settings, *lane) for lane in lanes)):
        found += proofs
    if WHOLE:
        found += await proven(stack.settings, "escape", "failures")
    short = {threat.name: threat.short for threat in runner.THREATS}
    yield {short[proof.threat]: proof for proof in found}


LONG = ("load", "slo", "escape", "failures")


@pytest.mark.parametrize("name", [pytest.param(name, marks=whole if name in LONG else ()) for name in runner.NAMES])
def test_with_its_defence_up_each_guarantee_holds(rows: dict[str, Proof], name: str) -> None:
    assert rows[name].standing == "held", rows[name]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("access", "a token (expired) was answered 200", marks=whole),
        ("injection", "ran a command"),
        pytest.param("charging", "one key made 50 tasks", marks=whole),
        ("slo", "of reads within 500 ms"),
    ],
)
async def test_a_gateway_without_the_defence_is_told(
    weak: Settings, monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    monkeypatch.setattr(slo, "READS", 5)

    assert told in await not_held(weak, name)


@whole
@pytest.mark.parametrize(("name", "told"), [("load", "bounds nothing"), ("access", "guesses")])
async def test_limits_that_bound_nothing_are_told(stack: Golden, name: str, told: str) -> None:
    assert told in await not_held(stack.settings, name)


async def test_tables_without_row_level_security_are_told(stack: Golden) -> None:
    with sql(stack, *(f"ALTER TABLE tasks {word} ROW LEVEL SECURITY" for word in ("DISABLE", "ENABLE"))):
        assert "sees every row of tasks" in await not_held(stack.settings, "access")


async def test_an_audit_log_without_its_trigger_is_told(stack: Golden) -> None:
    change = "ALTER TABLE audit_records {} TRIGGER audit_records_stay"
    with sql(stack, change.format("DISABLE"), change.format("ENABLE ALWAYS")):
        assert "audit_records_stay is not in force" in await not_held(stack.settings, "access")


async def test_limits_of_learning_that_were_raised_are_told(stack: Golden) -> None:
    change = "UPDATE prompt_limits SET max_per_day = {}, cooldown_hours = {} WHERE tenant = '*' AND role = 'security'"
    with sql(stack, change.format(50, 0), change.format(1, 24)):
        assert "two updates" in await not_held(stack.settings, "learning")


async def test_a_ledger_that_takes_each_end_of_a_call_is_told(stack: Golden) -> None:
    with psycopg.connect(stack.settings.database("migrator").replace("+psycopg", "")) as connection:
        found = connection.execute("SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'ledger_settle'")
        (checked,) = found.fetchone() or ("",)
    unchecked = checked.replace("AND tenant = p_tenant AND state = 'sent'\n    RETURNING", "\n    RETURNING")
    assert unchecked != checked
    with sql(stack, unchecked, checked):
        assert "ends of one call" in await not_held(stack.settings, "charging")


async def test_a_ledger_whose_table_takes_a_charge_twice_is_told(stack: Golden) -> None:
    name = "ledger_entries_task_id_step_epoch_ask_dispatch_kind_key"
    rule = f"ADD CONSTRAINT {name} UNIQUE (task_id, step, epoch, ask, dispatch, kind)"
    with sql(stack, *(f"ALTER TABLE ledger_entries {change}" for change in (f"DROP CONSTRAINT {name}", rule))):
        assert "takes a charge twice" in await not_held(stack.settings, "charging")


async def test_a_circuit_that_never_opens_is_told(stack: Golden) -> None:
    body = "BEGIN NEW.state := 'closed'; NEW.retry_at := NULL; RETURN NEW; END"
    off = (
        f"CREATE FUNCTION never_open() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$; "
        "CREATE TRIGGER never_open BEFORE INSERT OR UPDATE ON circuits FOR EACH ROW EXECUTE FUNCTION never_open()"
    )
    with sql(stack, off, "DROP FUNCTION never_open() CASCADE"):
        assert "circuit is open" in await not_held(stack.settings, "cascade")


@whole
async def test_a_reconcile_that_is_paused_is_told(
    stack: Golden, temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = temporal.get_schedule_handle("reconcile")
    monkeypatch.setattr(messages, "SLACK_SECONDS", 1.0)
    await until(lambda: paused(schedule))
    try:
        assert "the lost start" in await not_held(stack.settings, "messages")
    finally:
        await schedule.unpause()


async def paused(schedule: ScheduleHandle) -> bool:
    """Whether it could be paused: the worker makes it just after it says that it is ready."""
    try:
        await schedule.pause()
    except RPCError:
        return False
    return True


@whole
async def test_parts_that_nobody_starts_again_are_told(
    stack: Golden, rows: dict[str, Proof], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "BACK_WITHIN", 2.0)
    supervisor = stack._process
    assert supervisor is not None
    before = set(stack.pids())
    monkeypatch.setattr(failures, "_kill", stopped(supervisor.pid, failures._kill))
    try:
        assert "not back" in await not_held(stack.settings, "failures")
    finally:
        supervisor.send_signal(signal.SIGCONT)
        await until(lambda: back(stack, len(before)))


def stopped(supervisor: int, kill: Callable[[int], dict[str, int]]) -> Callable[[int], dict[str, int]]:
    """Killing, after the one that would start the parts again was stopped."""

    def act(number: int) -> dict[str, int]:
        os.kill(supervisor, signal.SIGSTOP)
        return kill(number)

    return act


async def back(golden: Golden, count: int) -> bool:
    """Whether as many parts run as before, and the gateway answers."""
    try:
        async with golden.client() as client:
            return len(golden.pids()) == count and (await client.get("/readyz")).status_code == 200
    except httpx.HTTPError:
        return False


@whole
def test_a_sandbox_of_the_hosts_kernel_is_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    golden = Golden(tmp_path_factory.mktemp("open"), sandbox_isolation="unsafe-runc")
    golden.start()
    try:
        command = [sys.executable, "-m", "gateway.cli", "prove", "--json", "--only", "escape"]
        done = subprocess.run(command, env=golden.environment, capture_output=True, text=True, timeout=180, check=False)
    finally:
        golden.stop()

    assert done.returncode == 1
    assert "own kernel" in json.loads(done.stdout)["proofs"][0]["figure"]
