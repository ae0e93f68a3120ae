"""Tokens over the API: issued, listed, revoked at every gateway, first seen, and those of an identity provider."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from gateway import revocations as gateway_revocations
from gateway.authentication import Verifier
from gateway.authorisation import Principal, Role
from gateway.problems import Problem
from gateway.revocations import STALE_SECONDS, Revocations
from gateway.token_keys import KeyFolder
from gateway.token_reader import Refused
from gateway.tokens import issue_token
from schema.audit import ChainedRecord, payload_digest
from schema.database import Database
from schema.keys import forget, rotate
from schema.settings import Settings
from schema.tables import revocations, tokens
from tests.integration.conftest import running_gateway
from tests.integration.test_gateway_events import following
from tests.support.audit import chain_of
from tests.support.http import client, problem, submit, tenant_name
from tests.support.identity import ISSUER, identity_provider
from tests.support.parts import free_port

Token = Callable[..., str]
ROUTE = "/v1/tokens"
SECONDS = 10
"""A revocation must have arrived everywhere by then."""


@pytest_asyncio.fixture(scope="module")
async def other_url(settings: Settings, gateway_url: str) -> AsyncIterator[str]:
    """A second replica of the gateway."""
    other = settings.model_copy(update={"gateway_port": free_port()})
    async with running_gateway(other):
        yield other.gateway_url


async def issue(http: httpx.AsyncClient, *, sub: str = "bob", role: Role = "viewer", **body: Any) -> dict[str, Any]:
    """A token that the gateway has issued; it must do so."""
    response = await http.post(ROUTE, json={"sub": sub, "role": role, **body})
    assert response.status_code == 201, response.text
    return dict(response.json())


async def status(url: str, token: str, tenant: str | None = None) -> int:
    """What becomes of a request with that token."""
    async with client(url, token, **({"Golden-Tenant": tenant} if tenant else {})) as http:
        return (await http.get("/v1/tasks")).status_code


async def told_of(database: Database, tenant: str, action: str) -> list[ChainedRecord]:
    """What the audit log tells of one kind of act."""
    return [record for record in await chain_of(database, tenant) if record.action == action]


async def refused_by_all(urls: list[str], token: str) -> None:
    """Returns when every gateway refuses the token, which is within seconds."""
    async with asyncio.timeout(SECONDS):
        for url in urls:
            while await status(url, token) != 401:  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.05)


class TestIssuing:
    async def test_an_admin_issues_a_token_that_is_shown_once_and_listed_without_itself(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant, "ann")) as http:
            issued = await issue(http, sub="bob", role="developer", ttl="2h")
            listed = (await http.get(ROUTE)).json()["items"]

        assert issued["exp"] - issued["iat"] == 7200
        assert await status(gateway_url, issued["token"]) == 200
        (known,) = [each for each in listed if each["jti"] == issued["jti"]]
        assert "token" not in known
        assert issued == {**known, "token": issued["token"]}
        assert (known["sub"], known["role"], known["tenant"], known["issued_by"]) == ("bob", "developer", tenant, "ann")
        told = await told_of(database, tenant, "token.issue")
        assert [(each.actor, each.object, each.outcome) for each in told] == [("ann", issued["jti"], "allowed")]
        assert issued["token"] not in str(told)

    @pytest.mark.parametrize("role", ["operator", "developer", "approver", "viewer"])
    async def test_nobody_but_an_admin_touches_tokens(self, role: Role, gateway_url: str, token: Token) -> None:
        async with client(gateway_url, token(role, tenant_name())) as http:
            answers = [
                await http.post(ROUTE, json={"sub": "x", "role": "viewer"}),
                await http.get(ROUTE),
                await http.delete(f"{ROUTE}/1"),
                await http.delete(ROUTE, params={"sub": "x"}),
            ]
        assert [problem(each) for each in answers] == ["forbidden"] * 4

    async def test_an_admin_of_a_tenant_issues_for_no_other_and_not_for_the_platform(
        self, gateway_url: str, token: Token
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            for tenant in (tenant_name(), "*"):
                by_body = await http.post(ROUTE, json={"sub": "x", "role": "viewer", "tenant": tenant})
                headers = {"Golden-Tenant": tenant}
                by_header = await http.post(ROUTE, json={"sub": "x", "role": "viewer"}, headers=headers)
                assert [problem(by_body), problem(by_header)] == ["forbidden"] * 2

    async def test_an_admin_of_the_platform_issues_for_any_tenant_and_for_the_platform(
        self, gateway_url: str, token: Token
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", "*", "root")) as http:
            of_tenant = await http.post(
                ROUTE, json={"sub": "x", "role": "admin", "tenant": tenant}, headers={"Golden-Tenant": tenant}
            )
            of_platform = await http.post(ROUTE, json={"sub": "x", "role": "admin"}, headers={"Golden-Tenant": "*"})
            unsaid = await http.post(ROUTE, json={"sub": "x", "role": "admin"})
            unclear = await http.post(
                ROUTE, json={"sub": "x", "role": "admin", "tenant": "other"}, headers={"Golden-Tenant": tenant}
            )
            listed = (await http.get(ROUTE, headers={"Golden-Tenant": "*"})).json()["items"]

        assert [each.json()["tenant"] for each in (of_tenant, of_platform)] == [tenant, "*"]
        assert await status(gateway_url, of_tenant.json()["token"]) == 200
        assert await status(gateway_url, of_platform.json()["token"], tenant) == 200
        assert [problem(unsaid), problem(unclear)] == ["invalid-request"] * 2
        assert of_platform.json()["jti"] in {each["jti"] for each in listed}
        assert {each["tenant"] for each in listed} == {"*"}

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"sub": "x"},
            {"role": "viewer"},
            {"sub": "", "role": "viewer"},
            {"sub": "a\nb", "role": "viewer"},
            {"sub": "x", "role": "root"},
            {"sub": "x", "role": ["admin"]},
            {"sub": "x", "role": "viewer", "ttl": "soon"},
            {"sub": "x", "role": "viewer", "ttl": "0s"},
            {"sub": "x", "role": "viewer", "ttl": "367d"},
            {"sub": "x", "role": "viewer", "ttl": 60},
            {"sub": "x", "role": "viewer", "exp": 1},
        ],
        ids=str,
    )
    async def test_what_cannot_be_meant_is_told_by_field(
        self, body: dict[str, Any], gateway_url: str, token: Token
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            response = await http.post(ROUTE, json=body)
        assert problem(response) == "invalid-request"

    async def test_the_same_key_gives_the_same_token_and_one_record(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant), **{"Idempotency-Key": "k"}) as http:
            made = await asyncio.gather(*(issue(http) for _ in range(10)))
            other = await http.post(ROUTE, json={"sub": "eve", "role": "admin"})

        assert len({each["token"] for each in made}) == 1
        assert problem(other) == "idempotency-key-reused"
        acts = [each.object for each in await told_of(database, tenant, "token.issue") if each.object]
        assert acts == [made[0]["jti"]]

    async def test_the_list_comes_in_pages_and_by_subject(self, gateway_url: str, token: Token) -> None:
        async with client(gateway_url, token("admin", tenant_name(), "ann")) as http:
            made = [(await issue(http, sub=f"bob{number % 2}"))["jti"] for number in range(5)]
            first = (await http.get(ROUTE, params={"limit": 3})).json()
            rest = (await http.get(ROUTE, params={"limit": 3, "cursor": first["next_cursor"]})).json()
            of_one = (await http.get(ROUTE, params={"sub": "bob1"})).json()["items"]
            odd = await http.get(ROUTE, params={"cursor": "nothing"})

        listed = [each["jti"] for each in (*first["items"], *rest["items"])]
        # The admin's own token was seen before any was issued.
        assert listed[:5] == made[::-1]
        assert (len(listed), rest["next_cursor"]) == (6, None)
        assert [each["jti"] for each in of_one] == [made[3], made[1]]
        assert problem(odd) == "invalid-request"


class TestFirstUse:
    async def test_a_token_made_offline_is_recorded_once_whoever_sees_it_first(
        self, gateway_url: str, other_url: str, settings: Settings, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        made = issue_token(settings, sub="ops", role="viewer", tenant=tenant, ttl=timedelta(hours=1))

        urls = [gateway_url, other_url] * 2
        assert await asyncio.gather(*(status(url, made) for url in urls)) == [200] * 4

        (told,) = await told_of(database, tenant, "token.first-use")
        token_id = jwt.decode(made, options={"verify_signature": False})["jti"]
        assert (told.actor, told.role, told.object) == ("ops", "viewer", token_id)
        async with client(gateway_url, token("admin", tenant)) as http:
            listed = (await http.get(ROUTE, params={"sub": "ops"})).json()["items"]
        assert [(each["jti"], each["issued_by"]) for each in listed] == [(token_id, None)]

    async def test_an_issued_token_is_no_news_when_it_is_used(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant, "ann")) as http:
            made = await issue(http)
        assert await status(gateway_url, made["token"]) == 200

        assert [each.actor for each in await told_of(database, tenant, "token.first-use")] == ["ann"]


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


class TestRotation:
    async def test_gateways_take_new_keys_and_drop_forgotten_ones_without_a_restart(
        self, settings: Settings, gateway_url: str, other_url: str
    ) -> None:
        tenant = tenant_name()
        old = issue_token(settings, sub="bob", role="viewer", tenant=tenant, ttl=timedelta(hours=1))
        old_kid = jwt.get_unverified_header(old)["kid"]

        new_kid = rotate(settings.keys_folder).kid
        new = issue_token(settings, sub="bob", role="viewer", tenant=tenant, ttl=timedelta(hours=1))
        async with asyncio.timeout(SECONDS):
            for url in (gateway_url, other_url):
                while await status(url, new) != 200:  # noqa: ASYNC110 (another process)
                    await asyncio.sleep(0.05)
                assert await status(url, old) == 200
                async with client(url, None) as http:
                    published = (await http.get("/.well-known/jwks.json")).json()["keys"]
                assert {old_kid, new_kid} <= {key["kid"] for key in published}

        forget(settings.keys_folder, old_kid)
        await refused_by_all([gateway_url, other_url], old)
        assert await status(gateway_url, new) == 200


class TestIdentityProvider:
    async def test_its_tokens_are_believed_revoked_and_kept_apart_from_ours(
        self, settings: Settings, database: Database, token: Token
    ) -> None:
        tenant = tenant_name()
        with identity_provider() as provider:
            provider.add("k1")
            beside = settings.model_copy(
                update={
                    "gateway_port": free_port(),
                    "issuer": ISSUER,
                    "jwks_url": provider.url,
                    "role_claim": "realm.roles",
                    "role_map": {"engineers": "developer", "bosses": "admin"},
                }
            )
            roles = {"realm": {"roles": ["engineers", "users"]}}
            async with running_gateway(beside):
                url = beside.gateway_url
                theirs = provider.token("k1", tenant=tenant, **roles)
                async with client(url, theirs) as http:
                    task = await submit(http)
                assert task["submitted_by"] == "ann@idp"
                assert await status(url, token("viewer", tenant)) == 200
                assert await status(url, provider.token("k1", tenant="*", **roles)) == 401
                assert await status(url, provider.token("k1", iss="golden", tenant=tenant, **roles)) == 401
                boss = provider.token("k1", tenant=tenant, sub="boss", realm={"roles": ["bosses"]})
                async with client(url, boss) as http:
                    await http.delete(ROUTE, params={"sub": "ann@idp"})
                assert await status(url, theirs) == 401
                assert await status(url, boss) == 200

    async def test_while_it_was_never_reached_its_tokens_are_503_and_ours_are_good(
        self, settings: Settings, database: Database, token: Token
    ) -> None:
        with identity_provider() as provider:
            provider.add("k1")
            provider.status = 500
            beside = settings.model_copy(update={"issuer": ISSUER, "jwks_url": provider.url})
            from gateway.jwks_cache import JwksCache

            now = 1000.0
            cache = JwksCache(beside, clock=lambda: now)
            verifier = Verifier(beside, KeyFolder(beside), database, jwks=cache)
            theirs = provider.token("k1")
            with pytest.raises(Problem) as refused:
                await verifier.authenticate(theirs)
            assert (refused.value.kind.status, refused.value.kind.name) == (503, "identity-provider-unavailable")
            assert isinstance(await verifier.authenticate(token("viewer", tenant_name())), Principal)

            provider.status = 200
            now += 5
            assert isinstance(await verifier.authenticate(theirs), Principal)
            # A key that is new there is fetched when it is first named.
            provider.add("k2", "ES256")
            now += 5
            assert isinstance(await verifier.authenticate(provider.token("k2")), Principal)
            assert isinstance(await verifier.authenticate(provider.token("k2", {"kid": "k9"})), Refused)


def _nowhere() -> Any:
    from pydantic import SecretStr

    return SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
