"""`golden prove`: the table of the ten guarantees."""

import asyncio
import json as json_format
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.local.commands import UNREACHABLE, read_settings

if TYPE_CHECKING:
    from deploy.prove.proof import Proof

USAGE, INTERRUPTED = 2, 130
WIDTH = 120


def prove(
    only: Annotated[list[str] | None, typer.Option("--only", help="Only this guarantee; may be given again.")] = None,
    gentle: Annotated[bool, typer.Option("--gentle", help="Kill nothing: what would is not shown.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Attack this stack once for each of the ten guarantees, and say what held.

    With tenants of its own (prove-…), which it leaves empty. On the stack of this GOLDEN_HOME it kills the worker and
    the gateway once, which the stack brings back; --gentle leaves that out. Exit code: 0 all held, 1 one did not,
    2 usage, 4 cannot reach, 5 one could not be tried.
    """
    import structlog

    from deploy.prove import runner
    from deploy.prove.proof import Unreachable

    # What the parts that are attacked in this process log is no part of the answer, which may be JSON.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    chosen = tuple(only or ())
    unknown = sorted(set(chosen) - set(runner.NAMES))
    if unknown:
        typer.echo(f"golden: --only is one of {', '.join(runner.NAMES)}", err=True)
        raise typer.Exit(USAGE)
    if not gentle and (not chosen or "failures" in chosen):
        typer.echo("golden: kills the worker and the gateway of this stack once (--gentle: does not)", err=True)

    def report(proof: "Proof") -> None:
        typer.echo(f"golden: {proof.threat}: {proof.standing} ({proof.seconds:.1f} s)", err=True)

    try:
        proofs = asyncio.run(runner.prove_all(read_settings(), chosen, gentle=gentle, report=report))
    except Unreachable:
        typer.echo("golden: cannot reach the gateway: is the stack up? (golden up)", err=True)
        raise typer.Exit(UNREACHABLE) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if json:
        typer.echo(json_format.dumps({"proofs": [proof.as_json() for proof in proofs]}, indent=2))
    else:
        _show(proofs)
    sys.stdout.flush()
    sys.stderr.flush()
    # Temporal's client keeps threads that can crash the interpreter's exit.
    os._exit(runner.exit_code(proofs))


def register(app: typer.Typer) -> None:
    """Add this command to an application."""
    app.command()(prove)


def _show(proofs: "list[Proof]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    table = Table("threat", "what was done", "held", "figure", "s", box=box.SIMPLE_HEAD, show_lines=True)
    shown = {"held": "held", "not held": "NOT HELD", "not shown": "not shown"}
    for proof in proofs:
        table.add_row(proof.threat, proof.done, shown[proof.standing], proof.figure, f"{proof.seconds:.1f}")
    console.print(table, markup=False)
    held = sum(proof.held is True for proof in proofs)
    console.print(f"{held} of {len(proofs)} held", highlight=False)
