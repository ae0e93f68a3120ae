"""The CLI's way to the gateway: HTTP, and errors as one clear line with an exit code."""

import json
import re
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from gateway.authorisation import EVERY_TENANT
from gateway.client_tracing import ClientTracing
from gateway.terminal import line
from schema.messages.base import Tenant
from schema.messages.task import TaskEvent, TaskState
from schema.settings import Settings

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
SILENT_SECONDS = 45.0
"""An event stream pings more often than this: a longer silence is a dead connection."""
ATTEMPTS = 4
LONGEST_WAIT_SECONDS = 120
"""A gateway that wants to be left alone for longer is told to whoever waits."""
TENANT_HEADER = "Golden-Tenant"
TOLD_BY_DETAIL = ("/not-found", "/no-vote", "/erased")
"""Problems whose detail says all that their title does."""

_TENANT: TypeAdapter[str] = TypeAdapter(Tenant)


class ExitCode(IntEnum):
    """What a script may rely on (design §6)."""

    DONE = 0
    NOT_ACCEPTED = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    NOT_FINAL = 5
    INTERRUPTED = 130


class CliError(Exception):
    """Ends a command: lines for standard error and the exit code."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code


class Limited(CliError):
    """Refused by a rate limit, or by what is about to end; `seconds` from now it is worth asking again."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message, ExitCode.REFUSED)
        self.seconds = seconds


class StreamBroken(Exception):
    """An event stream ended before its task did."""


def exit_code_of(state: TaskState) -> ExitCode:
    """How a task's state ends a command that waited for it."""
    if state is TaskState.ACCEPTED:
        return ExitCode.DONE
    return ExitCode.NOT_ACCEPTED if state.final else ExitCode.NOT_FINAL


class GatewayClient:
    """The HTTP API as the CLI needs it.

    Attributes:
        patient: wait where a limit refuses, and ask again; for commands that go on for long.
    """

    def __init__(self, settings: Settings, *, patient: bool = False) -> None:
        self.patient = patient
        self.url = settings.gateway_url.rstrip("/")
        self._tracing = ClientTracing(settings)
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {read_token(settings)}", **_tenant_header(settings)},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            # A proxy of the environment has no business between a machine and itself.
            trust_env=not re.match(r"https?://(127\.|localhost\b|\[::1])", self.url),
            verify=_trusted(settings),
        )

    def submit(self, content: bytes, media_type: str, key: str, path: str = "/v1/tasks") -> dict[str, Any]:
        """Submit a task or a vote. The key makes it safe to try again when an answer got lost."""
        return self._send_surely(path, content=content, headers={"Content-Type": media_type, **_keyed(key)})

    def get(self, path: str, **params: str | int) -> dict[str, Any]:
        """The JSON of a GET."""
        return self._send("GET", path, params=params)

    def text(self, path: str, media_type: str) -> str:
        """The text of a GET in one of the other forms that its route has."""
        response = self._exchange("GET", path, headers={"Accept": media_type})
        if response.headers.get("content-type", "").partition(";")[0] != media_type:
            raise CliError(f"what answers at {self.url} has no {media_type}", ExitCode.UNREACHABLE)
        return response.text

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON of a POST."""
        return self._send("POST", path, json=body)

    def post_once(self, path: str, body: Mapping[str, Any], key: str) -> dict[str, Any]:
        """The JSON of a POST, done once for its key however often it is sent."""
        return self._send_surely(path, json=body, headers=_keyed(key))

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a PUT."""
        return self._send("PUT", path, json=body)

    def delete(self, path: str) -> dict[str, Any]:
        """The JSON of a DELETE."""
        return self._send("DELETE", path)

    def events(self, task: str, after: int) -> Iterator[TaskEvent]:
        """The events of one connection, from the one after `after` on.

        Raises:
            StreamBroken: the connection was lost or could not be made.
        """
        timeout = httpx.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS)
        headers = {"Last-Event-ID": str(after), "Accept": "text/event-stream"}
        try:
            with self._http.stream("GET", f"{self.url}{task}/events", headers=headers, timeout=timeout) as response:
                if response.status_code >= 500:
                    raise StreamBroken
                if response.is_error:
                    response.read()
                    self._refuse(response)
                    raise StreamBroken
                yield from _parse_events(response.iter_lines())
        except httpx.TransportError as error:
            raise StreamBroken from error

    def _send_surely(self, path: str, **options: Any) -> dict[str, Any]:
        """The JSON of a POST with a key, tried again where its answer got lost."""
        for attempt in range(1, ATTEMPTS):
            try:
                return self._send("POST", path, **options)
            except CliError as error:
                if error.code is not ExitCode.UNREACHABLE or isinstance(error.__cause__, httpx.ConnectError):
                    raise
                time.sleep(attempt)
        return self._send("POST", path, **options)

    def _send(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        body = _json_object(self._exchange(method, path, **options))
        if body is None:
            raise CliError(f"what answers at {self.url} is not a gateway", ExitCode.UNREACHABLE)
        return body

    def _exchange(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            with self._tracing.request(method, self.url) as traced:
                sent = {**options, "headers": {**options.get("headers", {}), **traced}}
                response = self._http.request(method, self.url + path, **sent)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise CliError(f"GOLDEN_URL is not a URL: {line(self.url)}", ExitCode.USAGE) from error
        except httpx.TransportError as error:
            raise CliError(
                f"cannot reach the gateway at {self.url}: is the stack up? (golden up)", ExitCode.UNREACHABLE
            ) from error
        if response.is_error:
            self._refuse(response)
            return self._exchange(method, path, **options)
        return response

    def _refuse(self, response: httpx.Response) -> None:
        """Raise what a refusal means; return after a limit's wait where we are patient."""
        refusal = _refusal(response, self.url)
        if not self.patient or not isinstance(refusal, Limited) or refusal.seconds > LONGEST_WAIT_SECONDS:
            raise refusal
        print(f"golden: {refusal}: waiting", file=sys.stderr, flush=True)
        time.sleep(refusal.seconds)


def _keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def task_path(task_id: str) -> str:
    """The path of the task that a person named."""
    return f"/v1/tasks/{quote(task_id.strip(), safe='')}"


def _trusted(settings: Settings) -> ssl.SSLContext | bool:
    """Who may have signed the gateway's certificate: GOLDEN_TLS_CA, or whom everybody trusts."""
    if settings.tls_ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=settings.tls_ca)
    except OSError as error:
        raise CliError(f"GOLDEN_TLS_CA: cannot read {line(settings.tls_ca)}", ExitCode.USAGE) from error


def read_token(settings: Settings) -> str:
    """The token of GOLDEN_TOKEN, or the one in GOLDEN_HOME."""
    if settings.token is not None:
        token = settings.token.get_secret_value().strip()
    else:
        try:
            token = settings.token_file.read_text().strip()
        except OSError:
            token = ""
    if not token:
        raise CliError(
            f"no token in {line(settings.home)}: run golden there (cd to where `golden up` runs), "
            "or set GOLDEN_HOME or GOLDEN_TOKEN",
            ExitCode.REFUSED,
        )
    if not token.isascii() or not token.isprintable():
        raise CliError("the token is not one: run `golden token issue`", ExitCode.REFUSED)
    return token


def _tenant_header(settings: Settings) -> dict[str, str]:
    if not settings.tenant:
        return {}
    if settings.tenant == EVERY_TENANT:
        return {TENANT_HEADER: EVERY_TENANT}
    try:
        return {TENANT_HEADER: _TENANT.validate_python(settings.tenant)}
    except ValidationError:
        message = "GOLDEN_TENANT: must be lower-case letters, digits and hyphens, at most 63"
        raise CliError(message, ExitCode.USAGE) from None


def _refusal(response: httpx.Response, url: str) -> CliError:
    problem = _json_object(response)
    if problem is None or "type" not in problem:
        return CliError(f"what answers at {url} is not a gateway: status {response.status_code}", ExitCode.UNREACHABLE)
    code = _code_of(response.status_code, str(problem["type"]))
    faults = problem.get("errors") or ()
    if any(fault["field"] == TENANT_HEADER for fault in faults):
        return CliError("the token is for every tenant: set GOLDEN_TENANT to the one that is meant", ExitCode.REFUSED)
    if faults:
        return CliError("\n".join(f"{line(fault['field'])}: {line(fault['message'])}" for fault in faults), code)
    detail = line(problem.get("detail", ""))
    wait = response.headers.get("retry-after", "")
    passes = response.status_code == httpx.codes.TOO_MANY_REQUESTS or str(problem["type"]).endswith("/tasks-open")
    if passes and wait.isdecimal():
        return Limited(f"{line(problem.get('title', ''))}: {detail}", int(wait))
    if str(problem["type"]).endswith(TOLD_BY_DETAIL):
        return CliError(detail, code)
    return CliError(f"{line(problem.get('title', ''))}: {detail}", code)


def _code_of(status: int, problem_type: str) -> ExitCode:
    if problem_type.endswith("/task-not-final"):
        return ExitCode.NOT_FINAL
    if problem_type.endswith("/no-vote"):
        return ExitCode.NOT_ACCEPTED
    if status in (401, 403, 409, 429):
        return ExitCode.REFUSED
    return ExitCode.UNREACHABLE if status >= 500 else ExitCode.USAGE


def _json_object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _parse_events(lines: Iterator[str]) -> Iterator[TaskEvent]:
    """Server-sent events as the gateway writes them: one line of data each; comments are pings."""
    fields: dict[str, str] = {}
    for text in lines:
        if text:
            name, _, value = text.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if {"id", "event", "data"} <= set(fields):
            yield TaskEvent.model_validate(
                {"sequence": int(fields["id"]), "event": fields["event"], "data": json.loads(fields["data"])}
            )
        fields = {}
