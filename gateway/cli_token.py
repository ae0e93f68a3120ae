"""The commands about access tokens: issue, list, revoke, rotate, keys."""

import json
import os
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from gateway.authorisation import Role
from gateway.cli_settings import read_settings
from gateway.client import CliError, ExitCode, GatewayClient
from gateway.terminal import console, line, plain, print_table
from schema.keys import SIGNING_KEY
from schema.settings import Settings

ROUTE = "/v1/tokens"

Json = Annotated[bool, typer.Option("--json", help="Print the HTTP API's JSON.")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="Another tenant, or * for the platform.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; it is recorded.")]


class RoleName(StrEnum):
    """The roles, for the command line."""

    ADMIN = "admin"
    OPERATOR = "operator"
    DEVELOPER = "developer"
    APPROVER = "approver"
    VIEWER = "viewer"


tokens = typer.Typer(help="Access tokens, and the keys that sign them.", no_args_is_help=True)


@tokens.command("issue")
def issue(
    role: Annotated[RoleName, typer.Option("--role", help="What its holder may do.")],
    tenant: Annotated[str, typer.Option("--tenant", help="The one tenant, or * for the platform.")],
    sub: Annotated[str, typer.Option("--sub", help="Who its holder is.")] = "cli",
    ttl: Annotated[str, typer.Option("--ttl", help="How long it lasts: digits and s, m, h or d.")] = "12h",
) -> None:
    """Print a new token, alone on standard output: with the keys in GOLDEN_HOME, else as an admin at the gateway."""
    from gateway.tokens import check_subject, issue_token, parse_ttl

    _check_tenant(tenant)
    try:
        option = "--sub"
        check_subject(sub)
        option = "--ttl"
        life = parse_ttl(ttl)
    except ValueError as error:
        raise CliError(f"{option}: {error}", ExitCode.USAGE) from None
    settings = read_settings()
    known: Role = role.value
    if _asks_gateway(settings):
        body = {"sub": sub, "role": known, "tenant": tenant, "ttl": ttl}
        print(_client(settings, tenant).post(ROUTE, body)["token"])
    else:
        is_new = not (settings.keys_folder / SIGNING_KEY).exists()
        print(issue_token(settings, sub=sub, role=known, tenant=tenant, ttl=life))
        if is_new:
            told = f"made a new key in {settings.home}: a gateway of another GOLDEN_HOME does not know it"
            console(stderr=True).print(told, soft_wrap=True)


@tokens.command("list")
def list_tokens(
    sub: Annotated[str | None, typer.Option("--sub", help="Only those of this subject.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="How many at most.")] = 50,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """List the tokens that are known, those recorded last first."""
    query: dict[str, Any] = {"limit": limit, **({"sub": sub} if sub is not None else {})}
    page = _client(read_settings(), tenant).get(ROUTE, **query)
    if as_json:
        print(json.dumps(page))
        return
    table = Table("token", "for", "role", "issued", "expires", "by", "revoked", box=None, pad_edge=False)
    for item in page["items"]:
        revoked = item["revoked_at"]
        table.add_row(
            plain(line(item["jti"])),
            plain(line(item["sub"])),
            plain(line(item["role"])),
            _shown(datetime.fromtimestamp(item["iat"]).astimezone()),
            _shown(datetime.fromtimestamp(item["exp"]).astimezone()),
            plain(line(item["issued_by"] or "(offline)")),
            _shown(datetime.fromisoformat(revoked).astimezone()) if revoked else "",
        )
    print_table(console(), table)


@tokens.command("revoke")
def revoke(
    token_id: Annotated[str | None, typer.Argument(metavar="[JTI]", help="The id of one token.")] = None,
    sub: Annotated[str | None, typer.Option("--sub", help="All that this subject has now.")] = None,
    issued_before: Annotated[
        str | None, typer.Option("--issued-before", help="All that were issued before, e.g. 2026-11-23T10:00:00Z.")
    ] = None,
    reason: Reason = None,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Revoke one token, or all of a subject, or all that were issued before a time; within seconds everywhere."""
    if (token_id is None) == (sub is None and issued_before is None):
        raise CliError("name one token, or use --sub or --issued-before", ExitCode.USAGE)
    given = {"jti": token_id, "sub": sub, "issued_before": issued_before, "reason": reason}
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items() if value is not None)
    revoked = _client(read_settings(), tenant).delete(f"{ROUTE}?{query}")
    print(json.dumps(revoked) if as_json else f"revoked: {line(token_id or sub or 'all')}, seen already or not")


@tokens.command("rotate")
def rotate(
    forget: Annotated[str | None, typer.Option("--forget", metavar="KID", help="End a retired key instead.")] = None,
) -> None:
    """Sign with a new key from now on; tokens of the old one stay valid until they expire or it is forgotten."""
    from gateway.tokens import write_local_token
    from schema import keys

    settings = read_settings()
    if forget is not None:
        keys.forget(settings.keys_folder, forget)
        print(f"forgotten: {line(forget)}")
    else:
        print(keys.rotate(settings.keys_folder).kid)
    if settings.token_file.exists():
        # The command line's own token must not end with the key that signed it.
        write_local_token(settings)


@tokens.command("keys")
def list_keys() -> None:
    """List the ids of the keys in GOLDEN_HOME whose tokens are accepted; the first signs."""
    from schema import keys

    folder = read_settings().keys_folder
    signing = keys.ensure_signing_key(folder).kid
    print(f"{signing} signs")
    for kid in keys.read_public_keys(folder):
        if kid != signing:
            print(f"{kid} retired")


def _asks_gateway(settings: Settings) -> bool:
    """Whether the gateway has to issue: the keys are not here, but a token to ask with is."""
    if os.access(settings.keys_folder / SIGNING_KEY, os.R_OK):
        return False
    return settings.token is not None or settings.token_file.exists()


def _client(settings: Settings, tenant: str | None) -> GatewayClient:
    """Speaks for the tenant that was named; for the one of the settings otherwise."""
    if tenant is not None:
        _check_tenant(tenant)
        settings = settings.model_copy(update={"tenant": tenant})
    return GatewayClient(settings)


def _check_tenant(tenant: str) -> None:
    from gateway.tokens import is_tenant

    if not is_tenant(tenant):
        raise CliError("--tenant: must be lower-case letters, digits and hyphens, at most 63, or *", ExitCode.USAGE)


def _shown(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def register(application: typer.Typer) -> None:
    """Add these commands."""
    application.add_typer(tokens, name="token")
