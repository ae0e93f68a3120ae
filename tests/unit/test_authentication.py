"""Which tokens are believed and which are not, one thing wrong at a time."""

import time
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from jwt.types import Options

from gateway.authorisation import Principal
from gateway.strict_json import parse_json
from gateway.token_form import read_form
from gateway.token_keys import KeyFolder
from gateway.token_reader import Issuer, Refused, TokenReader
from gateway.token_rules import own_rules
from gateway.tokens import issue_token, write_local_token
from schema.keys import ensure_signing_key, public_jwk, thumbprint
from schema.settings import Settings
from tests.support.bad_tokens import bad_tokens
from tests.support.forge import Forge, good_tokens

NOW = 1_800_000_000
"""When the forged tokens are made and read."""

ALL_OPTIONS: Options = {"require": ["iss", "aud", "sub", "exp", "iat", "jti", "role", "tenant"], "strict_aud": True}
LET_THROUGH = """
typ missing|typ 'JWE'|typ 'id_token'|typ 1
header jwk|header jku|header x5u|header x5c|header cty|header zip|header enc|header p2c|b64 true and critical
sub ''|sub ' ann'!|sub 'a\\nb'!|sub '\\ud800'!|jti ''|jti '\\x00'!|role 'root'!|tenant '../t1'!|tenant ['*']!
iat True|iat 0|iat -1|iat 1e3|exp 1000000000000000000|exp 253402300800|a number of 5,000 digits|nbf -1|nbf False
expires as it is issued|expires before it is issued|expires before it is valid|two years long|too long
header: a member twice|claims: a member twice|claims: a member twice, escaped
header: a byte-order mark|claims: a byte-order mark|header: UTF-16|claims: UTF-16|claims: UTF-32
claims: half of a surrogate pair|claims: NaN|claims: an endless number|claims: deep lists
"""
"""What docs/security.md says of PyJWT by itself."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def reader(settings: Settings) -> TokenReader:
    return TokenReader([Issuer(own_rules(settings), KeyFolder(settings))], clock=lambda: NOW)


@pytest.fixture(scope="module")
def reader_of_today(settings: Settings) -> TokenReader:
    return TokenReader([Issuer(own_rules(settings), KeyFolder(settings))])


@pytest.fixture(scope="module")
def forge(settings: Settings) -> Forge:
    return Forge(ensure_signing_key(settings.keys_folder), NOW)


@pytest.fixture(scope="module")
def bad(forge: Forge) -> dict[str, str]:
    return bad_tokens(forge)


def test_an_issued_token_is_believed(settings: Settings, reader_of_today: TokenReader) -> None:
    token = issue_token(settings, sub="ann", role="developer", tenant="t1", ttl=timedelta(hours=1))

    outcome = reader_of_today.read(token)

    assert isinstance(outcome, Principal)
    assert (outcome.sub, outcome.role, outcome.tenant, outcome.issuer) == ("ann", "developer", "t1", "golden")
    assert outcome.expires_at - outcome.issued_at == 3600


def test_what_the_forge_makes_with_nothing_wrong_is_believed(forge: Forge, reader: TokenReader) -> None:
    refused = {name: reader.read(token) for name, token in good_tokens(forge).items()}

    assert [name for name, outcome in refused.items() if not isinstance(outcome, Principal)] == []


def test_not_one_of_hundreds_of_bad_tokens_is_believed(bad: dict[str, str], reader: TokenReader) -> None:
    believed = [name for name, token in bad.items() if not isinstance(reader.read(token), Refused)]

    assert believed == []
    assert len(set(bad.values())) > 450


def test_a_refusal_quotes_nothing_that_the_token_says(forge: Forge, reader: TokenReader) -> None:
    for changes in ({"sub": "MARK\n"}, {"role": "MARK"}, {"tenant": "MARK"}, {"iss": "MARK"}, {"aud": "MARK"}):
        outcome = reader.read(forge.token(claims=changes))
        assert isinstance(outcome, Refused)
        assert "MARK" not in outcome.reason


def test_pyjwt_alone_lets_through_what_the_documentation_says(forge: Forge) -> None:
    # It always reads the clock on the wall.
    today = Forge(forge.key, int(time.time()))
    let_through = {name for name, token in bad_tokens(today).items() if _pyjwt_takes(token, today)}

    named = [name for line in LET_THROUGH.strip().splitlines() for name in line.split("|")]
    assert [name for name in named if name not in let_through] == []
    assert len(let_through) > 150


def test_pyjwt_takes_the_good_ones_so_that_its_refusals_have_the_same_cause(forge: Forge) -> None:
    today = Forge(forge.key, int(time.time()))
    assert [name for name, token in good_tokens(today).items() if not _pyjwt_takes(token, today)] == []


def _pyjwt_takes(token: str, forge: Forge) -> bool:
    public = forge.key.private.public_key()
    try:
        # More leeway than ours, for the time that this test may take.
        jwt.decode(token, public, ["EdDSA"], ALL_OPTIONS, audience="golden", issuer="golden", leeway=60)
    except jwt.PyJWTError:
        return False
    return True


def test_the_little_skew_of_clocks_that_is_forgiven_ends_at_30_seconds(settings: Settings, forge: Forge) -> None:
    token = forge.token(claims={"iat": NOW, "exp": NOW + 10})

    def read_at(now: float) -> Principal | Refused:
        return TokenReader([Issuer(own_rules(settings), KeyFolder(settings))], clock=lambda: now).read(token)

    assert isinstance(read_at(NOW - 30), Principal)
    assert isinstance(read_at(NOW + 39), Principal)
    assert read_at(NOW - 31) == Refused("the token is not valid yet")
    assert read_at(NOW + 40) == Refused("the token has expired")


def test_a_token_of_an_issuer_that_nobody_named_is_refused(forge: Forge, reader: TokenReader) -> None:
    outcome = reader.read(forge.token(claims={"iss": "https://idp.invalid/"}))

    assert outcome == Refused("the token's iss is not an issuer that is believed here")


def test_the_local_token_is_an_admins_of_the_default_tenant(settings: Settings, reader_of_today: TokenReader) -> None:
    write_local_token(settings)

    outcome = reader_of_today.read(settings.token_file.read_text().strip())

    assert isinstance(outcome, Principal)
    assert (outcome.sub, outcome.role, outcome.tenant) == ("local", "admin", "default")


class TestPublicVectors:
    """The examples of the RFCs: their form is read, their signatures verify, and none of them is a token of ours."""

    ED25519 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    ED25519_JWS = (
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    )
    """RFC 8037, appendix A.2 and A.4."""

    HS256 = (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    )
    """RFC 7515, appendix A.1; RFC 7519, section 3.1."""

    ES256_JWK = {
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }
    ES256 = (
        "eyJhbGciOiJFUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    )
    """RFC 7515, appendix A.3."""

    NONE = (
        "eyJhbGciOiJub25lIn0."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    )
    """RFC 7519, section 6.1."""

    JWE = (
        "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGe."
        "48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6ji.XFBoMYUZodetZdvTiFvSkQ"
    )
    """RFC 7516, appendix A.1, with its key cut."""

    def test_the_signatures_of_the_rfcs_verify(self) -> None:
        assert jwt.PyJWS().decode(self.ED25519_JWS, jwt.PyJWK(self.ED25519), ["EdDSA"]) == b"Example of Ed25519 signing"
        key = jwt.PyJWK({"kty": "EC", "crv": "P-256", **self.ES256_JWK}, "ES256")
        assert b'"iss":"joe"' in jwt.PyJWS().decode(self.ES256, key, ["ES256"])

    def test_the_thumbprint_is_the_one_of_rfc_8037(self) -> None:
        public = jwt.PyJWK(self.ED25519).key
        assert isinstance(public, ed25519.Ed25519PublicKey)
        assert thumbprint(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        assert public_jwk("x", public)["x"] == self.ED25519["x"]

    @pytest.mark.parametrize("name", ["ED25519_JWS", "HS256", "ES256", "NONE", "JWE"])
    def test_none_of_them_is_a_token_here(self, name: str, reader: TokenReader) -> None:
        assert reader.read(getattr(self, name)) == Refused("the token is malformed")
        assert read_form(getattr(self, name)) is None

    def test_the_claims_of_rfc_7519_are_read_as_they_are_written(self) -> None:
        claims = parse_json(b'{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}')
        assert claims == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}


def test_a_key_of_another_kind_in_the_folder_stops_it(tmp_path: Path) -> None:
    from schema.errors import SettingsError

    settings = Settings(home=tmp_path)
    settings.keys_folder.mkdir(mode=0o700)
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (settings.keys_folder / "signing.pem").write_bytes(pem)
    (settings.keys_folder / "signing.pem").chmod(0o600)

    with pytest.raises(SettingsError, match="not an Ed25519 key"):
        KeyFolder(settings)
