"""`golden keys`: the key ring, for whoever can write its file; `golden ui`: what it sealed, in a browser."""

import json
import sys
import webbrowser
from typing import Annotated

import typer

from gateway.cli_settings import read_settings

keys = typer.Typer(help="The keys that encrypt payloads and columns.", no_args_is_help=True)


@keys.command("rotate")
def rotate() -> None:
    """Add a key and use it from now on; the others still open what they sealed. Prints the new key's id."""
    from schema import keyring

    print(keyring.rotate(read_settings().keyring_file))


@keys.command("list")
def show(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the ids of all keys, the oldest first, and which one is used; never a key itself."""
    from schema.keyring import KeyRing

    found = KeyRing(read_settings().keyring_file).keys
    if as_json:
        shown = [{"key_id": key.key_id, "made": key.made, "active": key.active} for key in found]
        print(json.dumps({"items": shown}))
        return
    for key in found:
        print(f"{key.key_id}  {key.made}  {'active' if key.active else 'opens only'}")


def open_ui(
    end: Annotated[bool, typer.Option("--end", help="End every session of yours instead.")] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in this machine's browser.")] = True,
) -> None:
    """Open the Temporal UI with everything readable: prints a link that works once, for a minute."""
    from gateway.client import GatewayClient

    client = GatewayClient(read_settings())
    if end:
        print(f"{client.post('/ui-sessions/end')['ended']} ended")
        return
    url = client.post("/ui")["url"]
    print(url)
    if browser and sys.stdout.isatty():
        webbrowser.open(url)


def register(app: typer.Typer) -> None:
    """Add these commands to an application."""
    app.add_typer(keys, name="keys")
    app.command("ui")(open_ui)
