"""deploy/compose.yaml as Docker's own tool reads it, and what it gives to whom."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.chart_files import HERE

FILE = HERE / "compose.yaml"
GIVEN = {"GOLDEN_SECRETS": "/etc/golden/secrets", "DOCKER_GID": "999"}
WORKERS = ("orchestrator", "peer-hub", "sandbox", "supervisor")


def _config(given: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["docker", "compose"]
    if subprocess.run([*command, "version"], capture_output=True, check=False).returncode != 0:
        command = ["docker-compose"]
        if shutil.which("docker-compose") is None:
            pytest.skip("neither `docker compose` nor docker-compose is here: make tools")
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **given}
    return subprocess.run(
        [*command, "-f", str(FILE), "config"], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    done = _config(GIVEN)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    return found


@pytest.mark.parametrize("missing", GIVEN)
def test_it_says_what_has_to_be_given(missing: str) -> None:
    done = _config({name: value for name, value in GIVEN.items() if name != missing})
    assert done.returncode != 0
    assert {"GOLDEN_SECRETS": "secrets.sh", "DOCKER_GID": "getent group docker"}[missing] in done.stderr


def test_no_password_is_in_an_environment(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for key, value in (service.get("environment") or {}).items():
            secret = any(word in key for word in ("PASSWORD", "PWD", "DATABASE_URL", "API_KEY", "TOKEN"))
            assert not secret or str(value).startswith("/run/secrets/"), (name, key)


def test_our_processes_have_a_read_only_root_and_no_capability(services: dict[str, Any]) -> None:
    for name in (*WORKERS, "gateway", "exporter", "migration"):
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]


def test_only_the_sandbox_worker_has_dockers_socket_and_it_has_no_way_out(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if "docker.sock" in str(service.get("volumes"))] == ["sandbox"]
    assert "outside" not in services["sandbox"]["networks"]


def test_nothing_is_published_but_on_this_machine(services: dict[str, Any]) -> None:
    published = {name: str(service["ports"]) for name, service in services.items() if service.get("ports")}
    assert set(published) == {"gateway", "grafana"}
    assert all("127.0.0.1" in ports for ports in published.values())


def test_prometheus_scrapes_every_process_that_is_there(services: dict[str, Any]) -> None:
    config = yaml.safe_load((HERE / "prometheus" / "prometheus.yaml").read_text())
    targets = {
        target for job in config["scrape_configs"] for group in job["static_configs"] for target in group["targets"]
    }
    assert targets == {f"{name}:9464" for name in (*WORKERS, "gateway", "exporter")}
    assert all("metrics" in services[target.partition(":")[0]]["networks"] for target in targets)


def test_the_script_makes_every_secret_and_changes_none_of_them(tmp_path: Path) -> None:
    script = [str(HERE / "compose" / "secrets.sh"), str(tmp_path)]
    subprocess.run(script, check=True, capture_output=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    wanted = {Path(each["file"]).name for each in yaml.safe_load(FILE.read_text())["secrets"].values()}
    # Only their owner can write down the models and their keys.
    assert {*made, "models.yaml"} == wanted | {"models.yaml"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
    subprocess.run(script, check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == made
