"""The sandbox image: built from what lies in this folder, once for each content."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import docker
import docker.errors
import requests

from deploy.checks import Check
from schema.errors import SettingsError
from schema.settings import Settings

FOLDER = Path(__file__).parent
INSIDE = (
    "bindings.py", "contrary.py", "control.py", "discovery.py", "doors.py", "expected.py", "frames.py",
    "guarding.py", "judge.py", "literals.py", "report_plugin.py", "runner.py", "standby.py", "supervisor.py",
    "witness.py", "workspace.py",
    *(f"{folder}/{path.name}" for folder in ("guards", "remedies") for path in sorted((FOLDER / folder).glob("*.py"))),
)  # fmt: skip
BUILT_FROM = ("Dockerfile", "prepare.py", "requirements.lock", *INSIDE)
ENTRY = "from deploy.sandbox.runner import main\n\nmain()\n"
LABEL = "golden.content"
BASE = "golden-sandbox-base:1"
PULLED_BASE = "python:3.11-slim-bookworm"
PULL_ANSWERS_WITHIN = 10
PULL_ENDS_WITHIN = 300
LEFT_OUT = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man")

Say = Callable[[str], None]


def checks(client: docker.DockerClient, settings: Settings) -> list[Check]:
    """Whether every image that tasks may name is there, and ours is of this version."""
    found = []
    for name, tag in settings.sandbox_images.items():
        labels = labels_of(client, tag)
        if labels is None:
            found.append(Check(f"image {name}", False, f"there is no image {tag}", _remedy(name)))
        elif name == "default" and labels.get(LABEL) != content_hash():
            found.append(Check(f"image {name}", False, f"{tag} is of another version of Golden", _remedy(name)))
        else:
            found.append(Check(f"image {name}", True))
    return found


def ensure(client: docker.DockerClient, settings: Settings, say: Say, install: Callable[[Say], None]) -> None:
    """Build the default image unless it is there with this very content. `install` brings debootstrap."""
    tag = settings.sandbox_images["default"]
    labels = labels_of(client, tag)
    if labels is not None and labels.get(LABEL) == content_hash():
        return
    base = ensure_base(client, say, install)
    say(f"building {tag}")
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        lay_out(context, python_of(client, base), client.info().get("Architecture", platform.machine()))
        try:
            built, _ = client.images.build(
                path=folder, tag=tag, buildargs={"BASE": base}, labels={LABEL: content_hash()},
                rm=True, forcerm=True, network_mode="none",
            )  # fmt: skip
        except (docker.errors.BuildError, docker.errors.APIError) as error:
            raise SettingsError(f"{tag} can't be built: {error}") from error
    remove_older(client, str(built.id))


def remove_older(client: docker.DockerClient, current: str) -> None:
    """Remove our images that have lost their name to a newer one, but for those still in use."""
    for old in client.images.list(filters={"label": LABEL, "dangling": True}):
        if old.id != current:
            with suppress(docker.errors.APIError):
                client.images.remove(str(old.id))


def content_hash() -> str:
    """A digest of all that the image is made of, but for the base."""
    digest = hashlib.sha256()
    for name in BUILT_FROM:
        data = (FOLDER / name).read_bytes()
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def labels_of(client: docker.DockerClient, tag: str) -> dict[str, str] | None:
    """An image's labels; None when it is not there."""
    try:
        return dict(client.images.get(tag).labels or {})
    except docker.errors.ImageNotFound:
        return None


def ensure_base(client: docker.DockerClient, say: Say, install: Callable[[Say], None]) -> str:
    """A local image with Python 3: the one there is, else from a registry, else from the distribution's packages."""
    if labels_of(client, BASE) is not None:
        return BASE
    if labels_of(client, PULLED_BASE) is None and not _pulled(say):
        install(say)
        _bootstrap(client, say)
        return BASE
    client.images.get(PULLED_BASE).tag(*BASE.split(":"))
    return BASE


def python_of(client: docker.DockerClient, base: str) -> str:
    """The version of the base's Python, as pip wants it."""
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        output: bytes = client.containers.run(
            base, ["python3", "-I", "-c", script], remove=True, network_mode="none", runtime="runc"
        )
    except docker.errors.DockerException as error:
        raise SettingsError(f"{base} has no python3 that runs: {error}") from error
    return output.decode().strip()


def lay_out(context: Path, python: str, machine: str) -> None:
    """The build's context: the tools for the base's Python and machine, and the runner as a folder to execute."""
    for name in ("Dockerfile", "prepare.py"):
        shutil.copyfile(FOLDER / name, context / name)
    package = context / "runner" / "deploy" / "sandbox"
    package.mkdir(parents=True)
    for name in INSIDE:
        (package / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(FOLDER / name, package / name)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (context / "runner" / "__main__.py").write_text(ENTRY)
    _download(context / "site", python, machine)


def _download(site: Path, python: str, machine: str) -> None:
    platforms = [f"--platform={name}_{machine}" for name in ("manylinux2014", "manylinux_2_17", "manylinux_2_28")]
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--target", str(site), "--no-deps", "--no-compile",
        *platforms, f"--python-version={python}", "--only-binary=:all:", "--require-hashes",
        "-r", str(FOLDER / "requirements.lock"),
    ]  # fmt: skip
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SettingsError(f"the sandbox's tools can't be downloaded: {done.stderr.strip()[-1_000:]}")
    # Scripts start with the path of this machine's Python, which is not in the image.
    for script in (site / "bin").iterdir():
        if script.read_bytes()[:2] == b"#!":
            script.unlink()


def _pulled(say: Say) -> bool:
    """Whether a registry gave us the base; where none answers we don't wait for it."""
    say(f"looking for {PULLED_BASE} at a registry")
    deadline = time.monotonic() + PULL_ENDS_WITHIN
    try:
        client = docker.from_env(timeout=PULL_ANSWERS_WITHIN)
        for event in client.api.pull(PULLED_BASE, stream=True, decode=True):
            if "error" in event or time.monotonic() > deadline:
                return False
        client.close()
    except (docker.errors.DockerException, requests.exceptions.RequestException):
        return False
    return True


def _bootstrap(client: docker.DockerClient, say: Say) -> None:
    if os.geteuid() != 0:
        raise SettingsError(f"no registry answers: bring an image with Python 3 as {BASE}, or run this as root")
    say("no registry answers; making the base from this distribution's packages (about a minute)")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        codename, *mirror = _release()
        command = ["debootstrap", "--variant=minbase", "--include=python3", codename, str(root), *mirror]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SettingsError(f"debootstrap failed: {(done.stderr or done.stdout).strip()[-1_000:]}")
        pack = ["tar", "--numeric-owner", *(f"--exclude=./{path}/*" for path in LEFT_OUT), "-C", str(root), "-c", "."]
        with subprocess.Popen(pack, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as tar:
            _import(client, tar.stdout)


def _import(client: docker.DockerClient, stream: IO[bytes] | None) -> None:
    repository, _, tag = BASE.partition(":")
    client.api.import_image_from_stream(stream, repository=repository, tag=tag)


def _release() -> list[str]:
    """This machine's codename and, where apt knows one, its mirror."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    if not codename:
        raise SettingsError(
            f"this distribution has no codename for debootstrap: bring an image with Python 3 as {BASE}"
        )
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    for line in listing.stdout.splitlines():
        known, component, mirror = line.split(maxsplit=2)
        if (known, component) == (codename, "main"):
            return [codename, mirror]
    return [codename]


def _remedy(name: str) -> str:
    if name == "default":
        return "run `python -m deploy.sandbox.setup`"
    return "bring that image to this machine, or take it out of GOLDEN_SANDBOX_IMAGES"
