"""Prometheus as operators run it, beside a stack: with the configuration and the rules that they get, only faster."""

import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deploy.chart_files import HERE
from deploy.local.process import Part
from deploy.local.services import answers, environment, python, worker_metrics_port
from schema.settings import Settings
from tests.support.golden import Golden
from tests.support.parts import free_port, running_part

EVERY = "1s"


class Prometheus:
    """Its HTTP API."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def ask(self, path: str, **parameters: str) -> Any:
        """What it answers below `/api/v1/`.

        Raises:
            ValueError: the query can't be read, or went wrong; Prometheus says why.
        """
        said = (await self._http.get(f"/api/v1/{path}", params=parameters)).json()
        if said["status"] != "success":
            raise ValueError(said["error"])
        return said["data"]

    async def series(self, name: str) -> list[Mapping[str, str]]:
        """The labels of every series of that name."""
        found: list[Mapping[str, str]] = await self.ask("series", **{"match[]": name})
        return found

    async def now(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """The value of each series at this moment."""
        data = await self.ask("query", query=expression)
        return [(each["metric"], float(each["value"][1])) for each in data["result"]]

    async def over(
        self, expression: str, begin: float, end: float, step: float
    ) -> list[tuple[Mapping[str, str], list[tuple[float, float]]]]:
        """The values of each series from `begin` to `end`, seconds since 1970."""
        data = await self.ask("query_range", query=expression, start=str(begin), end=str(end), step=str(step))
        return [
            (each["metric"], [(float(at), float(value)) for at, value in each["values"]]) for each in data["result"]
        ]


def binary() -> str:
    """Debian's Prometheus; where it is not installed the test is skipped, and fails where CI=true."""
    found = shutil.which("prometheus")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("prometheus is not installed: `make tools`")
        pytest.skip("prometheus is not installed: `make tools`")
    return found


def exporter(golden: Golden, port: int) -> Part:
    """`golden exporter` for a stack."""
    own = {**golden.environment, **environment(golden.settings, GOLDEN_METRICS_PORT=str(port))}
    return Part("exporter", python("gateway.cli", "exporter"), lambda: answers(f"http://127.0.0.1:{port}/metrics"), own)


@asynccontextmanager
async def running_prometheus(golden: Golden, folder: Path, every: str = EVERY) -> AsyncIterator[Prometheus]:
    """Prometheus and an exporter for a stack, which looks that often; its data are in `folder`."""
    command, port, exporter_port = binary(), free_port(), free_port()
    ports = targets(golden.settings, exporter_port)
    configuration = configured(folder, ports, every)
    url = f"http://127.0.0.1:{port}"
    part = Part(
        "prometheus",
        (
            command,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ),
        lambda: answers(f"{url}/-/ready"),
    )
    async with (
        running_part(exporter(golden, exporter_port), folder),
        running_part(part, folder),
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
    ):
        yield Prometheus(http)


def targets(settings: Settings, exporter_port: int) -> dict[str, int]:
    """The port of each job; on one machine all workers are one process."""
    return {
        "golden-gateway": settings.metrics_port,
        "golden-worker": worker_metrics_port(settings),
        "golden-exporter": exporter_port,
    }


def configured(folder: Path, ports: Mapping[str, int], every: str) -> Path:
    """The configuration of the deployment, of the processes on these ports instead, with its rules in `folder`.

    Raises:
        KeyError: the deployment has a job that no port is given for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = yaml.safe_load((HERE / "prometheus" / "prometheus.yaml").read_text())
    document["global"] = {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
    for job in document["scrape_configs"]:
        labels = {"namespace": job["static_configs"][0]["labels"]["namespace"]}
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"], "labels": labels}]
    for file in (HERE / "alerts").glob(Path(document["rule_files"][0]).name):
        rules = yaml.safe_load(file.read_text())
        for group in rules["groups"]:
            group["interval"] = every
        (folder / file.name).write_text(json.dumps(rules))
    document["rule_files"] = [str(folder / Path(document["rule_files"][0]).name)]
    file = folder / "prometheus.json"
    file.write_text(json.dumps(document))
    return file
