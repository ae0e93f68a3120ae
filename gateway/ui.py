"""`POST /ui` and `GET /ui`: from a token to a browser that shows the Temporal UI with everything readable."""

from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import ui_sessions
from gateway.audit import record_act
from gateway.authorisation import EVERY_TENANT
from gateway.operations import answer
from gateway.services import Call, Services
from gateway.ui_guard import fail, holder_of, no_session, refuse_barred
from gateway.ui_sessions import LINK_TTL, MAX_SECRET, SESSION_TTL, Bearer
from gateway.values import read_bearer
from schema.messages.base import Message
from schema.settings import Settings

COOKIE = "golden_ui"
OPEN = "ui.session"
NO_LINK = "the link is spent, too old or none"


class UiLink(Message):
    """A link to open in a browser, once and soon."""

    url: str
    expires_at: datetime


class UiEnded(Message):
    """How many links and sessions were ended."""

    ended: int


async def make_link(call: Call) -> Response:
    """A one-time link for the principal; the session that it becomes is good for as long as this token is."""
    unverified_token = read_bearer(call.request.headers) or ""
    named = call.principal.tenant == EVERY_TENANT
    bearer = Bearer(unverified_token, call.tenant, call.principal.sub, named)
    async with call.services.database.service() as connection:
        code = await ui_sessions.begin(connection, "link", bearer)
        await record_act(connection, call, object="temporal-ui")
    url = f"{call.services.settings.gateway_url}/ui?{urlencode({'code': code})}"
    return answer(UiLink(url=url, expires_at=datetime.now(UTC) + LINK_TTL), 201)


async def end_sessions(call: Call) -> Response:
    """End every link and session of the principal."""
    async with call.services.database.service() as connection:
        ended = await ui_sessions.end_all(connection, call.tenant, call.principal.sub)
        await record_act(connection, call, object="temporal-ui")
    return answer(UiEnded(ended=ended))


async def exchange_link(request: Request, services: Services) -> Response:
    """Spend a link for a session cookie, and go on to the Temporal UI. HEAD only says whether that would work."""
    unverified_codes = request.query_params.getlist("code")
    if not unverified_codes:
        raise no_session("there is no link here")
    await refuse_barred(request, services)
    bearer = None
    if len(unverified_codes) == 1 and len(unverified_codes[0]) <= MAX_SECRET:
        async with services.database.service() as connection:
            bearer = await ui_sessions.find(connection, "link", unverified_codes[0])
    if bearer is None:
        raise await fail(request, services, no_session(NO_LINK))
    principal = await holder_of(bearer, request, services, OPEN)
    onward = RedirectResponse(workflows_path(services.settings), 303)
    if request.method == "HEAD":
        # Sent by what looks at links before people do.
        return onward
    secret = await _spend(
        unverified_codes[0], Call(services, request, principal, bearer.tenant, OPEN, None, None, None)
    )
    if secret is None:
        raise await fail(request, services, no_session(NO_LINK))
    return _with_cookie(onward, secret, services.settings)


async def _spend(unverified_code: str, call: Call) -> str | None:
    """The session that a link becomes, and the record of it, together; None if another request was first."""
    async with call.services.database.service() as connection:
        bearer = await ui_sessions.spend_link(connection, unverified_code)
        if bearer is None:
            return None
        secret = await ui_sessions.begin(connection, "session", bearer)
        await record_act(connection, call, object="temporal-ui")
    return secret


def _with_cookie(response: Response, secret: str, settings: Settings) -> Response:
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(SESSION_TTL.total_seconds()),
        path="/",
        secure=settings.gateway_url.startswith("https:"),
        httponly=True,
        samesite="lax",
    )
    return response


def workflows_path(settings: Settings) -> str:
    """Where the Temporal UI lists the workflows, behind the gateway."""
    return f"/ui/namespaces/{quote(settings.temporal_namespace, safe='')}/workflows"
