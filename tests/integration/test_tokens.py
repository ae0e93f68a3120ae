"""Tokens over the API: issued, listed, and first seen."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest

from gateway.authorisation import Role
from gateway.tokens import issue_token
from schema.database import Database
from schema.settings import Settings
from tests.support.http import client, problem, tenant_name
from tests.support.tokens import ROUTE, issue, status, told_of

Token = Callable[..., str]


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
