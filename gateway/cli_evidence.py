"""`golden evidence ID` fetches the evidence of a task, `golden evidence verify FILE` checks it without the stack."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.cli_settings import read_settings
from gateway.client import CliError, ExitCode, GatewayClient, task_path
from gateway.evidence_check import MOST_BYTES, Verification, verify
from gateway.terminal import line
from schema.keys import from_jwk, thumbprint
from schema.texts import canonical_json

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def evidence(
    what: Annotated[str, typer.Argument(metavar="ID | verify FILE", help="The task's id; or verify and a file.")],
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The bundle to verify.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the bundle into a new file.")] = None,
    content: Annotated[
        bool, typer.Option("--with-content", help="With the texts, decrypted; needs codec:decode.")
    ] = False,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="verify: our key: a JWK set, a PEM file, or the key's id."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch a task's signed evidence, or verify a bundle offline.

    verify: exit code 0 sound and signed by KEY; 5 sound, but no KEY was given to compare; 1 not sound; 2 usage.
    """
    if what == "verify":
        if file is None or content or out is not None:
            raise CliError("say: golden evidence verify FILE [--key KEY]", ExitCode.USAGE)
        _verify(file, key, as_json=as_json)
    if file is not None or key is not None:
        raise CliError("say: golden evidence ID [--out FILE] [--with-content]", ExitCode.USAGE)
    query: dict[str, Any] = {"content": "true"} if content else {}
    bundle = GatewayClient(read_settings(), patient=True).get(f"{task_path(what)}/evidence", **query)
    text = canonical_json(bundle) + "\n"
    if out is None:
        print(text, end="")
        return
    try:
        with out.open("x", encoding="utf-8") as target:
            target.write(text)
    except OSError as error:
        raise CliError(f"--out: {line(out)}: {error.strerror}", ExitCode.USAGE) from error
    kid = str(bundle["signature"]["kid"])
    told = {"file": str(out), "kid": kid, "task_id": what.strip()}
    print(json.dumps(told) if as_json else f"{line(out)}: signed by key {line(kid)}")


def _verify(file: Path, key: str | None, *, as_json: bool) -> None:
    try:
        with file.open("rb") as source:
            content = source.read(MOST_BYTES + 1)
    except OSError as error:
        raise CliError(f"{line(file)}: {error.strerror}", ExitCode.USAGE) from error
    found = verify(content, None if key is None else _trusted(key))
    if as_json:
        checks = [{"name": c.name, "ok": not c.faults, "faults": c.faults, "note": c.note} for c in found.checks]
        print(json.dumps({"sound": found.sound, "trusted": found.trusted, "kid": found.kid, "checks": checks}))
    else:
        _show(found)
    raise typer.Exit(ExitCode.NOT_ACCEPTED if not found.sound else 0 if found.trusted else ExitCode.NOT_FINAL)


def _show(found: Verification) -> None:
    for check in found.checks:
        print(f"{'BAD ' if check.faults else 'ok  '}{check.name}{': ' if check.note else ''}{line(check.note)}")
        for fault in check.faults[:20]:
            print(f"      {line(fault)}")
    if not found.sound:
        print("NOT verified")
    elif found.trusted:
        print(f"verified: signed by key {line(found.kid)}")
    else:
        print(f"sound, but signed by key {line(found.kid)}, which you have to compare (--key)")


def _trusted(named: str) -> frozenset[str]:
    """The thumbprints of a JWK set, a JWK or a PEM public key in a file; else what was named is one itself."""
    path = Path(named)
    if not path.exists():
        if len(named) == 43 and named.replace("-", "").replace("_", "").isalnum():
            return frozenset({named})
        raise CliError(f"--key: {line(named)} is no file and no key's id", ExitCode.USAGE)
    try:
        content = path.read_bytes()
        if content.lstrip().startswith(b"-----"):
            key = load_pem_public_key(content)
            if not isinstance(key, Ed25519PublicKey):
                raise ValueError
            return frozenset({thumbprint(key)})
        document = json.loads(content)
        jwks = document.get("keys", [document])
        return frozenset(thumbprint(from_jwk(each)) for each in jwks)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CliError(f"--key: {line(named)} has no Ed25519 public key", ExitCode.USAGE) from error


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(evidence)
