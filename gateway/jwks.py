"""The keys of an identity provider: a JWK set, of which only sound keys are taken, each for one algorithm."""

from collections import Counter
from collections.abc import Collection
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.strict_json import Malformed, parse_json
from gateway.token_form import decode_base64url, is_name
from gateway.token_keys import PublicKey, VerifyingKey

MAX_KEYS = 50
RSA_BITS = range(2_048, 8_193)
"""Shorter ones can be broken; longer ones keep a gateway busy with a single token."""
RSA_EXPONENTS = range(65_537, 2**32)

_CURVES: dict[str, tuple[ec.EllipticCurve, str]] = {
    "P-256": (ec.SECP256R1(), "ES256"),
    "P-384": (ec.SECP384R1(), "ES384"),
    "P-521": (ec.SECP521R1(), "ES512"),
}
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

log = structlog.get_logger(__name__)


class UnusableKey(Exception):
    """A member of a JWK set with which no token may be verified."""


def parse_jwks(unverified_content: bytes, algorithms: Collection[str]) -> dict[str, VerifyingKey]:
    """The usable keys of a JWK set by `kid`; what is weak, private, ambiguous or for another use is left out.

    Raises:
        Malformed: it is no JWK set.
    """
    value = parse_json(unverified_content)
    members = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(members, list) or len(members) > MAX_KEYS:
        raise Malformed([("keys", f"must be a list of at most {MAX_KEYS} keys")])
    found: dict[str, VerifyingKey] = {}
    kids = Counter(member.get("kid") for member in members if isinstance(member, dict) and is_name(member.get("kid")))
    for place, member in enumerate(members):
        try:
            kid, key = _read_member(member)
            if kids[kid] > 1:
                raise UnusableKey("its kid stands for several keys")
            if key.algorithm not in algorithms:
                raise UnusableKey("GOLDEN_ALGORITHMS does not have its algorithm")
        except UnusableKey as error:
            log.warning("a key of the identity provider is left out", place=place, reason=str(error))
        else:
            found[kid] = key
    return found


def _read_member(member: Any) -> tuple[str, VerifyingKey]:
    if not isinstance(member, dict) or not is_name(member.get("kid")):
        raise UnusableKey("it has no kid")
    if not _PRIVATE.isdisjoint(member):
        raise UnusableKey("it is not a public key")
    try:
        if member.get("use", "sig") != "sig" or "verify" not in member.get("key_ops", ["verify"]):
            raise UnusableKey("it is for another use than signatures")
        public, default, possible = _read_public(member)
        algorithm = member.get("alg", default)
        if algorithm not in possible:
            raise UnusableKey("its alg is not one of its kty and crv")
    except (ValueError, TypeError):
        raise UnusableKey("it is malformed") from None
    return member["kid"], VerifyingKey(public, algorithm)


def _read_public(member: dict[str, Any]) -> tuple[PublicKey, str, Collection[str]]:
    """The key, the algorithm that it has where it names none, and those that it may name."""
    if member.get("kty") == "RSA":
        modulus, exponent = _read_integer(member, "n"), _read_integer(member, "e")
        if modulus.bit_length() not in RSA_BITS or exponent not in RSA_EXPONENTS:
            raise UnusableKey(
                f"an RSA key has {RSA_BITS.start:,} to {RSA_BITS.stop - 1:,} bits and an exponent ≥ 65537"
            )
        return rsa.RSAPublicNumbers(exponent, modulus).public_key(), "RS256", _RSA
    if member.get("kty") == "EC" and member.get("crv") in _CURVES:
        curve, algorithm = _CURVES[member["crv"]]
        # Refuses points that are not on the curve.
        numbers = ec.EllipticCurvePublicNumbers(_read_integer(member, "x"), _read_integer(member, "y"), curve)
        return numbers.public_key(), algorithm, (algorithm,)
    if member.get("kty") == "OKP" and member.get("crv") == "Ed25519":
        return ed25519.Ed25519PublicKey.from_public_bytes(_read_bytes(member, "x")), "EdDSA", ("EdDSA",)
    raise UnusableKey("its kty or crv is not taken")


def _read_integer(member: dict[str, Any], name: str) -> int:
    return int.from_bytes(_read_bytes(member, name))


def _read_bytes(member: dict[str, Any], name: str) -> bytes:
    text = member.get(name)
    content = decode_base64url(text) if isinstance(text, str) else None
    if content is None:
        raise UnusableKey(f"it has no {name}")
    return content
