"""`GET /v1/tasks/{task_id}/evidence`: everything that vouches for how a task came out, signed."""

import asyncio
from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from activities.evidence import collect, content_of
from gateway.authorisation import Permission
from gateway.evidence_audit import anchor_keys, read_audit
from gateway.guard import require
from gateway.operations import Operation
from gateway.problems import NOT_FOUND, TASK_NOT_FINAL, Problem, not_found
from gateway.services import Call, Services
from gateway.task_views import is_task
from schema.anchor import audit_keys
from schema.evidence import FORMAT, Body, Bundle, Signature, Unsigned, document, signed_bytes
from schema.keys import ensure_signing_key, public_jwk, read_public_keys
from schema.messages.base import Message
from schema.messages.task import TaskState
from schema.settings import Settings
from schema.tables import tasks


class EvidenceQuery(Message):
    """`content` adds the texts, decrypted: for whoever may decode payloads."""

    content: bool = False


async def show_evidence(call: Call) -> Response:
    """The bundle of a task that has ended, in its canonical form."""
    content = call.query(EvidenceQuery).content
    if content:
        require(call.principal, Permission.CODEC_DECODE)
    async with call.services.database.tenant(call.tenant) as connection:
        bundle = await make_bundle(connection, call, content=content)
    return Response(document(bundle), media_type="application/json")


async def make_bundle(connection: AsyncConnection, call: Call, *, content: bool) -> Bundle:
    """The evidence of the task that the path names.

    Raises:
        Problem: 404, 409: there is no such task, or it goes on.
    """
    state = await connection.scalar(select(tasks.c.state).where(is_task(call.tenant, call.task_id)))
    if state is None:
        raise not_found("task")
    if not TaskState(state).final:
        raise Problem(TASK_NOT_FINAL, f"the task is {state}", state=state)
    settings = call.services.settings
    body = await collect(connection, call.tenant, call.task_id)
    audit = await read_audit(connection, call.tenant, objects_of(body), settings.audit_anchor_file)
    unsigned = Unsigned(
        format=FORMAT,
        made_at=datetime.now(UTC),
        made_for=call.principal.sub,
        erased=None,
        body=body,
        audit=audit,
        content=await content_of(connection, call.tenant, body) if content else None,
        keys={},
    )
    return await asyncio.to_thread(_sign, settings, unsigned)


def objects_of(body: Body) -> list[str]:
    """What the audit log calls the task and what belongs to it."""
    parts = [*(letter.id for letter in body.letters), *(update.id for update in body.updates)]
    return [str(body.task.task_id), *map(str, parts)]


def _sign(settings: Settings, unsigned: Unsigned) -> Bundle:
    """Sign with the key of the audit log, whose public half is named, as are those of the anchors."""
    key = ensure_signing_key(audit_keys(settings))
    known = read_public_keys(audit_keys(settings))
    named = {kid: known[kid] for kid in sorted(anchor_keys(unsigned.audit) | {key.kid}) if kid in known}
    keys = {kid: public.public_bytes(Encoding.Raw, PublicFormat.Raw).hex() for kid, public in named.items()}
    whole = unsigned.model_copy(update={"keys": keys})
    value = key.private.sign(signed_bytes(whole.model_dump(mode="json"))).hex()
    # `dict` would take the member `keys` for the method of a mapping.
    members = {name: getattr(whole, name) for name in Unsigned.model_fields}
    return Bundle(**members, signature=Signature(kid=key.kid, value=value))


async def show_keys(_request: Request, services: Services) -> Response:
    """The public keys of bundles and anchors as a JWK set; none of them signs tokens."""
    folder = audit_keys(services.settings)
    await asyncio.to_thread(ensure_signing_key, folder)
    known = await asyncio.to_thread(read_public_keys, folder)
    keys = [public_jwk(kid, key) for kid, key in known.items()]
    return JSONResponse({"keys": keys}, headers={"Cache-Control": "public, max-age=60"})


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path="/v1/tasks/{task_id}/evidence",
        # It shows audit records: who may read those may read tasks too.
        permission=Permission.AUDIT_READ,
        action="tasks.evidence",
        handler=show_evidence,
        summary="Show the signed evidence of a task that has ended; with its texts for whoever may decode payloads",
        query=EvidenceQuery,
        returns=Bundle,
        problems=(NOT_FOUND, TASK_NOT_FINAL),
    ),
)
