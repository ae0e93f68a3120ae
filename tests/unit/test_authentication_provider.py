"""Tokens of an identity provider: its JWK set over real HTTP, its claims by settings, and whatever goes wrong there."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from pydantic import ValidationError

from gateway.app import check_exposure
from gateway.authorisation import Principal
from gateway.jwks import MAX_KEYS, parse_jwks
from gateway.jwks_cache import JwksCache
from gateway.strict_json import Malformed
from gateway.token_keys import KeyFolder
from gateway.token_reader import Issuer, Refused, TokenReader, UnknownKey
from gateway.token_rules import own_rules, provider_rules
from schema.errors import SettingsError
from schema.identity_settings import ASYMMETRIC_ALGORITHMS
from schema.keys import ensure_signing_key, public_jwk
from schema.settings import Settings
from tests.support.bad_tokens import bad_tokens
from tests.support.forge import Forge
from tests.support.identity import ISSUER, IdentityProvider, identity_provider, jwk_of, new_key, provider_claims


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        provider.add("k1")
        yield provider


@pytest.fixture
def settings(tmp_path: Path, provider: IdentityProvider) -> Settings:
    return Settings(home=tmp_path, issuer=ISSUER, jwks_url=provider.url)


def reader_of(settings: Settings, cache: JwksCache) -> TokenReader:
    own = Issuer(own_rules(settings), KeyFolder(settings))
    return TokenReader([own, Issuer(provider_rules(settings), cache)])


async def read(settings: Settings, provider: IdentityProvider, token: str) -> Principal | Refused:
    """What becomes of a token with these settings."""
    cache = JwksCache(settings)
    await cache.refresh()
    return reader_of(settings, cache).read(token)


def kept(*members: Any, algorithms: tuple[str, ...] = ASYMMETRIC_ALGORITHMS) -> dict[str, str]:
    """Which keys are taken, and for which algorithm."""
    found = parse_jwks(json.dumps({"keys": members}).encode(), algorithms)
    return {kid: key.algorithm for kid, key in found.items()}


class TestKeys:
    @pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
    async def test_each_algorithm_of_the_settings_is_verified(
        self, algorithm: str, settings: Settings, provider: IdentityProvider
    ) -> None:
        provider.add("mine", algorithm, alg=algorithm)
        allowing = settings.model_copy(update={"algorithms": (algorithm,)})
        others = settings.model_copy(update={"algorithms": ("RS384",)})

        assert isinstance(await read(allowing, provider, provider.token("mine")), Principal)
        assert isinstance(await read(others, provider, provider.token("mine")), Refused)

    def test_a_key_without_alg_has_the_one_of_its_kind(self) -> None:
        members = [jwk_of(new_key(name), name) for name in ("RS256", "ES256", "ES384", "ES512", "EdDSA")]
        assert kept(*members) == {member["kid"]: member["kid"] for member in members}

    def test_a_token_names_its_keys_algorithm_and_no_other(
        self, settings: Settings, provider: IdentityProvider
    ) -> None:
        _, key = provider.private["k1"]
        provider.private["k1"] = ("PS256", key)

        outcome = asyncio.run(read(settings, provider, provider.token("k1")))

        assert outcome == Refused("the token's alg is not its key's")

    def test_weak_foreign_private_and_ambiguous_keys_are_left_out(self) -> None:
        rsa, other, p256 = jwk_of(new_key("RS256"), "k"), jwk_of(new_key("RS256"), "k"), jwk_of(new_key("ES256"), "e")
        short = jwk_of(new_key("RS256", 1024), "k")
        bad: dict[str, Any] = {
            "short": short,
            "just too short": jwk_of(new_key("RS256", 2040), "k"),
            "exponent 3": {**rsa, "e": "Aw"},
            "exponent 1": {**rsa, "e": "AQ"},
            "exponent even": {**rsa, "e": "AQAA"},
            "huge": {**rsa, "n": base64.urlsafe_b64encode(b"\xff" * 2048).decode().rstrip("=")},
            "no modulus": {name: value for name, value in rsa.items() if name != "n"},
            "modulus of another alphabet": {**rsa, "n": "+/" + rsa["n"][2:]},
            "secret": {"kty": "oct", "kid": "k", "k": "c2VjcmV0"},
            "secret beside it": {**rsa, "k": "c2VjcmV0"},
            "private": {**rsa, "d": "AQAB"},
            "for encryption": {**rsa, "use": "enc"},
            "to sign with": {**rsa, "key_ops": ["sign"]},
            "operations of no kind": {**rsa, "key_ops": None},
            "alg HS256": {**rsa, "alg": "HS256"},
            "alg none": {**rsa, "alg": "none"},
            "alg of another kind": {**rsa, "alg": "ES256"},
            "alg of another curve": {**p256, "alg": "ES384"},
            "alg to encrypt with": {**rsa, "alg": "RSA-OAEP"},
            "alg that is no text": {**rsa, "alg": ["RS256"]},
            "not on its curve": {**p256, "y": p256["x"]},
            "curve of coins": {**p256, "crv": "secp256k1"},
            "curve that is no text": {**p256, "crv": ["P-256"]},
            "kind that is no text": {**rsa, "kty": ["RSA"]},
            "Ed448": {"kty": "OKP", "crv": "Ed448", "kid": "k", "x": "AAAA"},
            "X25519": {"kty": "OKP", "crv": "X25519", "kid": "k", "x": "A" * 43},
            "Ed25519, cut": {"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": "AAAA"},
            "no kid": {name: value for name, value in rsa.items() if name != "kid"},
            "kid of nothing": {**rsa, "kid": ""},
            "kid that is no text": {**rsa, "kid": 1},
            "no key": "k",
        }
        good = jwk_of(new_key("EdDSA"), "good")

        assert {name: kept(member, good) for name, member in bad.items()} == {name: {"good": "EdDSA"} for name in bad}
        assert kept(rsa, other, good) == {"good": "EdDSA"}
        assert kept(rsa, good, algorithms=("EdDSA",)) == {"good": "EdDSA"}

    @pytest.mark.parametrize(
        "content",
        [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": [], "keys": []}', b"\xef\xbb\xbf{}", b"<html>",
         json.dumps({"keys": [{}] * (MAX_KEYS + 1)}).encode()],
    )  # fmt: skip
    def test_what_is_no_key_set_is_refused(self, content: bytes) -> None:
        with pytest.raises(Malformed):
            parse_jwks(content, ASYMMETRIC_ALGORITHMS)


class TestClaims:
    @pytest.mark.parametrize(
        ("claims", "changes"),
        [
            ({}, {}),
            ({"aud": ["account", "golden"]}, {}),
            ({"iss": ISSUER, "role": ["developer"]}, {}),
            ({"realm": {"roles": ["eng", "users"]}}, {"role_claim": "realm.roles", "role_map": {"eng": "developer"}}),
            ({"https://x.invalid/role": "developer"}, {"role_claim": "https://x.invalid/role"}),
            ({"groups": ["a", "b"]}, {"role_claim": "groups", "role_map": {"a": "developer", "b": "developer"}}),
            ({"org": {"id": "t1"}, "tenant": "t2"}, {"tenant_claim": "org.id"}),
            ({"uti": "abc", "jti": ["x"]}, {"jti_claim": "uti"}),
        ],
        ids=str,
    )
    async def test_roles_and_tenants_are_read_where_the_settings_say(
        self, claims: dict[str, Any], changes: dict[str, Any], settings: Settings, provider: IdentityProvider
    ) -> None:
        outcome = await read(settings.model_copy(update=changes), provider, provider.token("k1", **claims))

        assert isinstance(outcome, Principal), outcome
        assert (outcome.sub, outcome.role, outcome.tenant) == ("ann@idp", "developer", "t1")
        assert (outcome.issuer, outcome.kid) == (ISSUER, "k1")

    @pytest.mark.parametrize(
        ("claims", "changes"),
        [
            ({"aud": "other"}, {}),
            ({"aud": ["other"]}, {}),
            ({"aud": []}, {}),
            ({"aud": ["golden", 1]}, {}),
            ({"aud": ["golden"] * 1000}, {}),
            ({"role": "owner"}, {}),
            ({"role": ["admin", "developer"]}, {}),
            ({"role": "admin"}, {"role_map": {"eng": "developer"}}),
            ({"role": ["users"]}, {"role_map": {"eng": "developer"}}),
            ({"realm": "x"}, {"role_claim": "realm.roles"}),
            ({"tenant": "*"}, {}),
            ({"tenant": ["t1"]}, {}),
            ({"tenant": None}, {}),
            ({"sub": None}, {}),
            ({"jti": None}, {}),
            ({"jti": "x"}, {"jti_claim": "uti"}),
            ({"iss": "golden"}, {}),
            ({"iss": ISSUER + "/"}, {}),
            ({"iat": 1}, {}),
            ({"exp": 10**12}, {}),
        ],
        ids=str,
    )
    async def test_what_they_do_not_say_clearly_is_refused(
        self, claims: dict[str, Any], changes: dict[str, Any], settings: Settings, provider: IdentityProvider
    ) -> None:
        outcome = await read(settings.model_copy(update=changes), provider, provider.token("k1", **claims))

        assert isinstance(outcome, Refused)

    async def test_a_type_is_one_of_the_settings(self, settings: Settings, provider: IdentityProvider) -> None:
        async def believed(kind: str | None, *types: str) -> bool:
            changed = settings.model_copy(update={"token_types": types}) if types else settings
            return isinstance(await read(changed, provider, provider.token("k1", {"typ": kind})), Principal)

        assert [await believed(kind) for kind in ("JWT", "at+jwt", "application/at+jwt")] == [True] * 3
        assert [await believed(kind) for kind in (None, "id_token", "logout+jwt")] == [False] * 3
        assert [await believed("JWT", "at+jwt"), await believed(None, "at+jwt", "-")] == [False, True]

    @pytest.mark.parametrize("name", ["jku", "jwk", "x5u", "x5c", "crit", "zip", "cty", "enc"])
    async def test_a_header_that_brings_or_points_to_keys_is_refused_and_nothing_is_fetched(
        self, name: str, settings: Settings, provider: IdentityProvider
    ) -> None:
        token = provider.token("k1", {name: provider.url})

        assert isinstance(await read(settings, provider, token), Refused)
        assert provider.asked == 1

    async def test_no_issuer_signs_for_another(self, settings: Settings, provider: IdentityProvider) -> None:
        own = ensure_signing_key(settings.keys_folder)
        # A provider that claims our key's id, and one that publishes our public key as its own.
        provider.add(own.kid, "EdDSA")
        provider.members.append({**public_jwk("ours", own.private.public_key())})
        provider.private["ours"] = ("EdDSA", own.private)

        def token(kid: str, issuer: str) -> str:
            return provider.token(kid, iss=issuer)

        ours = jwt.encode(provider_claims(int(time.time()), iss="golden"), own.private, "EdDSA", {"kid": own.kid})
        assert isinstance(await read(settings, provider, ours), Principal)
        assert isinstance(await read(settings, provider, token("k1", "golden")), UnknownKey)
        assert await read(settings, provider, token(own.kid, "golden")) == Refused("the token's signature is not valid")
        assert isinstance(await read(settings, provider, token("ours", "golden")), UnknownKey)
        provider.withdraw(own.kid)
        provider.private[own.kid] = ("EdDSA", own.private)
        assert isinstance(await read(settings, provider, token(own.kid, ISSUER)), UnknownKey)

    async def test_not_one_of_the_bad_tokens_is_believed_beside_a_provider(
        self, settings: Settings, provider: IdentityProvider
    ) -> None:
        cache = JwksCache(settings)
        await cache.refresh()
        now = int(time.time())
        own = Issuer(own_rules(settings), KeyFolder(settings))
        reader = TokenReader([own, Issuer(provider_rules(settings), cache)], clock=lambda: now)
        bad = bad_tokens(Forge(ensure_signing_key(settings.keys_folder), now))

        assert [name for name, token in bad.items() if not isinstance(reader.read(token), Refused)] == []


class TestSettings:
    @pytest.mark.parametrize(
        ("values", "named"),
        [
            ({"audience": ""}, "audience"),
            ({"audience": " "}, "audience"),
            ({"issuer": ""}, "issuer"),
            ({"algorithms": "none"}, "algorithms"),
            ({"algorithms": "RS256,HS256"}, "algorithms"),
            ({"algorithms": ""}, "algorithms"),
            ({"jwks_url": "https://idp.invalid/keys"}, "jwks_url"),
            ({"issuer": "x", "jwks_url": "http://idp.invalid/keys"}, "jwks_url"),
            ({"issuer": "x", "jwks_url": "http://127.0.0.1.evil.invalid/keys"}, "jwks_url"),
            ({"issuer": "x", "jwks_url": "file:///etc/keys"}, "jwks_url"),
            ({"issuer": "x", "jwks_url": "https://user:secret@idp.invalid/keys"}, "jwks_url"),
            ({"issuer": "x", "jwks_url": "idp.invalid"}, "jwks_url"),
            ({"issuer": "x", "jwks_url": ""}, "jwks_url"),
            ({"role_claim": ""}, "role_claim"),
            ({"role_map": "engineers"}, "role_map"),
        ],
        ids=str,
    )
    def test_what_is_unsafe_is_refused_by_name(self, values: dict[str, Any], named: str) -> None:
        with pytest.raises(ValidationError, match=named) as refused:
            Settings(**values)
        assert "secret" not in str(refused.value.errors(include_input=False))

    def test_a_role_that_there_is_not_is_named(self) -> None:
        settings = Settings(role_map="engineers=developer,bosses=owner")
        with pytest.raises(SettingsError, match="GOLDEN_ROLE_MAP: 'owner' is no role"):
            provider_rules(settings)

    def test_debug_logs_are_for_this_machine_only(self) -> None:
        check_exposure(Settings(log_level="debug"))
        check_exposure(Settings(log_level="info", gateway_host="192.0.2.1"))
        with pytest.raises(SettingsError, match="GOLDEN_LOG_LEVEL"):
            check_exposure(Settings(log_level="debug", gateway_host="192.0.2.1"))

    def test_our_own_tokens_keep_their_issuer_beside_a_provider(self) -> None:
        assert Settings(issuer="mine").own_issuer == "mine"
        beside = Settings(issuer=ISSUER, jwks_url="https://idp.invalid/keys")
        assert (beside.own_issuer, own_rules(beside).issuer, provider_rules(beside).issuer) == (
            "golden",
            "golden",
            ISSUER,
        )
