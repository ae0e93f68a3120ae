"""Makes tokens with the right key: good ones, and whatever else a test asks for."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schema.keys import SigningKey

GONE = object()
"""A member that is left out."""

Changes = dict[str, Any]


def segment(content: bytes | str) -> str:
    """base64url without padding."""
    raw = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass(frozen=True)
class Forge:
    """Makes tokens with the right key, at a given time in seconds."""

    key: SigningKey
    now: int

    def header(self, **changes: Any) -> Changes:
        """A good header with some members changed."""
        return changed({"alg": "EdDSA", "typ": "JWT", "kid": self.key.kid}, changes)

    def claims(self, **changes: Any) -> Changes:
        """Good claims with some changed."""
        good = {"iss": "golden", "aud": "golden", "sub": "ann", "role": "developer", "tenant": "t1", "jti": "1"}
        return changed({**good, "iat": self.now, "exp": self.now + 600}, changes)

    def token(self, header: Changes | None = None, claims: Changes | None = None) -> str:
        """A token of a good header and good claims with some changed."""
        return self.sign(json.dumps(self.header(**(header or {}))), json.dumps(self.claims(**(claims or {}))))

    def sign(self, header: str | bytes, body: str | bytes, key: Ed25519PrivateKey | None = None) -> str:
        """A token of whatever bytes."""
        message = f"{segment(header)}.{segment(body)}"
        return f"{message}.{segment((key or self.key.private).sign(message.encode()))}"

    def mac(self, alg: str, secret: bytes) -> str:
        """A token whose signature is an HMAC."""
        message = f"{segment(json.dumps(self.header(alg=alg)))}.{segment(json.dumps(self.claims()))}"
        digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
        return f"{message}.{segment(hmac.new(secret, message.encode(), digest).digest())}"


def changed(values: Changes, changes: Changes) -> Changes:
    """`values` with `changes`, without what is `GONE`."""
    return {name: value for name, value in {**values, **changes}.items() if value is not GONE}


def good_tokens(forge: Forge) -> dict[str, str]:
    """Controls: what the same forge makes with nothing wrong, to the edges of what is allowed."""
    now = forge.now
    return {
        "as it is": forge.token(),
        "spaces in the JSON": forge.sign(json.dumps(forge.header(), indent=2), json.dumps(forge.claims(), indent=1)),
        "typ at+jwt": forge.token({"typ": "at+jwt"}),
        "typ in upper case": forge.token({"typ": "AT+JWT"}),
        "typ as a media type": forge.token({"typ": "application/at+jwt"}),
        "nbf now": forge.token(claims={"nbf": now}),
        "a clock 29 s behind": forge.token(claims={"iat": now + 29, "nbf": now + 29}),
        "expired 29 s ago": forge.token(claims={"iat": now - 600, "exp": now - 29}),
        "a year long": forge.token(claims={"exp": now + 365 * 86_400}),
        "for the platform": forge.token(claims={"tenant": "*", "role": "admin"}),
        "a subject of 200 characters": forge.token(claims={"sub": "é" * 200}),
        "a subject with a blank letter in it": forge.token(claims={"sub": "ann\u3164"}),
        "a claim that nobody knows": forge.token(claims={"scope": "read"}),
    }
