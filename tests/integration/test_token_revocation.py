"""Tokens that are revoked over the API: at every gateway, for good, and through outages."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from gateway import revocations as gateway_revocations
from gateway.authentication import Verifier
from gateway.authorisation import Principal
from gateway.problems import Problem
from gateway.revocations import STALE_SECONDS, Revocations
from gateway.token_keys import KeyFolder
from gateway.tokens import issue_token
from schema.audit import payload_digest
from schema.database import Database
from schema.settings import Settings
from schema.tables import revocations, tokens
from tests.integration.test_gateway_events import following
from tests.support.audit import chain_of
from tests.support.http import client, problem, submit, tenant_name
from tests.support.tokens import ROUTE, SECONDS, issue, refused_by_all, status, told_of

Token = Callable[..., str]


class TestRevoking:
    async def test_a_revoked_token_is_refused_at_once_here_and_within_seconds_by_every_gateway(
        self, gateway_url: str, other_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant, "ann")) as http:
            made, kept = await issue(http), await issue(http)
            assert [await status(url, made["token"]) for url in (gateway_url, other_url)] == [200, 200]
            revoked = await http.delete(f"{ROUTE}/{made['jti']}", params={"reason": f"lost: {kept['token']}"[:500]})
            again = await http.delete(f"{ROUTE}/{made['jti']}")
            assert await status(gateway_url, made["token"]) == 401
            listed = {each["jti"]: each for each in (await http.get(ROUTE)).json()["items"]}

        await refused_by_all([other_url], made["token"])
        assert await status(other_url, kept["token"]) == 200
        assert (revoked.json()["revoked_by"], revoked.json()["reason"]) == ("ann", f"lost: {kept['token']}"[:500])
        assert again.json() == revoked.json()
        assert listed[made["jti"]]["revoked_at"] is not None
        assert listed[kept["jti"]]["revoked_at"] is None
        told = (await told_of(database, tenant, "token.revoke"))[0]
        asked = {"jti": made["jti"], "reason": revoked.json()["reason"]}
        assert (told.actor, told.object, told.reason, told.digest) == ("ann", made["jti"], None, payload_digest(asked))
        async with database.service() as connection:
            stored = text("SELECT reason FROM revocations WHERE jti = :jti")
            assert str(await connection.scalar(stored, {"jti": made["jti"]})).startswith("golden-sealed:")

    async def test_why_all_tokens_of_a_subject_are_revoked_is_in_no_audit_record(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant, "ann")) as http:
            revoked = await http.delete(ROUTE, params={"sub": "bob", "reason": "a pasted secret"})

        assert revoked.json()["reason"] == "a pasted secret"
        (told,) = await told_of(database, tenant, "token.revoke")
        assert (told.object or "").startswith("sub bob, issued before ")
        assert told.reason is None
        assert told.digest is not None
        assert "pasted" not in str(await chain_of(database, tenant))

    async def test_all_tokens_of_a_subject_are_revoked_and_the_next_is_good_within_the_same_second(
        self, gateway_url: str, other_url: str, settings: Settings, token: Token
    ) -> None:
        tenant, elsewhere = tenant_name(), tenant_name()
        offline = issue_token(settings, sub="bob", role="viewer", tenant=tenant, ttl=timedelta(hours=1))
        foreign = issue_token(settings, sub="bob", role="viewer", tenant=elsewhere, ttl=timedelta(hours=1))
        async with client(gateway_url, token("admin", tenant)) as http:
            old, carol = await issue(http, sub="bob"), await issue(http, sub="carol")
            response = await http.delete(ROUTE, params={"sub": "bob"})
            new = await issue(http, sub="bob")

        assert response.status_code == 200
        # One that nobody had seen yet is refused too.
        await refused_by_all([gateway_url, other_url], offline)
        await refused_by_all([gateway_url, other_url], old["token"])
        for url in (gateway_url, other_url):
            assert [await status(url, each) for each in (new["token"], carol["token"], foreign)] == [200] * 3

    async def test_all_that_were_issued_before_a_time_are_revoked(
        self, gateway_url: str, token: Token, database: Database, settings: Settings
    ) -> None:
        tenant = tenant_name()
        old = issue_token(settings, sub="bob", role="viewer", tenant=tenant, ttl=timedelta(hours=1))
        issued_at = jwt.decode(old, options={"verify_signature": False})["iat"]
        async with client(gateway_url, token("admin", "*", "root"), **{"Golden-Tenant": tenant}) as http:
            before = await http.delete(ROUTE, params={"issued_before": str(issued_at)})
            assert await status(gateway_url, old) == 200
            after = await http.delete(ROUTE, params={"issued_before": datetime.fromtimestamp(issued_at + 1, UTC)
                                                     .isoformat().replace("+00:00", "Z")})  # fmt: skip
            assert await status(gateway_url, old) == 401
            future = await http.delete(ROUTE, params={"issued_before": str(int(time.time()) + 3600)})

        assert [before.status_code, after.status_code] == [200, 200]
        assert problem(future) == "invalid-request"

    async def test_a_token_that_was_never_seen_can_be_revoked_before_it_is(
        self, gateway_url: str, settings: Settings, token: Token
    ) -> None:
        tenant = tenant_name()
        stolen = issue_token(settings, sub="eve", role="admin", tenant=tenant, ttl=timedelta(hours=1))
        token_id = jwt.decode(stolen, options={"verify_signature": False})["jti"]
        async with client(gateway_url, token("admin", tenant)) as http:
            assert (await http.delete(ROUTE, params={"jti": token_id})).status_code == 200

        assert await status(gateway_url, stolen) == 401

    async def test_another_tenants_token_cannot_be_revoked_listed_or_told_apart(
        self, gateway_url: str, token: Token
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            made = await issue(http)
        async with client(gateway_url, token("admin", tenant_name())) as http:
            of_other = await http.delete(f"{ROUTE}/{made['jti']}")
            of_none = await http.delete(f"{ROUTE}/never")
            listed = (await http.get(ROUTE)).json()["items"]

        assert [of_other.status_code, of_none.status_code] == [200, 200]
        assert set(of_other.json()) == set(of_none.json())
        assert made["jti"] not in {each["jti"] for each in listed}
        assert await status(gateway_url, made["token"]) == 200

    @pytest.mark.parametrize(
        "query", [{}, {"jti": "1", "sub": "x"}, {"jti": "a b"}, {"sub": ""}, {"issued_before": "yesterday"},
                  {"issued_before": "2026-01-01T00:00:00"}, {"issued_before": "-1"}, {"sub": "x", "why": "y"}], ids=str,
    )  # fmt: skip
    async def test_what_to_revoke_is_said_clearly(self, query: dict[str, str], gateway_url: str, token: Token) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            response = await http.delete(ROUTE, params=query)
        assert problem(response) == "invalid-request"

    async def test_an_event_stream_ends_with_the_token_that_it_was_asked_for_with(
        self, gateway_url: str, other_url: str, token: Token
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant, "ann")) as http:
            made = await issue(http, sub="bob")
            task = await submit(http)
            async with client(other_url, made["token"]) as follower, following(follower, task) as events:
                assert (await anext(events))[1] == "state"
                await http.delete(f"{ROUTE}/{made['jti']}")
                async with asyncio.timeout(SECONDS):
                    assert [event async for event in events] == []

    async def test_what_is_revoked_stays_revoked(self, database: Database, gateway_url: str, token: Token) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            await http.delete(f"{ROUTE}/1")
        for statement in (
            delete(revocations).where(revocations.c.tenant == tenant),
            update(revocations).values(jti="2").where(revocations.c.tenant == tenant),
            delete(tokens).where(tokens.c.tenant == tenant),
        ):
            for transaction in (database.service(), database.tenant(tenant)):
                with pytest.raises(DBAPIError, match="permission denied"):
                    async with transaction as connection:
                        await connection.execute(statement)

    async def test_the_database_hides_what_is_another_tenants_or_the_platforms(
        self, database: Database, gateway_url: str, token: Token
    ) -> None:
        for tenant in (tenant_name(), "*"):
            async with client(gateway_url, token("admin", "*", "root"), **{"Golden-Tenant": tenant}) as http:
                await issue(http)
                await http.delete(f"{ROUTE}/{tenant_name()}")
        for named in (tenant_name(), "*", ""):
            async with database.tenant(named) as connection:
                assert (await connection.execute(select(tokens))).all() == []
                assert (await connection.execute(select(revocations))).all() == []
            with pytest.raises(DBAPIError, match="row-level security"):
                async with database.tenant(named) as connection:
                    await connection.execute(insert(revocations).values(tenant="*", jti="1", revoked_by="eve"))


class TestOutages:
    async def test_without_a_notification_they_are_read_every_few_seconds(
        self, settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, token: Token
    ) -> None:
        monkeypatch.setattr(gateway_revocations, "CHANNEL", b"nobody_tells")
        monkeypatch.setattr(gateway_revocations, "POLL_SECONDS", 0.1)
        verifier = Verifier(settings, KeyFolder(settings), database)
        told = asyncio.Event()
        tenant = tenant_name()
        holder = await verifier.authenticate(token("viewer", tenant))
        assert isinstance(holder, Principal)
        verifier.revocations.on_change(told.set)
        running = asyncio.create_task(verifier.run())
        async with database.service() as connection:
            await connection.execute(insert(revocations).values(tenant=tenant, jti=holder.jti, revoked_by="x"))
        async with asyncio.timeout(SECONDS):
            while verifier.still_good(holder):
                await told.wait()
                told.clear()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def test_where_they_cannot_be_read_for_long_no_token_is_believed(
        self, settings: Settings, database: Database, token: Token
    ) -> None:
        now = 1000.0
        away = Database.from_settings(settings.model_copy(update={"database_url": _nowhere()}))
        known = Revocations(database, "", clock=lambda: now)
        await known.require_current()
        known._database = away

        now += STALE_SECONDS
        await known.require_current()
        now += 1
        with pytest.raises(Problem) as refused:
            await known.require_current()
        assert refused.value.kind.status == 503
        assert not known.current

        known._database = database
        await known.require_current()
        assert known.current
        await away.close()

    async def test_a_lost_connection_is_made_again(
        self, gateway_url: str, other_url: str, token: Token, database: Database
    ) -> None:
        async with database.service() as connection:
            await connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN golden_revoc%'")
            )
        async with client(gateway_url, token("admin", tenant_name())) as http:
            made = await issue(http)
            await http.delete(f"{ROUTE}/{made['jti']}")

        await refused_by_all([gateway_url, other_url], made["token"])


def _nowhere() -> Any:
    from pydantic import SecretStr

    return SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
