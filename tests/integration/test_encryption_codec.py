"""`/codec/*` and `/ui`: who may decrypt, from which pages, and what a link and its session are good for."""

import base64
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text
from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from gateway.authorisation import ROLES
from gateway.ui import COOKIE
from schema.codec import KEY_ID
from schema.database import Database
from schema.settings import Settings
from tests.integration.conftest import Token, running_gateway
from tests.support.http import client, problem, tenant_name
from tests.support.parts import free_port

MARKER = "a-marker-for-the-codec"
JSON = {"Content-Type": "application/json"}


def shown(payload: Payload) -> dict[str, Any]:
    metadata = {name: base64.b64encode(value).decode() for name, value in payload.metadata.items()}
    return {"metadata": metadata, "data": base64.b64encode(payload.data).decode()}


@pytest_asyncio.fixture
async def sealed(temporal_client: Client) -> dict[str, Any]:
    """The body of a request to decode one payload."""
    return {"payloads": [shown(payload) for payload in await temporal_client.data_converter.encode([MARKER])]}


@pytest.fixture
def ui_origin(settings: Settings) -> str:
    return settings.temporal_ui_target


@pytest.fixture
def admin(token: Token) -> str:
    """The token of an admin whom no other test has, since each has its own requests a minute."""
    return token("admin", tenant_name(), f"admin-{uuid4()}")


@pytest_asyncio.fixture
async def browser(gateway_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Keeps cookies, and sends no token."""
    async with httpx.AsyncClient(base_url=gateway_url, timeout=20) as http:
        yield http


async def link(gateway_url: str, token: str, **headers: str) -> str:
    async with client(gateway_url, token, **headers) as http:
        made = await http.post("/ui")
    assert made.status_code == 201, made.text
    return str(made.json()["url"])


async def open_session(browser: httpx.AsyncClient, gateway_url: str, token: str, **headers: str) -> httpx.Response:
    answer = await browser.get(await link(gateway_url, token, **headers))
    assert answer.status_code == 303, answer.text
    return answer


class TestTheCodec:
    async def test_an_admin_reads_payloads_and_writes_them(
        self, gateway_url: str, admin: str, sealed: dict[str, Any], temporal_client: Client
    ) -> None:
        async with client(gateway_url, admin, **{"X-Namespace": "default"}) as http:
            decoded = (await http.post("/codec/decode?preserveStorageRefs=true", json=sealed)).json()["payloads"]
            again = (await http.post("/codec/encode", json={"payloads": decoded})).json()["payloads"]
            mixed = await http.post("/codec/decode", json={"payloads": [*sealed["payloads"], *decoded]})
        assert base64.b64decode(decoded[0]["data"]).decode() == f'"{MARKER}"'
        assert base64.b64decode(decoded[0]["metadata"]["encoding"]) == b"json/plain"
        assert KEY_ID in again[0]["metadata"]
        assert again != sealed["payloads"]
        assert mixed.json()["payloads"] == decoded * 2
        payload = Payload(
            metadata={name: base64.b64decode(value) for name, value in again[0]["metadata"].items()},
            data=base64.b64decode(again[0]["data"]),
        )
        assert await temporal_client.data_converter.decode([payload], [str]) == [MARKER]

    @pytest.mark.parametrize("role", [role for role in ROLES if role != "admin"])
    async def test_nobody_else_does(self, gateway_url: str, token: Token, sealed: dict[str, Any], role: Any) -> None:
        async with client(gateway_url, token(role, tenant_name())) as http:
            for path in ("/codec/decode", "/codec/encode", "/ui"):
                assert problem(await http.post(path, json=sealed)) == "forbidden"
        async with client(gateway_url, None) as stranger:
            assert problem(await stranger.post("/codec/decode", json=sealed)) == "unauthenticated"
            assert problem(await stranger.post("/ui")) == "unauthenticated"

    async def test_what_is_broken_or_of_another_namespace_is_refused(
        self, gateway_url: str, admin: str, sealed: dict[str, Any]
    ) -> None:
        (payload,) = sealed["payloads"]
        spoilt = {**payload, "data": base64.b64encode(b"x" * 40).decode()}
        made_up = base64.b64encode(b"k-made-up").decode()
        elsewhere = {**payload, "metadata": {**payload["metadata"], KEY_ID: made_up}}
        async with client(gateway_url, admin) as http:
            broken = await http.post("/codec/decode", json={"payloads": [payload, spoilt]})
            lost = await http.post("/codec/decode", json={"payloads": [payload, elsewhere]})
            other = await http.post("/codec/decode", json=sealed, headers={"X-Namespace": "other"})
            bodies: list[Any] = [{}, {"payloads": None}, {"payloads": [{"data": 5}]}, []]
            shapes = [await http.post("/codec/decode", json=body) for body in bodies]
        assert (problem(broken), broken.json()["errors"][0]["field"]) == ("invalid-request", "payloads.1")
        assert (problem(lost), lost.json()["errors"][0]["field"]) == ("invalid-request", "payloads.1")
        assert (problem(other), other.json()["errors"][0]["field"]) == ("invalid-request", "X-Namespace")
        assert {problem(each) for each in shapes} == {"invalid-request"}


class TestOtherOrigins:
    async def test_only_pages_of_the_temporal_ui_may_ask(
        self, browser: httpx.AsyncClient, ui_origin: str, gateway_url: str
    ) -> None:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-namespace"}
        allowed = await browser.options("/codec/decode", headers={"Origin": ui_origin, **asked})
        assert allowed.status_code == 204
        assert allowed.headers["access-control-allow-origin"] == ui_origin
        assert allowed.headers["access-control-allow-credentials"] == "true"
        assert {"content-type", "x-namespace", "authorization"} <= set(
            allowed.headers["access-control-allow-headers"].split(", ")
        )
        for origin in ("null", "http://evil.example", ui_origin + ".evil.example", ui_origin.replace("http", "https")):
            refused = await browser.options("/codec/decode", headers={"Origin": origin, **asked})
            assert "access-control-allow-origin" not in refused.headers
        elsewhere = await browser.options("/v1/tasks", headers={"Origin": ui_origin, **asked})
        assert "access-control-allow-origin" not in elsewhere.headers

    async def test_a_page_sees_answers_and_refusals(
        self, gateway_url: str, admin: str, sealed: dict[str, Any], ui_origin: str
    ) -> None:
        async with client(gateway_url, admin, Origin=ui_origin) as http:
            answers = [await http.post("/codec/decode", json=body) for body in (sealed, {})]
            answers.append(await http.post("/codec/decode", json=sealed, headers={"Authorization": "Bearer no"}))
        assert [answer.status_code for answer in answers] == [200, 422, 401]
        assert {answer.headers["access-control-allow-origin"] for answer in answers} == {ui_origin}
        assert {answer.headers["vary"] for answer in answers} == {"Origin"}


class TestLinks:
    async def test_a_link_works_once_and_its_cookie_is_no_scripts_business(
        self, browser: httpx.AsyncClient, gateway_url: str, admin: str
    ) -> None:
        url = await link(gateway_url, admin)
        first = await browser.get(url)
        assert (first.status_code, first.headers["location"]) == (303, "/ui/namespaces/default/workflows")
        cookie = first.headers["set-cookie"].lower()
        assert cookie.startswith(f"{COOKIE}=")
        assert {"httponly", "samesite=lax", "path=/", "max-age=3600"} <= set(cookie.split("; "))
        assert problem(await browser.get(url)) == "unauthenticated"

    @pytest.mark.parametrize("query", ["", "?code=", "?code=made-up", "?code=a&code=b", "?code=" + "x" * 5_000])
    async def test_what_is_no_link_opens_nothing(self, browser: httpx.AsyncClient, query: str) -> None:
        answer = await browser.get(f"/ui{query}")
        assert problem(answer) == "unauthenticated"
        assert "golden ui" in answer.json()["detail"]
        assert "set-cookie" not in answer.headers

    async def test_links_and_sessions_expire(
        self, browser: httpx.AsyncClient, gateway_url: str, admin: str, database: Database, ui_origin: str,
        sealed: dict[str, Any],
    ) -> None:  # fmt: skip
        url = await link(gateway_url, admin)
        await _let_pass(database, "59 seconds")
        assert (await browser.get(url)).status_code == 303
        await _let_pass(database, "59 minutes")
        assert (await _decode(browser, sealed, ui_origin)).status_code == 200
        await _let_pass(database, "1 minute")
        assert problem(await _decode(browser, sealed, ui_origin)) == "unauthenticated"
        late = await link(gateway_url, admin)
        await _let_pass(database, "60 seconds")
        assert problem(await browser.get(late)) == "unauthenticated"

    async def test_the_database_holds_nothing_that_opens_anything(
        self, browser: httpx.AsyncClient, gateway_url: str, admin: str, database: Database
    ) -> None:
        unspent = await link(gateway_url, admin)
        await open_session(browser, gateway_url, admin)
        async with database.service() as connection:
            rows = await connection.execute(text("SELECT to_jsonb(s)::text, s.token FROM ui_sessions s"))
            stored = [(row, bytes(token)) for row, token in rows]
        assert len(stored) >= 2
        for secret in (admin, browser.cookies[COOKIE], unspent.partition("code=")[2]):
            for row, sealed_token in stored:
                assert secret not in row
                assert secret.encode() not in sealed_token


class TestSessions:
    async def test_a_session_reads_payloads_for_pages_of_the_ui_only(
        self, browser: httpx.AsyncClient, gateway_url: str, admin: str, sealed: dict[str, Any], ui_origin: str
    ) -> None:
        await open_session(browser, gateway_url, admin)
        for origin in (ui_origin, gateway_url):
            assert (await _decode(browser, sealed, origin)).status_code == 200
        for headers in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            answer = await browser.post("/codec/decode", json=sealed, headers=headers)
            assert problem(answer) == "unauthenticated"

    async def test_a_cookie_is_a_token_for_nothing_else(
        self, browser: httpx.AsyncClient, gateway_url: str, admin: str, ui_origin: str
    ) -> None:
        await open_session(browser, gateway_url, admin)
        for path in ("/v1/tasks", "/v1/audit"):
            assert (await browser.get(path, headers={"Origin": gateway_url})).status_code in (401, 404)
        assert problem(await browser.post("/ui", headers={"Origin": gateway_url})) == "unauthenticated"

    async def test_a_session_ends_with_its_token(
        self, browser: httpx.AsyncClient, gateway_url: str, settings: Settings, sealed: dict[str, Any],
        ui_origin: str, token: Token, database: Database,
    ) -> None:  # fmt: skip
        """The token is judged with every request, as if it had been sent: here it is revoked."""
        import jwt

        admin = token("admin", tenant_name(), f"admin-{uuid4()}")
        await open_session(browser, gateway_url, admin)
        claims = jwt.decode(admin, options={"verify_signature": False})
        revoked = {"tenant": claims["tenant"], "jti": claims["jti"]}
        async with database.service() as connection:
            await connection.execute(
                text("INSERT INTO revocations (tenant, jti, revoked_by) VALUES (:tenant, :jti, 'test')"), revoked
            )
        answer = await _decode(browser, sealed, ui_origin)
        for _ in range(200):
            if answer.status_code == 401:
                break
            answer = await _decode(browser, sealed, ui_origin)
        assert problem(answer) == "unauthenticated"
        assert problem(await browser.get("/ui/")) == "unauthenticated"

    async def test_its_owner_ends_all_of_them(
        self, browser: httpx.AsyncClient, gateway_url: str, admin: str, sealed: dict[str, Any], ui_origin: str
    ) -> None:
        await open_session(browser, gateway_url, admin)
        await link(gateway_url, admin)
        async with client(gateway_url, admin) as http:
            assert (await http.post("/ui-sessions/end")).json() == {"ended": 2}
        assert problem(await _decode(browser, sealed, ui_origin)) == "unauthenticated"

    async def test_a_token_for_every_tenant_means_the_one_it_named(
        self, browser: httpx.AsyncClient, gateway_url: str, token: Token, sealed: dict[str, Any], ui_origin: str
    ) -> None:
        platform = token("admin", "*", f"admin-{uuid4()}")
        await open_session(browser, gateway_url, platform, **{"Golden-Tenant": tenant_name()})
        assert (await _decode(browser, sealed, ui_origin)).status_code == 200


class TestTheUi:
    async def test_it_is_shown_to_sessions_only(self, browser: httpx.AsyncClient, gateway_url: str, admin: str) -> None:
        paths = ("/ui/", "/ui/namespaces/default/workflows", "/ui/api/v1/settings", "/ui/_app/version.json")
        for path in paths:
            assert problem(await browser.get(path)) == "unauthenticated"
        async with client(gateway_url, admin) as with_a_token_only:
            assert problem(await with_a_token_only.get("/ui/")) == "unauthenticated"
        await open_session(browser, gateway_url, admin)
        for path in paths:
            shown_page = await browser.get(path)
            assert shown_page.status_code == 200, path
            assert "frame-ancestors 'none'" in shown_page.headers["content-security-policy"]
        settings = (await browser.get("/ui/api/v1/settings")).json()
        assert settings["Codec"]["Endpoint"].endswith("/codec")

    async def test_nothing_can_be_changed_through_it(
        self, browser: httpx.AsyncClient, gateway_url: str, admin: str
    ) -> None:
        await open_session(browser, gateway_url, admin)
        workflow = "/ui/api/v1/namespaces/default/workflows/w"
        for method, path in (
            ("POST", f"{workflow}/terminate"),
            ("POST", f"{workflow}/signal/decision_recorded"),
            ("POST", f"{workflow}/cancel"),
            ("POST", f"{workflow}/reset"),
            ("PUT", "/ui/api/v1/namespaces/default"),
            ("DELETE", "/ui/api/v1/namespaces/default/schedules/reconcile"),
            ("POST", "/ui/api/v1/namespaces/default/workflows/query/../w/terminate"),
        ):
            answer = await browser.request(method, path, headers={"Origin": gateway_url}, json={})
            assert problem(answer) == "method-not-allowed", path

    async def test_one_that_is_away_is_told(self, settings: Settings, browser: httpx.AsyncClient, admin: str) -> None:
        away = settings.model_copy(
            update={"gateway_port": free_port(), "temporal_ui_url": f"http://127.0.0.1:{free_port()}"}
        )
        async with running_gateway(away):
            url = await link(away.gateway_url, admin)
            assert (await browser.get(url)).status_code == 303
            answer = await browser.get(f"{away.gateway_url}/ui/")
        assert (answer.status_code, problem(answer)) == (503, "temporal-unavailable")


async def _decode(browser: httpx.AsyncClient, sealed: dict[str, Any], origin: str) -> httpx.Response:
    return await browser.post("/codec/decode", json=sealed, headers={"Origin": origin, **JSON})


async def _let_pass(database: Database, time: str) -> None:
    """As if so much time had gone by since every link and session was made."""
    # The role may not change a row, so it makes it anew.
    statement = text(
        "WITH gone AS (DELETE FROM ui_sessions RETURNING *) INSERT INTO ui_sessions "
        "SELECT id, tenant, sub, kind, named, token, expires_at - CAST(:time AS interval) FROM gone"
    )
    async with database.service() as connection:
        await connection.execute(statement, {"time": time})
