"""`golden backup`, `golden backup verify` and `golden restore`.

Every `golden` command loads this module, so each command here imports what it needs only when it runs.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Copy all that a restore needs into a folder, while everything runs.")


@app.callback(invoke_without_command=True)
def backup(
    context: typer.Context,
    to: Annotated[Path | None, typer.Option("--to", help="A new folder.")] = None,
    without_keys: Annotated[bool, typer.Option("--without-keys", help="Leave the keys out: kept elsewhere.")] = False,
) -> None:
    """Copy the book, Temporal's store, keys and anchors into a folder. It is as secret as the keys in it."""
    if context.invoked_subcommand is not None:
        return
    if to is None:
        raise typer.BadParameter("name a new folder", param_hint="--to")
    from deploy.local.commands import read_settings
    from deploy.recovery.backup import back_up

    os.umask(0o077)
    manifest = back_up(read_settings(), to.absolute(), with_keys=not without_keys)
    megabytes = sum(file.size for file in manifest.files) / 1e6
    seconds = (manifest.ended_at - manifest.began_at).total_seconds()
    typer.echo(f"{to}: {len(manifest.files)} files, {megabytes:.1f} MB, {seconds:.1f} s")
    typer.echo(f"manifest {manifest.digest}")
    if manifest.engine is None:
        typer.echo("without Temporal's store: it is on a server of its own")
    if not manifest.keys:
        typer.echo("without keys: nothing of it can be read without them, so keep a copy of theirs")


@app.command("verify")
def verify(folder: Annotated[Path, typer.Argument(help="A backup.")]) -> None:
    """Say whether a backup is whole and as it was made."""
    from deploy.recovery.manifest import verified

    manifest = verified(folder.absolute())
    typer.echo(f"whole: {len(manifest.files)} files, of {manifest.began_at.isoformat(timespec='seconds')}")
    typer.echo(f"manifest {manifest.digest}")


def restore(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="A backup.")],
    until: Annotated[str | None, typer.Option("--until", help="A time, or `backup`: without the archive.")] = None,
    temporal_from: Annotated[Path | None, typer.Option("--temporal-from", help="Temporal's store of another.")] = None,
    without_temporal: Annotated[
        bool, typer.Option("--without-temporal", help="Temporal's store is lost: all begins from the book.")
    ] = False,
    keys: Annotated[Path | None, typer.Option("--keys", help="The keys' folder, of a backup without keys.")] = None,
    archive: Annotated[Path | None, typer.Option("--archive", help="The archive, instead of GOLDEN_ARCHIVE.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Move what is in GOLDEN_HOME aside.")] = False,
    accept_loss: Annotated[bool, typer.Option("--accept-loss", help="Restore up to a gap of the archive.")] = False,
) -> None:
    """Bring a stack back from a backup and the archive; then `golden up`."""
    from deploy.local.commands import read_settings
    from deploy.local.lock import AlreadyRunning
    from deploy.local.process import PartFailed
    from deploy.recovery.manifest import RecoveryRefused
    from deploy.recovery.restore import AS_BACKED_UP, Restored, Wanted
    from deploy.recovery.restore import restore as bring_back

    os.umask(0o077)
    until = until if until in (None, AS_BACKED_UP) else _time(until)
    whole = [path and path.absolute() for path in (temporal_from, keys, archive)]
    wanted = Wanted(source.absolute(), until, whole[0], without_temporal, whole[1], whole[2], force, accept_loss)
    settings = read_settings()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        done: Restored = bring_back(settings, wanted)
    except AlreadyRunning as error:
        raise RecoveryRefused(str(error)) from None
    except PartFailed as failure:
        raise RecoveryRefused("\n".join((f"{failure}; its last lines:", *failure.lines[-8:]))) from None
    typer.echo(f"epoch {done.epoch}: the book is as of {done.book_at.isoformat(timespec='milliseconds')}")
    at = "empty" if done.engine_at is None else f"as of {done.engine_at.isoformat(timespec='milliseconds')}"
    told = ", ".join(f"{count} {what}" for what, count in sorted(done.workflows.items())) or "none open"
    typer.echo(f"Temporal's store is {at}; workflows: {told}")
    for tenant, count in done.lost.items():
        if count:
            typer.echo(f"audit chain {tenant}: {count} anchored records lost")
    if done.moved is not None:
        typer.echo(f"what was in {settings.home} is in {done.moved}")
    typer.echo("tokens revoked after that time are valid again: revoke them, or `golden keys rotate` and forget")
    typer.echo(f"restored in {done.seconds:.1f} s")
    # Temporal's client keeps threads that can crash the interpreter's exit.
    sys.stdout.flush()
    os._exit(0)


def _time(unverified_time: str) -> str:
    from datetime import UTC, datetime

    try:
        at = datetime.fromisoformat(unverified_time)
    except ValueError:
        raise typer.BadParameter("a time such as 2026-01-31T12:00:00Z, or `backup`", param_hint="--until") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()


def register(application: typer.Typer) -> None:
    """Add these commands to an application."""
    application.add_typer(app, name="backup")
    application.command()(restore)
