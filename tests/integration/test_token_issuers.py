"""Tokens of new keys, and those of an identity provider, at gateways that run."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import jwt
import pytest

from gateway.authentication import Verifier
from gateway.authorisation import Principal
from gateway.problems import Problem
from gateway.token_keys import KeyFolder
from gateway.token_reader import Refused
from gateway.tokens import issue_token
from schema.database import Database
from schema.keys import forget, rotate
from schema.settings import Settings
from tests.integration.conftest import running_gateway
from tests.support.http import client, submit, tenant_name
from tests.support.identity import ISSUER, identity_provider
from tests.support.parts import free_port
from tests.support.tokens import ROUTE, SECONDS, refused_by_all, status

Token = Callable[..., str]


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
