"""What browsers need beside the API: the Temporal UI behind a session, its cookie as a token, and CORS.

Temporal's development server has no login, and its UI sends no cookie to a codec on another origin. So the gateway
serves that UI under `/ui/`, to sessions and to look at only; its codec is then on its own origin.
"""

from collections.abc import AsyncIterator
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

import httpx
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import ui_sessions
from gateway.guard import TENANT_HEADER
from gateway.problems import (
    MALFORMED_REQUEST,
    METHOD_NOT_ALLOWED,
    RETRY_SECONDS,
    TEMPORAL_UNAVAILABLE,
    TOO_LARGE,
    Problem,
)
from gateway.services import Services
from gateway.ui import COOKIE
from gateway.ui_guard import fail, holder_of, no_session, refuse_barred, tell_refused
from gateway.ui_paths import UI, check_path, is_query
from gateway.ui_sessions import MAX_SECRET, Bearer

CODEC = "/codec/"
SHOW = "ui.show"
NO_SESSION = "there is no session here"
PREFLIGHT_SECONDS = 600
MAX_QUERY_BODY = 64 * 1024
TO_LOOK_AT = frozenset({"GET", "HEAD"})

_ASKED = ("accept", "accept-language", "content-type", "if-none-match", "if-modified-since", "x-csrf-token")
_TOLD = ("content-type", "etag", "last-modified", "location")
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; worker-src 'self' blob:; "
    "frame-ancestors 'none'; form-action 'none'; base-uri 'self'"
)
_ASSETS = "/ui/_app/immutable/"
"""Files with a hash of their content in their name."""


class UiFront:
    """Middleware: answers `/ui/…` itself, and lets browsers with a session reach `/codec/…`."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        settings = services.settings
        self._app = app
        self._services = services
        self._trusted = {_origin(settings.gateway_url), _origin(settings.temporal_ui_target)}
        self._ui = services.temporal_ui

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and path.startswith(UI):
            response = await self._show(Request(scope, receive))
            await response(scope, receive, send)
        elif scope["type"] == "http" and path.startswith(CODEC):
            await self._let_through(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _show(self, request: Request) -> Response:
        """A page, a file or an answer of the Temporal UI."""
        path = _raw_path(request)
        check_path(path)
        if _cookie(request.headers) is None:
            raise no_session(NO_SESSION)
        await refuse_barred(request, self._services)
        bearer = await self._session(request.headers)
        if bearer is None:
            raise await self._failed(request, no_session(NO_SESSION))
        # No right of its own: its holder's token may have ended since, and what their role may do have changed.
        principal = await holder_of(bearer, request, self._services, SHOW)
        if request.method not in TO_LOOK_AT and not self._asks_only(request, path):
            refusal = Problem(METHOD_NOT_ALLOWED, "the Temporal UI is here to look at", headers={"Allow": "GET, HEAD"})
            await tell_refused(bearer, request, self._services, principal, SHOW, refusal)
            raise refusal
        return await self._fetch(request, path)

    async def _failed(self, request: Request, problem: Problem) -> Problem:
        # A page that is still open would go on sending the cookie of a session that ended, and bar its own address.
        problem.headers = {"Set-Cookie": f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"}
        return await fail(request, self._services, problem)

    def _asks_only(self, request: Request, path: str) -> bool:
        """A workflow's query changes nothing, and is a POST all the same."""
        return request.method == "POST" and is_query(path) and request.headers.get("origin") in self._trusted

    async def _fetch(self, request: Request, path: str) -> Response:
        headers = {name: request.headers[name] for name in _ASKED if name in request.headers}
        csrf = request.cookies.get("_csrf")
        if csrf is not None:
            headers["cookie"] = f"_csrf={csrf}"
        query = request.scope["query_string"].decode("ascii")
        url = httpx.URL(self._ui.base_url, path=None, raw_path=f"{path}?{query}".encode() if query else path.encode())
        asked = self._ui.build_request(request.method, url, headers=headers, content=await _body(request))
        try:
            answer = await self._ui.send(asked, stream=True)
        except httpx.TransportError:
            again = {"Retry-After": str(RETRY_SECONDS)}
            raise Problem(TEMPORAL_UNAVAILABLE, "the Temporal UI does not answer", headers=again) from None
        told = {name: answer.headers[name] for name in _TOLD if name in answer.headers}
        told |= {
            "Content-Security-Policy": _POLICY,
            "Cache-Control": "private, max-age=86400" if path.startswith(_ASSETS) else "no-store",
        }
        if csrf is None and "_csrf" in answer.cookies:
            told["Set-Cookie"] = f"_csrf={answer.cookies['_csrf']}; Path=/ui; SameSite=Strict"
        return StreamingResponse(_content(answer), answer.status_code, told)

    async def _let_through(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request to the codec, with the token of its session if it has one and comes from a page of the UI."""
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        if origin not in self._trusted:
            # Browsers say where a POST comes from; without that a cookie counts for nothing.
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await Response(status_code=204, headers={**_allowed(origin), **_PREFLIGHT})(scope, receive, send)
            return
        if "authorization" not in headers:
            bearer = await self._session(headers)
            if bearer is not None:
                scope["headers"] = [*scope["headers"], *_as_sent_by(bearer)]

        async def send_allowed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_allowed(origin))
            await send(message)

        # Here and not outside: a browser hides from its page an error that comes without these headers.
        try:
            await self._app(scope, receive, send_allowed)
        except Problem as problem:
            problem.headers = {**problem.headers, **_allowed(origin)}
            raise

    async def _session(self, headers: Headers) -> Bearer | None:
        unverified_secret = _cookie(headers)
        if unverified_secret is None:
            return None
        async with self._services.database.service() as connection:
            return await ui_sessions.find(connection, "session", unverified_secret)


_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "content-type, x-namespace, authorization",
    "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
}


def _allowed(origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin",
    }


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _raw_path(request: Request) -> str:
    raw_path: bytes = request.scope["raw_path"]
    return raw_path.decode("latin-1").partition("?")[0]


def _cookie(headers: Headers) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None and 0 < len(found.value) <= MAX_SECRET else None


def _as_sent_by(bearer: Bearer) -> list[tuple[bytes, bytes]]:
    """The headers with which its holder would ask: what may be done is decided where it always is."""
    headers = [(b"authorization", f"Bearer {bearer.unverified_token}".encode())]
    if bearer.named:
        headers.append((TENANT_HEADER.lower().encode(), bearer.tenant.encode()))
    return headers


async def _body(request: Request) -> bytes:
    if request.method in TO_LOOK_AT:
        return b""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_QUERY_BODY:
                raise Problem(TOO_LARGE, f"at most {MAX_QUERY_BODY:,} bytes are taken here")
    except ClientDisconnect:
        raise Problem(MALFORMED_REQUEST, "the body ended too soon") from None
    return body


async def _content(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_bytes():
            yield chunk
    finally:
        await answer.aclose()
