"""Which tokens are believed, which are not, and the keys that sign them."""

import base64
import json
import multiprocessing
import stat
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.authentication import KeyFolder, Refused, Verifier
from gateway.authorisation import Principal
from gateway.tokens import issue_token, write_local_token
from schema.errors import SettingsError
from schema.keys import ensure_signing_key, read_public_keys
from schema.settings import Settings

REMOVED = object()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def verifier(settings: Settings) -> Verifier:
    return Verifier(settings, KeyFolder(settings).find)


@pytest.fixture
def forge(settings: Settings) -> Callable[..., str]:
    """Signs claims with the right key; `headers` and `claims` change what a good token has."""

    def sign(headers: dict[str, Any] | None = None, **claims: Any) -> str:
        key = ensure_signing_key(settings.keys_folder)
        header = _changed({"alg": "EdDSA", "typ": "JWT", "kid": key.kid}, headers or {})
        body = json.dumps(_changed(_good_claims(), claims))
        return _signed(json.dumps(header), body, key.private)

    return sign


def _good_claims() -> dict[str, Any]:
    now = int(time.time())
    claims = {"iss": "golden", "aud": "golden", "sub": "ann", "role": "developer", "tenant": "t1", "jti": "1"}
    return {**claims, "iat": now, "exp": now + 600}


def _changed(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**values, **changes}.items() if value is not REMOVED}


def _segment(content: str | bytes) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _signed(header: str, body: str | bytes, key: Ed25519PrivateKey) -> str:
    message = _segment(header) + b"." + _segment(body)
    return (message + b"." + _segment(key.sign(message))).decode()


def test_an_issued_token_is_believed(settings: Settings, verifier: Verifier) -> None:
    token = issue_token(settings, sub="ann", role="developer", tenant="t1", ttl=timedelta(hours=1))

    outcome = verifier.authenticate(token)

    assert isinstance(outcome, Principal)
    assert (outcome.sub, outcome.role, outcome.tenant) == ("ann", "developer", "t1")


def test_a_token_for_every_tenant_is_believed(settings: Settings, verifier: Verifier) -> None:
    token = issue_token(settings, sub="root", role="admin", tenant="*", ttl=timedelta(hours=1))

    assert isinstance(verifier.authenticate(token), Principal)


def test_the_forge_makes_good_tokens_so_that_each_refusal_below_has_one_cause(
    forge: Callable[..., str], verifier: Verifier
) -> None:
    assert isinstance(verifier.authenticate(forge()), Principal)


@pytest.mark.parametrize(
    "claims",
    [
        *({name: REMOVED} for name in ("iss", "aud", "sub", "exp", "iat", "jti", "role", "tenant")),
        *({name: None} for name in ("iss", "aud", "sub", "exp", "iat", "jti", "role", "tenant")),
        {"iss": "other"},
        {"aud": "other"},
        {"aud": ["golden", "other"]},
        {"aud": []},
        {"sub": ""},
        {"sub": " ann"},
        {"sub": "a" * 201},
        {"sub": "a\nb"},
        {"sub": 7},
        {"role": "root"},
        {"role": ["admin"]},
        {"role": {}},
        {"tenant": ""},
        {"tenant": "T1"},
        {"tenant": "t1\n"},
        {"tenant": "**"},
        {"tenant": "a" * 64},
        {"tenant": ["t1"]},
        {"jti": ""},
        {"jti": "a b"},
        {"jti": 1},
        {"exp": int(time.time()) - 60},
        {"exp": "tomorrow"},
        {"exp": str(int(time.time()) + 600)},
        {"exp": 1e300},
        {"exp": 10**18},
        {"exp": True},
        {"exp": -1},
        {"iat": int(time.time()) + 3600},
        {"iat": "now"},
        {"iat": int(time.time()) + 0.5},
        {"nbf": int(time.time()) + 3600},
        {"nbf": "now"},
        {"padding": "x" * 5000},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_refused(
    claims: dict[str, Any], forge: Callable[..., str], verifier: Verifier
) -> None:
    assert isinstance(verifier.authenticate(forge(**claims)), Refused)


@pytest.mark.parametrize(
    "headers",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "HS256"},
        {"alg": "eddsa"},
        {"alg": "ES256"},
        {"alg": ["EdDSA"]},
        {"alg": REMOVED},
        {"kid": REMOVED},
        {"kid": "unknown"},
        {"kid": ""},
        {"kid": 1},
        {"kid": "../../signing.pem"},
        {"typ": "JWE"},
        {"typ": 1},
        {"crit": ["exp"]},
        {"b64": False},
        {"zip": "DEF"},
        {"jku": "https://keys.invalid/"},
        {"x5u": "https://keys.invalid/"},
        {"jwk": {}},
        {"x5c": []},
        {"cty": "JWT"},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_header_is_refused(
    headers: dict[str, Any], forge: Callable[..., str], verifier: Verifier
) -> None:
    assert isinstance(verifier.authenticate(forge(headers=headers)), Refused)


def test_an_unsigned_token_is_refused(verifier: Verifier) -> None:
    assert isinstance(verifier.authenticate(jwt.encode(_good_claims(), "", algorithm="none")), Refused)


def test_a_token_of_another_key_under_our_kid_is_refused(settings: Settings, verifier: Verifier) -> None:
    kid = ensure_signing_key(settings.keys_folder).kid
    token = jwt.encode(_good_claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": kid})

    assert verifier.authenticate(token) == Refused("the token is not valid here")


def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(settings: Settings, verifier: Verifier) -> None:
    kid, key = next(iter(read_public_keys(settings.keys_folder).items()))
    raw = key.public_bytes_raw()
    token = jwt.encode(_good_claims(), raw, algorithm="HS256", headers={"kid": kid})

    assert isinstance(verifier.authenticate(token), Refused)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(_good_claims())[:-1] + ',"role":"admin"}',
        "\ufeff" + json.dumps(_good_claims()),
        json.dumps(_good_claims()).encode("utf-16"),
        json.dumps(_good_claims()).encode()[:-1] + b',"x":"\xff"}',
        json.dumps(_good_claims())[:-1] + ',"x":NaN}',
        json.dumps(_good_claims())[:-1] + ',"x":' + "[" * 900 + "]" * 900 + "}",
        "[]",
        "null",
        '"text"',
    ],
)
def test_claims_that_are_not_strict_json_are_refused(body: str | bytes, settings: Settings, verifier: Verifier) -> None:
    key = ensure_signing_key(settings.keys_folder)
    header = json.dumps({"alg": "EdDSA", "kid": key.kid})

    assert isinstance(verifier.authenticate(_signed(header, body, key.private)), Refused)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "...", "a.b", "a.b.c.d", "a.b.c.d.e", "{}", "é.é.é", "a" * 100_000, "\x00.\x00.\x00"]
)
def test_what_is_no_token_is_refused(text: str, verifier: Verifier) -> None:
    assert verifier.authenticate(text) == Refused("the token is malformed")


def test_a_changed_signature_is_refused(forge: Callable[..., str], verifier: Verifier) -> None:
    head, body, signature = forge().split(".")
    changed = ("B" if signature[0] == "A" else "A") + signature[1:]

    assert isinstance(verifier.authenticate(f"{head}.{body}.{changed}"), Refused)


def test_a_little_clock_skew_is_forgiven(forge: Callable[..., str], verifier: Verifier) -> None:
    now = int(time.time())

    assert isinstance(verifier.authenticate(forge(exp=now - 10)), Principal)
    assert isinstance(verifier.authenticate(forge(iat=now + 10, nbf=now + 10)), Principal)


def test_a_retired_key_is_still_believed(settings: Settings, forge: Callable[..., str]) -> None:
    token = forge()
    (settings.keys_folder / "signing.pem").rename(settings.keys_folder / "retired-1.pem")
    rotated = KeyFolder(settings)

    assert isinstance(Verifier(settings, rotated.find).authenticate(token), Principal)
    assert len(rotated.keys) == 2


def test_keys_and_tokens_are_readable_by_their_owner_only(settings: Settings) -> None:
    write_local_token(settings)

    modes = [
        stat.S_IMODE(path.stat().st_mode)
        for path in (settings.keys_folder, settings.keys_folder / "signing.pem", settings.token_file)
    ]
    assert [oct(mode) for mode in modes] == ["0o700", "0o600", "0o600"]


def test_a_key_that_everybody_can_read_is_refused(settings: Settings) -> None:
    ensure_signing_key(settings.keys_folder)
    (settings.keys_folder / "signing.pem").chmod(0o644)

    with pytest.raises(SettingsError, match="can be read by everybody"):
        ensure_signing_key(settings.keys_folder)


def test_the_local_token_is_an_admins_of_the_default_tenant(settings: Settings, verifier: Verifier) -> None:
    write_local_token(settings)

    outcome = verifier.authenticate(settings.token_file.read_text().strip())

    assert isinstance(outcome, Principal)
    assert (outcome.sub, outcome.role, outcome.tenant) == ("local", "admin", "default")


def _kid_of(folder: Path) -> str:
    return ensure_signing_key(folder).kid


def test_processes_that_start_at_once_agree_on_one_key(settings: Settings) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        kids = pool.map(_kid_of, [settings.keys_folder] * 8)

    assert len(set(kids)) == 1
    assert sorted(path.name for path in settings.keys_folder.iterdir()) == ["signing.pem"]
