"""`/ui` against those who would change a workflow through it, or guess its links and cookies."""

import dataclasses
from ipaddress import ip_network
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowExecutionStatus

from gateway import guard
from gateway.authorisation import Denied
from gateway.ui import COOKIE
from schema.database import Database
from schema.settings import Settings
from tests.integration.conftest import Token, running_gateway
from tests.support.audit import acts_of
from tests.support.http import client, client_network, forwarded, problem, tenant_name
from tests.support.parts import free_port
from tests.support.raw_http import Answer, ask

WORKFLOWS = "/ui/api/v1/namespaces/default/workflows"


@dataclasses.dataclass(frozen=True)
class Session:
    """A session's cookie, sent with paths as they are written."""

    settings: Settings
    tenant: str
    cookie: str

    async def send(self, method: str, path: str, body: str = "{}") -> Answer:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {self.settings.gateway_url}\r\n"
            f"Cookie: {COOKIE}={self.cookie}\r\nConnection: close\r\n"
        )
        sent = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        return await ask(self.settings.gateway_port, head, "\r\n" if method == "GET" else sent)


async def link(gateway_url: str, token: str, **headers: str) -> str:
    async with client(gateway_url, token, **headers) as http:
        return str((await http.post("/ui")).json()["url"])


@pytest_asyncio.fixture
async def session(gateway_url: str, settings: Settings, token: Token) -> Session:
    tenant = tenant_name()
    async with httpx.AsyncClient(timeout=20) as http:
        opened = await http.get(await link(gateway_url, token("admin", tenant, f"admin-{uuid4()}")))
    return Session(settings, tenant, opened.cookies[COOKIE])


async def start(temporal_client: Client) -> str:
    """A workflow that no worker runs, with an id as tasks have it."""
    workflow_id = f"task/{uuid4()}"
    await temporal_client.start_workflow("Nobodys", id=workflow_id, task_queue=f"nobodys-{uuid4()}")
    return workflow_id


class TestReadOnly:
    @pytest.mark.parametrize(
        ("path", "refusal"),
        [
            ("{id}/query/../terminate", 400),
            ("{id}/query/%2e%2E/terminate", 400),
            ("{id}/query/%252e%252e/terminate", 400),
            ("{id}/query/.%2e/terminate", 400),
            ("{id}/query/./../terminate", 400),
            ("{id}/query//../terminate", 400),
            ("{id}/query/..%2Fterminate", 400),
            ("{id}/query/..%5Cterminate", 400),
            ("{id}/query/..\\terminate", 400),
            ("{id}%2Fquery%2F..%2Fterminate", 400),
            ("{id}/signal/x%2Fquery%2Fy", 400),
            ("{id}/signal/x%252Fquery%252Fy", 400),
            ("x%2Fquery%2Fy", 405),
            ("{id}/terminate", 405),
            ("{id}/terminate%3F/query/x", 405),
            ("{id}%2Fterminate%3F/query/x", 405),
            ("{id}%2Fterminate%253F/query/x", 405),
            ("{id}%2Fterminate%23/query/x", 405),
            ("{id}/terminate;/query/x", 405),
            ("{id}/query/x%3Aterminate", 405),
            ("{id}/query/x/terminate", 405),
            ("{id}/query/", 405),
        ],
    )
    async def test_no_path_leads_past_it(
        self, session: Session, temporal_client: Client, path: str, refusal: int
    ) -> None:
        workflow_id = await start(temporal_client)
        for quoted in (workflow_id.replace("/", "%2F"), workflow_id.replace("/", "%252F")):
            target = f"{WORKFLOWS}/{path.format(id=quoted)}"
            body = '{"workflowType": {"name": "X"}, "taskQueue": {"name": "x"}}'
            assert (await session.send("POST", target, body)).status == refusal, target
        handle = temporal_client.get_workflow_handle(workflow_id)
        described = await handle.describe()
        assert described.status is WorkflowExecutionStatus.RUNNING
        assert described.history_length == 2

    @pytest.mark.parametrize("path", ["/ui%2Fx", "/u%69/x", "/ui/../x", "/ui/a//b", "/ui/a%2fb", "/ui/%5c", "/ui/%2e"])
    async def test_ambiguous_pages_are_refused(self, session: Session, path: str) -> None:
        assert (await session.send("GET", path)).problem == "malformed-request"

    @pytest.mark.parametrize("slash", ["%2F", "%252F"])
    async def test_what_the_ui_asks_reaches_temporal(
        self, session: Session, temporal_client: Client, slash: str
    ) -> None:
        quoted = (await start(temporal_client)).replace("/", slash)
        shown = await session.send("GET", f"/ui/namespaces/default/workflows/{quoted}/run/history")
        assert shown.status == 200
        # Temporal's own refusal: the one of the CSRF token, or of a workflow that no worker runs.
        answer = await session.send("POST", f"{WORKFLOWS}/{quoted}/query/__stack_trace")
        assert answer.headers["content-type"] != "application/problem+json"

    async def test_an_attempt_is_recorded(self, session: Session, database: Database) -> None:
        await session.send("POST", f"{WORKFLOWS}/w/terminate")
        last = (await acts_of(database, session.tenant))[-1]
        assert (last.action, last.outcome, last.reason) == ("ui.show", "denied", "method-not-allowed")

    async def test_a_role_that_may_no_longer_decode_sees_nothing(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert (await session.send("GET", "/ui/")).status == 200
        monkeypatch.setattr(guard, "decide", lambda *_, **__: Denied("not any more"))
        assert (await session.send("GET", "/ui/")).problem == "forbidden"


class TestGuessing:
    @pytest.mark.parametrize("what", ["code", "cookie"])
    async def test_guesses_are_counted_told_and_then_refused(
        self, settings: Settings, database: Database, token: Token, what: str
    ) -> None:
        # Failures from this machine's own address are counted for all tests together.
        guesser, others = client_network(), forwarded(client_network())
        own = settings.model_copy(
            update={
                "gateway_port": free_port(),
                "trusted_proxies": (ip_network("127.0.0.1/32"),),
                "rate_limits": settings.rate_limits | {"unauthenticated": 3},
            }
        )
        async with running_gateway(own):
            good = await link(own.gateway_url, token("admin", tenant_name(), f"admin-{uuid4()}"), **others)
            async with client(own.gateway_url, None, **forwarded(guesser)) as http:

                async def guess() -> httpx.Response:
                    if what == "code":
                        return await http.get("/ui?code=made-up")
                    return await http.get("/ui/", headers={"Cookie": f"{COOKIE}=made-up"})

                # Who sends nothing guesses nothing.
                assert [(await http.get(path)).status_code for path in ("/ui", "/ui/") * 3] == [401] * 6
                assert [problem(await guess()) for _ in range(5)] == ["unauthenticated"] * 3 + ["rate-limited"] * 2
                refused = await http.get(good)
                assert (problem(refused), "retry-after" in refused.headers) == ("rate-limited", True)
            async with httpx.AsyncClient(headers=others, timeout=20) as elsewhere:
                assert (await elsewhere.get(good)).status_code == 303
        told = [record for record in await acts_of(database, "*") if record.object == guesser]
        reasons = [str(record.reason).partition(":")[0] for record in told]
        assert reasons[:4] == ["unauthenticated"] * 3 + ["rate-limited"]


class TestLinks:
    async def test_an_exchange_is_recorded(self, session: Session, database: Database) -> None:
        acts = [(record.action, record.outcome) for record in await acts_of(database, session.tenant)]
        assert acts == [("ui.link", "allowed"), ("ui.session", "allowed")]

    async def test_a_look_at_its_head_spends_no_link(self, gateway_url: str, token: Token) -> None:
        url = await link(gateway_url, token("admin", tenant_name(), f"admin-{uuid4()}"))
        async with httpx.AsyncClient(timeout=20) as http:
            for _ in range(2):
                head = await http.head(url)
                assert (head.status_code, "set-cookie" in head.headers) == (303, False)
            assert (await http.get(url)).status_code == 303
            assert (await http.head(url)).status_code == 401
