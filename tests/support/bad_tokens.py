"""Hundreds of tokens that nobody may believe, each a good one with one thing wrong, signed with the right key."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from schema.keys import public_jwk
from tests.support.forge import GONE, Forge, segment


def bad_tokens(forge: Forge) -> dict[str, str]:
    """Every bad token by what is wrong with it."""
    made: dict[str, str] = {}
    for source in (_headers, _claims, _times, _texts, _signatures, _shapes):
        for name, token in source(forge):
            assert name not in made, name
            made[name] = token
    return made


Named = Iterator[tuple[str, str]]

NONES = ("none", "None", "NONE", "nOnE", "noNe", " none", "none ", "none\n", "", "null", "nοne")
ALGORITHMS = ("HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "ES256K", "ES384", "Ed448", "EdDSA ", "eddsa",
              "EDDSA", "dir", "A128KW", "RSA-OAEP", "PBES2-HS256+A128KW", "Ed25519")  # fmt: skip
NOT_TEXTS: tuple[Any, ...] = (None, True, False, 0, 1, 1.5, [], ["EdDSA"], {}, {"a": 1})
TYPES = ("", "JWE", "JWS", "JOSE", "id_token", "logout+jwt", "dpop+jwt", "JWT ", "at-jwt")
NUMBERS = (0, -1, 10**13, 10**18, 10**60, 2**63, 253_402_300_800)
LITERALS = ("1e400", "-1e400", "NaN", "Infinity", "-Infinity", "1e3", "1E10", "٢", "01", "+1", "0x10", "1_0")
STRANGE_MEMBERS: dict[str, Any] = {
    "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/chain", "x5c": ["MIIB"], "x5t": "abc",
    "x5t#S256": "abc", "cty": "JWT", "zip": "DEF", "b64": False, "enc": "A256GCM", "apu": "x", "p2c": 10**9,
    "p2s": "x", "iv": "x", "tag": "x", "nonce": "x", "url": "http://127.0.0.1:1/", "iss": "golden",
    "__proto__": {}, "ALG": "none", "Alg": "none", "": "x",
}  # fmt: skip


def _headers(forge: Forge) -> Named:
    jwk = public_jwk(forge.key.kid, forge.key.private.public_key())
    for alg in (*NONES, *ALGORITHMS, *NOT_TEXTS, GONE):
        yield f"alg {_shown(alg)}", forge.token({"alg": alg})
    for kid in (*NOT_TEXTS[:8], GONE, "", "unknown", "../../etc/passwd", "' OR 1=1 --", "\x00", "a" * 201, "é", "*"):
        yield f"kid {_shown(kid)}", forge.token({"kid": kid})
    yield "kid with a space after it", forge.token({"kid": forge.key.kid + " "})
    for kind in (*NOT_TEXTS[:8], GONE, *TYPES):
        yield f"typ {_shown(kind)}", forge.token({"typ": kind})
    for name, value in {"jwk": jwk, "epk": jwk, "exp": forge.now + 600, **STRANGE_MEMBERS}.items():
        yield f"header {name or 'without a name'}", forge.token({name: value})
    for crit in ([], ["exp"], ["b64"], ["unknown"], ["alg"], "exp", None, [1], True):
        yield f"crit {_shown(crit)}", forge.token({"crit": crit, "exp": forge.now, "b64": True, "unknown": 1})
    yield "b64 true and critical", forge.token({"b64": True, "crit": ["b64"]})


def _claims(forge: Forge) -> Named:
    for name in ("iss", "aud", "sub", "role", "tenant", "jti"):
        for value in (GONE, None, True, 0, 7, 1.5, "", [], {}, {"golden": 1}, ["golden"], ["golden", "other"]):
            yield f"{name} {_shown(value)}", forge.token(claims={name: value})
    for name, values in {
        "iss": ("other", "Golden", "golden ", "golden/", "https://golden", "golden\x00", "gоlden"),
        "aud": ("other", "GOLDEN", "golden ", "golden,other", "goldens", ["other"], ["golden", 1], [["golden"]]),
        "sub": (" ann", "ann ", "a\nb", "a\tb", "a\x00b", "\u202eann", "\u200b", "a" * 201, "\x1b[31m", "\ud800",
                "\u3164", "\u115f", "\u1160", "\u2800", "\uffa0", "\u2800 \u3164\u115f"),
        "role": ("root", "Admin", "ADMIN", "admin ", "admin,developer", "*", "admin\x00", ["admin", "developer"],
                 ["admin"], ["developer"], ["developer", "developer"], [["developer"]]),
        "tenant": ("T1", "t1\n", "**", "* ", "t1,t2", "../t1", "-t1", "t 1", "a" * 64, "t1'--", "ｔ1", "\u0661", ["*"]),
        "jti": ("a b", "a\nb", "é", "\x00", "a" * 201, ["1"], {"id": "1"}),
    }.items():  # fmt: skip
        for value in values:
            yield f"{name} {_shown(value)}!", forge.token(claims={name: value})
    yield "too long", forge.token(claims={"padding": "x" * 5_000})
    yield "a token within a token", forge.sign(json.dumps(forge.header()), json.dumps(forge.token()))


def _times(forge: Forge) -> Named:
    now = forge.now
    for name in ("iat", "exp", "nbf"):
        absurd: tuple[Any, ...] = (None, True, False, "", str(now), f"{now}.0", [now], {}, now + 0.5, float(now), -now)
        for value in (*absurd, *NUMBERS):
            yield f"{name} {_shown(value)}", forge.token(claims={name: value})
        for literal in LITERALS:
            body = json.dumps(forge.claims(**{name: "HERE"})).replace('"HERE"', literal)
            yield f"{name} {literal}", forge.sign(json.dumps(forge.header()), body)
    yield "no iat", forge.token(claims={"iat": GONE})
    yield "no exp", forge.token(claims={"exp": GONE})
    yield "a number of 5,000 digits", forge.token(claims={"exp": int("9" * 2_500)})
    yield "expired 31 s ago", forge.token(claims={"iat": now - 600, "exp": now - 31})
    yield "expired a day ago", forge.token(claims={"iat": now - 90_000, "exp": now - 86_400})
    yield "issued in 40 s", forge.token(claims={"iat": now + 40})
    yield "issued tomorrow", forge.token(claims={"iat": now + 86_400, "exp": now + 90_000})
    yield "valid in 40 s", forge.token(claims={"nbf": now + 40})
    yield "expires as it is issued", forge.token(claims={"iat": now + 5, "exp": now + 5})
    yield "expires before it is issued", forge.token(claims={"iat": now + 20, "exp": now + 10})
    yield "expires before it is valid", forge.token(claims={"nbf": now + 20, "exp": now + 10})
    yield "two years long", forge.token(claims={"exp": now + 730 * 86_400})
    yield "issued at the beginning of time", forge.token(claims={"iat": 1})


def _texts(forge: Forge) -> Named:
    """JSON that others read differently, or not at all."""
    header, body = json.dumps(forge.header()), json.dumps(forge.claims())
    odd: dict[str, Callable[[str], str | bytes]] = {
        "a member twice": lambda text: text[:-1] + ',"role":"admin","alg":"EdDSA"}',
        "a member twice, the same": lambda text: text[:-1] + "," + text[1:],
        "a member twice, escaped": lambda text: text[:-1] + ',"\\u0072ole":"admin","\\u0061lg":"none"}',
        "a byte-order mark": lambda text: "\ufeff" + text,
        "UTF-16": lambda text: text.encode("utf-16"),
        "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
        "UTF-32": lambda text: text.encode("utf-32"),
        "Latin-1": lambda text: (text[:-1] + ',"x":"é"}').encode("latin-1"),
        "bytes that are no text": lambda text: text.encode()[:-1] + b',"x":"\xff\xfe"}',
        "an overlong encoding": lambda text: text.encode()[:-1] + b',"x":"\xc0\xaf"}',
        "half of a surrogate pair": lambda text: text[:-1] + ',"x":"\\ud800"}',
        "a NUL after it": lambda text: text + "\x00",
        "a second object": lambda text: text + text,
        "rubbish after it": lambda text: text + "x",
        "a comma too many": lambda text: text[:-1] + ",}",
        "single quotes": lambda text: text.replace('"', "'"),
        "a comment": lambda text: text[:-1] + "/* */}",
        "NaN": lambda text: text[:-1] + ',"x":NaN}',
        "an endless number": lambda text: text[:-1] + ',"x":1e999}',
        "deep lists": lambda text: text[:-1] + ',"x":' + "[" * 400 + "]" * 400 + "}",
        "cut off": lambda text: text[:-2],
        "a list": lambda text: f"[{text}]",
        "a text": lambda text: json.dumps(text),
        "null": lambda _: "null",
        "a number": lambda _: "1",
        "an empty object": lambda _: "{}",
        "a line break in a text": lambda text: text[:-1] + ',"x":"a\nb"}',
    }
    for name, make in odd.items():
        yield f"header: {name}", forge.sign(make(header), body)
        yield f"claims: {name}", forge.sign(header, make(body))


def _signatures(forge: Forge) -> Named:
    public = forge.key.private.public_key()
    header, body = json.dumps(forge.header()), json.dumps(forge.claims())
    good = forge.token()
    message, _, signature = good.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    secrets = {
        "raw": public.public_bytes_raw(),
        "PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "kid": forge.key.kid.encode(),
        "empty": b"",
    }
    for name, secret in secrets.items():
        for alg in ("HS256", "HS384", "HS512"):
            yield f"{alg} with the public key as its secret: {name}", forge.mac(alg, secret)
    other = Ed25519PrivateKey.generate()
    yield "another key", forge.sign(header, body, other)
    brought = json.dumps(forge.header(jwk=public_jwk("x", other.public_key())))
    yield "another key, brought along", forge.sign(brought, body, other)
    yield "all zeros", f"{message}.{segment(bytes(64))}"
    yield "one bit changed", f"{message}.{segment(bytes([raw[0] ^ 1]) + raw[1:])}"
    yield "cut by a byte", f"{message}.{segment(raw[:-1])}"
    yield "a byte longer", f"{message}.{segment(raw + bytes(1))}"
    yield "twice", f"{message}.{segment(raw + raw)}"
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(raw[32:], "little") + order
    yield "of the same value, written differently", f"{message}.{segment(raw[:32] + scalar.to_bytes(32, 'little'))}"
    yield "of other claims", f"{segment(header)}.{segment(json.dumps(forge.claims(role='admin')))}.{signature}"
    yield "of another header", f"{segment(json.dumps(forge.header(typ='at+jwt')))}.{segment(body)}.{signature}"
    yield "of the claims only", f"{message}.{segment(forge.key.private.sign(segment(body).encode()))}"
    yield "of the decoded text", f"{message}.{segment(forge.key.private.sign(f'{header}.{body}'.encode()))}"


AFTER_A_SEGMENT = {
    "padded": "=",
    "with a plus": "+",
    "with a slash": "/",
    "with a line break": "\n",
    "with a NUL": "\x00",
    "with a Unicode digit": "\u0661",
    "percent-encoded": "%41",
}


def _shapes(forge: Forge) -> Named:
    good = forge.token()
    head, body, signature = good.split(".")
    yield "unsigned", f"{segment(json.dumps(forge.header(alg='none')))}.{body}."
    yield "without its signature", f"{head}.{body}."
    yield "two segments", f"{head}.{body}"
    yield "four segments", f"{good}.{signature}"
    yield "five segments, as a JWE has", f"{head}.{body}.{signature}.{body}.{signature}"
    for place in range(3):
        parts = good.split(".")
        yield f"segment {place} empty", ".".join([*parts[:place], "", *parts[place + 1 :]])
        for name, text in AFTER_A_SEGMENT.items():
            yield f"segment {place} {name}", ".".join([*parts[:place], parts[place] + text, *parts[place + 1 :]])
    for name, text in {"space": " ", "line break": "\n", "tab": "\t", "NUL": "\x00", "dot": ".", "quote": '"',
                       "comma": ",", "no-break space": "\xa0"}.items():  # fmt: skip
        yield f"{name} before it", text + good
        yield f"{name} after it", good + text
    yield "two tokens", f"{good},{good}"
    yield "trailing bits in its signature", f"{head}.{body}.{_with_trailing_bits(signature)}"
    for spaces in range(3):  # so that one of them ends within a character of base64
        padded = json.dumps(forge.claims()) + " " * spaces
        if len(padded) % 3:
            message = f"{head}.{_with_trailing_bits(segment(padded))}"
            signed = segment(forge.key.private.sign(message.encode()))
            yield f"trailing bits in its claims, {spaces}", f"{message}.{signed}"
    yield "in JSON", json.dumps({"protected": head, "payload": body, "signature": signature})
    signatures = [{"protected": head, "signature": signature}]
    yield "in JSON with several signatures", json.dumps({"payload": body, "signatures": signatures})
    yield "detached", f"{head}..{signature}"
    yield "nothing", ""
    yield "dots", ".."
    yield "a word", "token"
    yield "huge", "a" * 100_000
    yield "many dots", "." * 10_000


def _with_trailing_bits(text: str) -> str:
    """The same bytes in another text: the last character holds bits that decoding drops."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


def _shown(value: object) -> str:
    if value is GONE:
        return "missing"
    text = ascii(value)
    return text if len(text) < 40 else f"{text[:30]}… {len(text):,}"
