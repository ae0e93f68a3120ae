"""An identity provider for tests: its keys over real HTTP, its tokens, and whatever may go wrong with it."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
ISSUER = "https://idp.invalid/realms/golden"


def new_key(algorithm: str, bits: int = 2048) -> PrivateKey:
    """A private key for an algorithm."""
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm.startswith("ES"):
        curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
        return ec.generate_private_key(curves[algorithm])
    return rsa.generate_private_key(65_537, bits)


def jwk_of(key: PrivateKey, kid: str, **members: Any) -> dict[str, Any]:
    """The public half as a JWK."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        made = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        made = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        made = OKPAlgorithm.to_jwk(public, as_dict=True)
    return {**{name: value for name, value in made.items() if name != "key_ops"}, "kid": kid, **members}


def provider_claims(now: int, **changes: Any) -> dict[str, Any]:
    """What such a provider says of somebody."""
    claims = {
        "iss": ISSUER,
        "aud": "golden",
        "sub": "ann@idp",
        "role": "developer",
        "tenant": "t1",
        "jti": str(uuid4()),
    }
    return {**claims, "iat": now, "exp": now + 600, **changes}


class IdentityProvider:
    """Serves a JWK set, and signs with its keys."""

    def __init__(self) -> None:
        self.private: dict[str, tuple[str, PrivateKey]] = {}
        self.members: list[Any] = []
        self.status = 200
        self.content: bytes | None = None
        self.headers: dict[str, str] = {}
        self.asked = 0
        self.answering = threading.Event()
        self.answering.set()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/keys"

    def add(self, kid: str, algorithm: str = "RS256", **members: Any) -> None:
        """A new key, published."""
        key = new_key(algorithm)
        self.private[kid] = (algorithm, key)
        self.members.append(jwk_of(key, kid, **members))

    def withdraw(self, kid: str) -> None:
        """The key is not published any more."""
        self.members = [member for member in self.members if member["kid"] != kid]

    def token(self, kid: str, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token that the key of that id has signed."""
        algorithm, key = self.private[kid]
        return jwt.encode(provider_claims(int(time.time()), **claims), key, algorithm, {"kid": kid, **(headers or {})})

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """What the test wants to be answered, when it wants that."""
        self.asked += 1
        self.answering.wait(20)
        content = json.dumps({"keys": self.members}).encode() if self.content is None else self.content
        with contextlib.suppress(OSError):  # the other side has given up
            handler.send_response(self.status)
            for name, value in {"Content-Length": str(len(content)), **self.headers}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(content)


@contextlib.contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """An identity provider that is there until the test ends."""
    provider = IdentityProvider()
    thread = threading.Thread(target=provider.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield provider
    finally:
        provider.answering.set()
        provider.server.shutdown()
        thread.join()
        provider.server.server_close()
