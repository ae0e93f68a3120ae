"""The container engine of one machine: installed, running, and with gVisor under a name of ours."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import docker

from deploy.checks import Check
from deploy.sandbox import daemon, image
from schema.errors import SettingsError
from schema.settings import Settings

PACKAGES = {"dockerd": "docker.io", "runsc": "runsc", "debootstrap": "debootstrap"}
CONFIGURATION = Path("/etc/docker/daemon.json")
PID_FILE = Path("/var/run/docker.pid")
LOG = Path("/var/log/golden-dockerd.log")
SYSTRAP_SINCE = 20230901
"""Of that month is the first runsc whose default platform is systrap; before it is untried or missing."""
SETUP = "python -m deploy.sandbox.setup"

Say = Callable[[str], None]


def connect(timeout: int = 10) -> docker.DockerClient:
    """A client of the engine that the environment names, or of the local one; SettingsError when none answers."""
    try:
        return daemon.connect(timeout)
    except daemon.NoDaemon as error:
        raise SettingsError(f"{error}. Start it, or as root on Debian or Ubuntu run `{SETUP}`") from error


def checks(settings: Settings) -> list[Check]:
    """What the sandbox needs of this machine, in the order in which to mend it."""
    try:
        client = connect()
    except SettingsError as error:
        problem, _, remedy = str(error).partition(". ")
        return [Check("docker", False, problem, remedy)]
    with closing(client):
        return [Check("docker", True), *_runtime_checks(client, settings), *image.checks(client, settings)]


def prepare(settings: Settings, say: Say) -> None:
    """Make the engine ready; does nothing that is done already. SettingsError tells what a person must do."""
    gvisor = settings.sandbox_isolation == "gvisor"
    if not _answers():
        _install(("dockerd",), say)
        start(say)
    if gvisor and not has_runtime(settings):
        if not daemon.address().startswith(daemon.UNIX):
            raise SettingsError(f"register runsc as {settings.sandbox_runtime} on the machine that DOCKER_HOST names")
        if os.geteuid() != 0:
            raise SettingsError(
                f"Docker has no runtime {settings.sandbox_runtime}: run `{SETUP}` as root, or register it"
            )
        _install(("runsc",), say)
        register(settings.sandbox_runtime, say)


def has_runtime(settings: Settings) -> bool:
    """Whether the engine knows gVisor under our name."""
    with closing(connect()) as client:
        return settings.sandbox_runtime in client.info().get("Runtimes", {})


def register(name: str, say: Say, configuration: Path = CONFIGURATION) -> None:
    """Add our runtime to the engine's configuration, beside whatever is there, and have it read without a restart."""
    runtime = {"path": _find("runsc"), "runtimeArgs": ["--network=none", f"--platform={runsc_platform()}"]}
    if merge_runtime(configuration, name, runtime):
        say(f"registered runsc as {name} in {configuration}")
    _reload()
    for _ in range(50):
        with closing(connect()) as client:
            if name in client.info().get("Runtimes", {}):
                return
        time.sleep(0.1)
    raise SettingsError(f"Docker did not take up the runtime {name}; its log tells why")


def merge_runtime(configuration: Path, name: str, runtime: dict[str, Any]) -> bool:
    """Write one runtime into the file, whole or not at all; False when it stands there already."""
    try:
        settings = json.loads(configuration.read_text() or "{}") if configuration.exists() else {}
        runtimes = settings.setdefault("runtimes", {})
        if runtimes.get(name) == runtime:
            return False
        runtimes[name] = runtime
    except (ValueError, AttributeError) as error:
        raise SettingsError(f"{configuration} is no JSON object of Docker's ({error}): mend it by hand") from error
    configuration.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=configuration.parent, delete=False) as file:
        file.write(json.dumps(settings, indent=2) + "\n")
    temporary = Path(file.name)
    temporary.chmod(configuration.stat().st_mode & 0o777 if configuration.exists() else 0o644)
    temporary.replace(configuration)
    return True


def runsc_platform(version: str | None = None) -> str:
    """The platform for this runsc: `systrap` came in 2023, `kvm` hangs on some machines, `ptrace` always works."""
    text = version if version is not None else _run([_find("runsc"), "--version"])
    date = re.search(r"\b(20\d{6})\b", text)
    return "systrap" if date and int(date[1]) >= SYSTRAP_SINCE else "ptrace"


def _runtime_checks(client: docker.DockerClient, settings: Settings) -> list[Check]:
    if settings.sandbox_isolation != "gvisor":
        weak = "GOLDEN_SANDBOX_ISOLATION=unsafe-runc: generated code shares the kernel of this machine"
        return [Check("isolation", True, weak)]
    if settings.sandbox_runtime in client.info().get("Runtimes", {}):
        return [Check("gvisor", True)]
    problem = f"Docker has no runtime named {settings.sandbox_runtime}, so no generated code can run"
    return [Check("gvisor", False, problem, f"run `{SETUP}` as root, or register runsc under that name yourself")]


def _answers() -> bool:
    try:
        connect(timeout=5).close()
    except SettingsError:
        return False
    return True


def _install(commands: tuple[str, ...], say: Say) -> None:
    missing = [PACKAGES[command] for command in commands if shutil.which(command) is None]
    if not missing:
        return
    names = " and ".join(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SettingsError(f"{names} must be installed: only root on Debian or Ubuntu has it done by this set-up")
    say(f"installing {names}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-q"], environment)
    _run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing], environment)


def install_debootstrap(say: Say) -> None:
    """The tool that makes a base image where no registry answers."""
    _install(("debootstrap",), say)


def start(say: Say) -> None:
    """Start the engine's daemon, which outlives us, and wait until it answers."""
    if os.geteuid() != 0:
        raise SettingsError("the Docker daemon does not answer, and only root can start it")
    say("starting the Docker daemon")
    if Path("/run/systemd/system").is_dir():
        _run(["systemctl", "start", "docker"])
    elif not _started_as_service():
        # In a session of its own and with its output in a file, so that it outlives us and holds no pipe of ours.
        with LOG.open("ab") as log:
            subprocess.run(
                ["setsid", "--fork", _find("dockerd")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", check=True,
            )  # fmt: skip
    if not _waited(30):
        raise SettingsError(f"the Docker daemon does not come up; look into {LOG} or its journal")


def _started_as_service() -> bool:
    if not Path("/etc/init.d/docker").exists() or shutil.which("service") is None:
        return False
    with LOG.open("ab") as log:
        subprocess.run(["service", "docker", "start"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
    return _waited(10)


def _waited(seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if _answers():
            return True
        time.sleep(0.2)
    return False


def _reload() -> None:
    if Path("/run/systemd/system").is_dir():
        _run(["systemctl", "reload", "docker"])
        return
    try:
        pid = int(PID_FILE.read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() == "dockerd":
            os.kill(pid, signal.SIGHUP)
            return
    except (OSError, ValueError):
        pass
    raise SettingsError("the Docker daemon must read its configuration again: reload it (SIGHUP)")


def _find(command: str) -> str:
    path = shutil.which(command)
    if path is None:
        raise SettingsError(f"{command} is not installed: run `{SETUP}` as root on Debian or Ubuntu")
    return path


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        tail = (done.stderr or done.stdout).strip()[-1_000:]
        raise SettingsError(f"{' '.join(command)} failed: {tail}")
    return done.stdout
