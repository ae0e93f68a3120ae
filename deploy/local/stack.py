"""The one-machine stack: which parts, in which order, and how they end."""

import asyncio
import importlib
import os
import signal
import sys
import time
from functools import partial

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from deploy.local import lock, model_server, ports, postgres, services, temporal
from deploy.local.process import Part, PartFailed, PartRefused, Process, Report, print_line
from schema import migrate
from schema.errors import SettingsError
from schema.settings import Settings

DONE, USAGE, UNREACHABLE = 0, 2, 4

PORTS_FREED_WITHIN = 5.0
"""After a kill -9 the kernel ends the parts; so long, in seconds, their ports may still be taken."""


class Stack:
    """The parts of one GOLDEN_HOME."""

    def __init__(self, settings: Settings, report: Report = print_line) -> None:
        self._settings = settings
        self._report = report
        self._running: list[Process] = []

    async def start(self) -> None:
        """Start every part that isn't somewhere else; raises PartFailed."""
        storage = [self._start_database()]
        if self._settings.temporal_address is None:
            storage.append(self._start(temporal.part(self._settings)))
        if ports.needs_model(self._settings):
            storage.append(self._start(model_server.part(self._settings)))
        await asyncio.gather(*storage)
        _write_token(self._settings)
        await asyncio.gather(
            self._start(services.worker(self._settings)), self._start(services.gateway(self._settings))
        )
        for process in self._running:  # one may have ended while another was starting
            process.check()

    async def ended(self) -> None:
        """Wait for ever, or until a part has refused its settings; raises PartRefused."""
        await asyncio.gather(*(process.ended() for process in self._running))

    async def stop(self) -> None:
        """Stop what runs, the last first."""
        while self._running:
            process = self._running.pop()
            await process.stop()
            self._report(process.part.name, "stopped")

    async def _start(self, part: Part) -> None:
        process = Process(part, self._settings.logs_folder, self._report)
        self._running.append(process)
        await process.start()

    async def _start_database(self) -> None:
        if self._settings.database_url is None:
            await postgres.prepare(self._settings)
            await self._start(postgres.part(self._settings))
        try:
            if self._settings.database_url is None:
                await postgres.set_up(self._settings)
            elif self._settings.database_migrator_url is not None:
                await migrate.upgrade_async(self._settings.database("migrator"))
        except (psycopg.Error, SQLAlchemyError) as error:
            raise PartFailed("database", "could not be brought up to date", str(error).splitlines()[:20]) from error


def run(settings: Settings) -> int:
    """Run the stack in the foreground until a signal; the exit code of `golden up`.

    2 is for settings that can't be used, ours or a part's, also when a part finds out only later; 4 is for a part
    that doesn't come up.
    """
    try:
        with lock.holding(settings):
            _refuse_half_restored(settings)
            _wait_for_ports(settings)
            return asyncio.run(_serve(settings))
    except (lock.AlreadyRunning, SettingsError) as error:
        print(error, file=sys.stderr, flush=True)
        return USAGE
    except KeyboardInterrupt:  # before there is anything to stop
        return DONE


async def _serve(settings: Settings) -> int:
    told = {port.setting: port.number for port in reversed(ports.needed(settings))}
    lock.describe(settings, ready=False, ports=told)
    stack = Stack(settings)
    _on_signals_cancel()
    try:
        await stack.start()
        announce(settings)
        lock.describe(settings, ready=True, ports=told)
        await stack.ended()
        return DONE
    except asyncio.CancelledError:
        print("stopping", flush=True)
        return DONE
    except PartFailed as failure:
        print("\n".join((f"{failure}; its last lines:", *failure.lines)), file=sys.stderr, flush=True)
        return USAGE if isinstance(failure, PartRefused) else UNREACHABLE
    finally:
        await stack.stop()
        lock.clear(settings)


def announce(settings: Settings) -> None:
    """Say where everything is, then `ready`."""
    print_line("gateway", settings.gateway_url)
    print_line("API", f"{settings.gateway_url}/docs")
    if settings.temporal_address is None:
        print_line("Temporal UI", f"golden ui (http://127.0.0.1:{settings.temporal_ui_port} shows it encrypted)")
    print_line("token", "golden token issue --role developer --tenant default")
    print("ready", flush=True)


def _write_token(settings: Settings) -> None:
    """Make the CLI's token. Imported late: the gateway's modules are needed by nothing else here."""
    importlib.import_module("gateway.tokens").write_local_token(settings)


def _refuse_half_restored(settings: Settings) -> None:
    if (settings.home / "RESTORING").exists():
        raise SettingsError(f"a restore of {settings.home} was not finished: run `golden restore` again")


def _wait_for_ports(settings: Settings) -> None:
    """Refuse ports that are taken, after a moment for those of a stack that was killed."""
    end = time.monotonic() + (PORTS_FREED_WITHIN if lock.left_over(settings) else 0)
    while taken := ports.conflicts(settings):
        if time.monotonic() >= end:
            raise SettingsError("\n".join(taken))
        time.sleep(0.1)


def _on_signals_cancel() -> None:
    """The first signal stops the stack in order; the second ends us, and the kernel ends the parts."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - for the type checker
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupted() -> None:
        task.cancel()
        for number in signals:
            loop.add_signal_handler(number, partial(os._exit, UNREACHABLE))

    for number in signals:
        loop.add_signal_handler(number, interrupted)
