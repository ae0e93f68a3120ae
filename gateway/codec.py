"""`POST /codec/decode` and `/codec/encode`: Temporal's codec-server protocol, for its UI and its command line.

Payloads carry no tenant, and neither does Temporal's UI: who may decode, may decode every payload of the namespace.
"""

from typing import Annotated, Any

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field
from starlette.responses import Response
from temporalio.api.common.v1 import Payload

from gateway.operations import answer
from gateway.problems import invalid
from gateway.services import Call
from schema.codec import EncryptionCodec
from schema.errors import KeyMissing, SealBroken

NAMESPACE_HEADER = "X-Namespace"
MAX_PAYLOADS = 1_000


class _Foreign(BaseModel):
    """Temporal's own shapes, which may have more fields than are needed here."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class CodecPayload(_Foreign):
    """A payload as protobuf's JSON has it: bytes in base64."""

    metadata: dict[str, Base64Bytes] = {}
    data: Base64Bytes = b""


class CodecPayloads(_Foreign):
    """Payloads, in their order."""

    payloads: Annotated[tuple[CodecPayload, ...], Field(max_length=MAX_PAYLOADS)]


class CodecQuery(_Foreign):
    """What Temporal's UI says of payloads that are stored elsewhere; there are none here."""

    preserveStorageRefs: str | None = None


async def decode(call: Call) -> Response:
    """The payloads in clear text; what is no ciphertext of ours comes back as it is."""
    given = call.body(CodecPayloads).payloads
    opened = []
    for place, payload in enumerate(given):
        try:
            opened += await _codec(call).decode([_from_json(payload)])
        except (SealBroken, KeyMissing) as error:
            # The client named the key: what it made up is its fault, and no reason for it to try again.
            raise invalid([(f"payloads.{place}", str(error))]) from None
    return _answer(opened)


async def encode(call: Call) -> Response:
    """The payloads encrypted with the active key."""
    return _answer(await _codec(call).encode([_from_json(each) for each in call.body(CodecPayloads).payloads]))


def _codec(call: Call) -> EncryptionCodec:
    namespace = call.services.settings.temporal_namespace
    named = call.request.headers.getlist(NAMESPACE_HEADER)
    if named and named != [namespace]:
        raise invalid([(NAMESPACE_HEADER, f"must be {namespace}: the gateway has the keys of that namespace only")])
    codec = call.services.temporal.data_converter.payload_codec
    if not isinstance(codec, EncryptionCodec):
        raise TypeError("the gateway's client of Temporal has no key ring")
    return codec


def _from_json(payload: CodecPayload) -> Payload:
    return Payload(metadata=payload.metadata, data=payload.data)


def _answer(payloads: list[Payload]) -> Response:
    shown: list[dict[str, Any]] = [{"metadata": dict(payload.metadata), "data": payload.data} for payload in payloads]
    return answer(CodecPayloads.model_construct(payloads=tuple(CodecPayload.model_construct(**each) for each in shown)))
