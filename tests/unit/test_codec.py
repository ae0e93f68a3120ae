"""The payload codec: what Temporal gets to see, and what it can't hand back changed."""

import time
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from schema import keyring
from schema.codec import ENCODING, KEY_ID, EncryptionCodec, data_converter
from schema.errors import KeyMissing, SealBroken
from schema.keyring import KeyRing

MARKER = "a-marker-that-nobody-else-writes"


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    keyring.rotate(tmp_path / "ring.json")
    return KeyRing(tmp_path / "ring.json")


@pytest.fixture
def codec(ring: KeyRing) -> EncryptionCodec:
    return EncryptionCodec(ring, "default")


def payload(text: str = MARKER) -> Payload:
    return Payload(metadata={"encoding": b"json/plain", "messageType": MARKER.encode()}, data=f'"{text}"'.encode())


async def test_a_payload_comes_back_whole_and_shows_nothing_on_its_way(codec: EncryptionCodec) -> None:
    (sealed,) = await codec.encode([payload()])
    assert MARKER.encode() not in sealed.SerializeToString()
    assert set(sealed.metadata) == {"encoding", KEY_ID}
    assert sealed.metadata["encoding"] == ENCODING == b"binary/encrypted"
    assert await codec.decode([sealed]) == [payload()]


async def test_payloads_keep_their_order_and_none_stays_none(codec: EncryptionCodec) -> None:
    several = [payload(str(number)) for number in range(5)]
    assert await codec.decode(await codec.encode(several)) == several
    assert await codec.encode([]) == []


async def test_what_was_written_in_clear_text_is_still_read(codec: EncryptionCodec) -> None:
    assert await codec.decode([payload()]) == [payload()]


async def test_another_namespace_can_not_be_given_our_payloads(codec: EncryptionCodec, ring: KeyRing) -> None:
    with pytest.raises(SealBroken):
        await EncryptionCodec(ring, "other").decode(await codec.encode([payload()]))


async def test_a_payload_without_a_readable_key_id_is_refused(codec: EncryptionCodec) -> None:
    for key_id in (b"", b"\xff", b"a b"):
        with pytest.raises(SealBroken):
            await codec.decode([Payload(metadata={"encoding": ENCODING, KEY_ID: key_id}, data=b"x" * 40)])
    with pytest.raises(SealBroken):
        await codec.decode([Payload(metadata={"encoding": ENCODING}, data=b"x" * 40)])


async def test_an_unknown_key_is_named(codec: EncryptionCodec) -> None:
    with pytest.raises(KeyMissing, match="k-gone"):
        await codec.decode([Payload(metadata={"encoding": ENCODING, KEY_ID: b"k-gone"}, data=b"x" * 40)])


async def test_a_failure_shows_its_type_and_neither_text_nor_trace(ring: KeyRing) -> None:
    converter = data_converter(ring, "default")
    failure = Failure()
    try:
        raise ApplicationError(MARKER, {"detail": MARKER}, type="Kind") from ValueError(MARKER)
    except ApplicationError as error:
        await converter.encode_failure(error, failure)
    assert MARKER.encode() not in failure.SerializeToString()
    assert failure.application_failure_info.type == "Kind"
    assert MARKER in str(await converter.decode_failure(failure))


async def test_the_largest_payload_costs_less_than_serialising_it_in_json(codec: EncryptionCodec) -> None:
    import json

    largest = Payload(metadata={"encoding": b"json/plain"}, data=b"x" * 2_000_000)
    lines = ["line of text\n"] * 150_000

    def best_json() -> float:
        began = time.perf_counter()
        json.loads(json.dumps(lines))
        return time.perf_counter() - began

    async def best_codec() -> float:
        began = time.perf_counter()
        await codec.decode(await codec.encode([largest]))
        return time.perf_counter() - began

    assert min([await best_codec() for _ in range(5)]) < min(best_json() for _ in range(5))
