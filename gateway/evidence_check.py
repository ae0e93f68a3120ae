"""Checks a bundle of evidence offline: without the stack, without settings, believing nothing but a key.

Each check has a name and is done whatever the others came to, so that a changed bundle says where it was changed.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from gateway import evidence_facts, evidence_money, evidence_votes
from gateway.strict_json import Malformed, decode_utf8
from gateway.strict_json import Mapping as Members
from schema.anchor import Anchor
from schema.audit import chained, recompute
from schema.evidence import Bundle, Segment, signed_bytes
from schema.keys import thumbprint
from schema.texts import canonical_json, digest_of

MOST_BYTES = 64 * 1024 * 1024
MOST_DEPTH = 30

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")


@dataclass(frozen=True)
class Check:
    """One check: its name, and what is wrong; `note` is what somebody should know although nothing is."""

    name: str
    faults: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Verification:
    """What came of a bundle.

    Attributes:
        kid: whose key it says it is signed with.
        trusted: that key is one of those which were given.
    """

    checks: tuple[Check, ...]
    kid: str
    trusted: bool

    @property
    def sound(self) -> bool:
        """Nothing is wrong with it; whose it is, only a trusted key says."""
        return not any(check.faults for check in self.checks)


def verify(content: bytes, trusted: frozenset[str] | None = None) -> Verification:
    """Check a bundle's file. `trusted` are the thumbprints of keys that are known to be ours; None: none was given."""
    try:
        value = _parse(content)
        bundle = Bundle.model_validate_json(content)
    except Malformed as error:
        return Verification((Check("form", (str(error),)),), "", False)
    except ValidationError as error:
        told = tuple(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)[:10]
        )
        return Verification((Check("form", told),), "", False)
    checks = [_form(content, value), _keys(bundle), _signature(bundle, value), _signer(bundle, trusted)]
    checks += [Check(name, tuple(_guarded(find, bundle))) for name, find in _CHECKS]
    checks.append(_chain(bundle))
    return Verification(tuple(checks), bundle.signature.kid, trusted is not None and bundle.signature.kid in trusted)


def _parse(content: bytes) -> dict[str, Any]:
    """The JSON value, which must be as `canonical_json` writes it, so that a member can't be there twice."""
    if len(content) > MOST_BYTES:
        raise Malformed([("body", f"is larger than {MOST_BYTES:,} bytes")])
    text = decode_utf8(content)
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(depth, deepest)
    if deepest > MOST_DEPTH:
        raise Malformed([("body", f"is nested deeper than {MOST_DEPTH} levels")])
    try:
        value = json.loads(text, object_pairs_hook=Members.of_pairs, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed([("body", f"is not JSON: {error}"[:200])]) from None
    if not isinstance(value, dict):
        raise Malformed([("body", "is no object")])
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _form(content: bytes, value: dict[str, Any]) -> Check:
    """Byte for byte the one form that the value has."""
    try:
        same = canonical_json(value).encode() + b"\n" == content
    except UnicodeEncodeError:
        same = False
    return Check("form", () if same else ("it is not in its canonical form: it was written by something else",))


def _keys(bundle: Bundle) -> Check:
    """A key is named by its thumbprint, and by nothing else."""
    faults = [f"the key {kid} has another thumbprint" for kid, raw in bundle.keys.items() if _key(raw, kid) is None]
    used = {bundle.signature.kid, *(each.anchor.kid for each in bundle.audit.segments if each.anchor)}
    faults += [f"the key {kid} is not there" for kid in sorted(used - set(bundle.keys))]
    faults += [f"the key {kid} signs nothing here" for kid in sorted(set(bundle.keys) - used)]
    return Check("keys", tuple(faults))


def _key(raw: str, kid: str) -> Ed25519PublicKey | None:
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(raw))
    except ValueError:
        return None
    return key if thumbprint(key) == kid else None


def _signature(bundle: Bundle, value: Mapping[str, Any]) -> Check:
    unsigned = {name: member for name, member in value.items() if name != "signature"}
    whole = _verifies(bundle, bundle.signature.kid, bundle.signature.value, signed_bytes(unsigned))
    return Check("signature", () if whole else ("it is not as it was signed",))


def _verifies(bundle: Bundle, kid: str, signature: str, signed: bytes) -> bool:
    key = _key(bundle.keys.get(kid, ""), kid)
    try:
        if key is None or bytes.fromhex(signature).hex() != signature:
            return False
        key.verify(bytes.fromhex(signature), signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _signer(bundle: Bundle, trusted: frozenset[str] | None) -> Check:
    kid = bundle.signature.kid
    if trusted is None:
        return Check("signer", note=f"signed by key {kid}, which you have to compare: no key was given with --key")
    return Check("signer", () if kid in trusted else (f"it is signed by key {kid}, which is not the one given",))


def _chain(bundle: Bundle) -> Check:
    """The records of the task are in the chain: from each the chain goes on to a head that was signed at its time."""
    faults: list[str] = []
    alone = 0
    reached = 0
    for segment in bundle.audit.segments:
        if segment.first <= reached:
            faults.append(f"the parts of the chain overlap at record {segment.first}")
        reached = segment.first + len(segment.links) - 1
        faults += _guarded(lambda of, segment=segment: _walk(of, segment), bundle)  # type: ignore[misc]
        alone += segment.anchor is None or any(link.hash for link in segment.links)
    note = f"{alone} parts of the chain reach no signed head: of their place only this bundle speaks" if alone else ""
    return Check("audit chain", tuple(faults), note)


def _walk(bundle: Bundle, segment: Segment) -> list[str]:
    running, faults = segment.previous, []
    for number, link in enumerate(segment.links, start=segment.first):
        if sum(each is not None for each in (link.record, link.leaf, link.hash)) != 1:
            return [f"record {number} is not one thing"]
        if link.record is not None:
            record = link.record
            if (record.tenant, record.sequence, record.previous) != (bundle.body.task.tenant, number, running):
                faults.append(f"record {number} does not follow the one before it")
            if recompute(record, running) != record.hash:
                faults.append(f"record {number} is not as it was written")
            running = record.hash
        else:
            running = chained(link.leaf, running) if link.leaf is not None else str(link.hash)
    if segment.links[0].record is None:
        faults.append(f"the part of the chain at {segment.first} begins with no record of the task")
    anchor = segment.anchor
    return faults + ([] if anchor is None else _anchored(bundle, segment, anchor, running))


def _anchored(bundle: Bundle, segment: Segment, anchor: Anchor, running: str) -> list[str]:
    last = segment.first + len(segment.links) - 1
    if (anchor.tenant, anchor.sequence, anchor.hash) != (bundle.body.task.tenant, last, running):
        return [f"the chain from record {segment.first} on does not lead to the head that was signed"]
    if not _verifies(bundle, anchor.kid, anchor.signature, anchor.signed):
        return [f"the head at record {last} is not as it was signed"]
    return []


def _digests(bundle: Bundle) -> list[str]:
    """Every text is the one that its digest names, and every digest has its text, where texts are there."""
    if bundle.content is None:
        return []
    return [
        f"the text {digest[:12]} is another"
        for digest, text in bundle.content.texts.items()
        if digest_of(text) != digest
    ]


def _guarded(find: Callable[[Bundle], list[str]], bundle: Bundle) -> list[str]:
    """What a check finds; where what was put in makes it fail, that is what it found."""
    try:
        return find(bundle)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return [f"it can't be checked: {type(error).__name__}"]


_CHECKS: tuple[tuple[str, Callable[[Bundle], list[str]]], ...] = (
    ("digests", _digests),
    ("story", evidence_facts.story),
    ("prompts", evidence_facts.prompts),
    ("model calls", evidence_facts.calls),
    ("runs", evidence_facts.runs),
    ("eligibility", evidence_votes.eligibility),
    ("tally", evidence_votes.recount),
    ("ledger", evidence_money.ledger),
    ("decisions", evidence_facts.decisions),
    ("acts", evidence_facts.acts),
)
