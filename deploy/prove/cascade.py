"""Cascading failure: a model provider that answers every call with an error, and what the fleet makes of it."""

import asyncio
import time

from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError

from activities.circuit import Outcome, Rules
from activities.circuits import Circuits, Permit
from activities.models import Models, Question, RefusedCall
from activities.routes import read_routes
from deploy.prove.proof import Broken, Ground, expect, until
from deploy.prove.provider import Provider, running_provider
from schema.database import Database
from schema.errors import ModelUnavailable
from schema.messages.circuit import CircuitState
from schema.settings import Settings
from schema.tables import circuit_changes, circuits

DONE = "a model provider of our own answers 40 calls with 500, then is well again; the fleet's circuits are the stack's"
CALLS = 40
MOST_LET_OUT = 6
"""Calls that may reach a provider that is down: five failures in a row, and one that was under way."""
BACK_WITHIN = 30.0
_QUESTION = Question(system="prove", user="prove", schema=None, temperature=0.0, seed=1, max_tokens=10)


async def prove(ground: Ground) -> str:
    """The figure; raises Broken, NotShown."""
    ground.need_local("asks the stack's database")
    with running_provider() as provider:
        settings = ground.settings.model_copy(update={"models": provider.routes(ground.run)})
        database = Database.from_settings(ground.settings, pool_size=2)
        models = Models(read_routes(settings), timeout_seconds=5)
        try:
            return await _attack(ground, provider, settings, database, models)
        finally:
            name = models.route("developer")[0].circuit
            await models.close()
            await forget(database, name)
            await database.close()


async def _attack(ground: Ground, provider: Provider, settings: Settings, database: Database, models: Models) -> str:
    rules = Rules.from_settings(settings)
    name = models.route("developer")[0].circuit
    ours, others = (Circuits(database, f"prove-{ground.run}-{place}", rules) for place in (1, 2))
    for _ in range(CALLS):
        await _call(ours, models, name)
    if provider.asked > MOST_LET_OUT:
        raise Broken(f"{provider.asked} of {CALLS} calls went out to a provider that is down")
    reached = provider.asked
    if isinstance(await others.permit(name), Permit):
        raise Broken("another worker does not know that the circuit is open")
    shown = await _shown(ground)
    if shown.get(name) not in ("open", "half-open"):
        raise Broken(f"the gateway shows the circuit as {shown.get(name, 'unknown')}")
    provider.mood, began = "well", time.monotonic()

    async def back() -> bool:
        await _call(ours, models, name)
        return (await _shown(ground)).get(name) == CircuitState.CLOSED.value

    closed = await until(back, BACK_WITHIN)
    await ours.flush()
    if not closed:
        raise Broken(f"the provider is well, and the circuit is not closed after {BACK_WITHIN:.0f} s")
    return (
        f"{reached} of {CALLS} calls went out, then the circuit was open to the whole fleet; "
        f"closed {time.monotonic() - began:.1f} s after the provider was well"
    )


async def _call(ours: Circuits, models: Models, name: str) -> None:
    """One call as a worker makes it: only with the circuit's permit, and its end is told."""
    permit = await ours.permit(name)
    if not isinstance(permit, Permit):
        return
    outcome = Outcome.FAILURE
    try:
        await models.call(models.route("developer")[0], _QUESTION)
        outcome = Outcome.SUCCESS
    except (RefusedCall, ModelUnavailable):
        pass
    finally:
        await asyncio.shield(ours.report(name, outcome, probe=permit.probe))


async def _shown(ground: Ground) -> dict[str, str]:
    """The circuits by name, as the gateway shows them."""
    tenant = ground.tenant("cascade")
    async with ground.client("operator", tenant) as client:
        items = expect(await client.get("/v1/circuits"), 200).json()["items"]
    return {item["circuit"]: item["state"] for item in items}


async def forget(database: Database, name: str) -> None:
    """Take our provider out of the fleet's circuits, where the service's role may."""
    for table in (circuit_changes, circuits):
        try:
            async with database.service() as connection:
                await connection.execute(delete(table).where(table.c.circuit == name))
        except SQLAlchemyError:
            return
