"""The payload codec: Temporal stores ciphertext, and only who has the key ring reads it."""

from collections.abc import Sequence
from dataclasses import replace

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec

from schema.errors import SealBroken
from schema.keyring import KeyRing, Sealed

ENCODING = b"binary/encrypted"
KEY_ID = "encryption-key-id"


class EncryptionCodec(PayloadCodec):
    """AES-256-GCM. The whole payload, its metadata too, is inside; namespace and key id are bound to it.

    Runs on the event loop: a payload of 2 MiB, the largest that Temporal takes, needs a few milliseconds, and one
    of the usual kilobyte a few microseconds, less than handing it to a thread.
    """

    def __init__(self, ring: KeyRing, namespace: str) -> None:
        self._ring = ring
        self._context = b"payload\0" + namespace.encode()

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Seal each payload with the active key."""
        return [self._seal(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Open what is sealed. What is not, from before there was a key ring, is returned as it is.

        Raises:
            KeyMissing: the ring lacks a key; Temporal tries again until it is put back.
            SealBroken: a payload was changed, or comes from another namespace.
        """
        return [self._open(payload) for payload in payloads]

    def _seal(self, payload: Payload) -> Payload:
        sealed = self._ring.seal(payload.SerializeToString(), self._context)
        return Payload(metadata={"encoding": ENCODING, KEY_ID: sealed.key_id.encode()}, data=sealed.content)

    def _open(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        try:
            key_id = payload.metadata[KEY_ID].decode("ascii")
        except UnicodeDecodeError as error:
            raise SealBroken("the id of a key is not one") from error
        return Payload.FromString(self._ring.open(Sealed(key_id, payload.data), self._context))


def data_converter(ring: KeyRing, namespace: str) -> DataConverter:
    """How everything of ours becomes payloads: pydantic, then sealed; failures with their texts inside."""
    return replace(
        pydantic_data_converter,
        payload_codec=EncryptionCodec(ring, namespace),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
