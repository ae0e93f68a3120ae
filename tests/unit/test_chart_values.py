"""Values that can't be meant are refused, with what to do."""

import json

import pytest
from helm_python.chart import Chart
from helm_python.errors import HelmError

from deploy.chart_files import CHART
from tests.support import chart
from tests.support.chart import NEEDED, Manifest, merged

REFUSED: dict[str, tuple[Manifest, str]] = {
    "no image": ({"image": {"repository": ""}}, "image.repository is missing: build it with `make image`"),
    "no database": ({"secrets": {"database": {"name": ""}}}, "secrets.database.name is missing: a Secret"),
    "no keys": ({"secrets": {"keys": {"name": ""}}}, "secrets.keys.name is missing: a Secret with ring.json"),
    "no models": ({"secrets": {"models": {"name": ""}}}, "secrets.models.name is missing"),
    "no Temporal": ({"settings": {"temporalAddress": ""}}, "settings.temporalAddress is missing: host:port"),
    "no Docker": ({"sandbox": {"dockerHost": ""}}, "sandbox.dockerHost is missing"),
    "no certificates for Docker": ({"secrets": {"docker": {"name": ""}}}, "secrets.docker.name is missing"),
    "an API key of nowhere": ({"secrets": {"temporal": {"apiKey": True}}}, "secrets.temporal.name is missing"),
    "min above max": (
        {"workers": {"sandbox": {"autoscaling": {"min": 16}}}},
        "workers.sandbox.autoscaling: min 16 is more than max 15: lower min or raise max",
    ),
    "both autoscalers": ({"autoscaling": {"mode": "hpa,keda"}}, "must be one of 'hpa', 'keda', 'none'"),
    "a misspelt key": ({"workers": {"sandbox": {"autoscalling": {}}}}, "additional properties 'autoscalling'"),
    "a fifth worker": ({"workers": {"writer": {"replicas": 1}}}, "additional properties 'writer'"),
    "a share over one": ({"workers": {"peer-hub": {"autoscaling": {"gate": {"busyShare": 80}}}}}, "busyShare"),
    "an address without a port": ({"settings": {"temporalAddress": "temporal"}}, "/settings/temporalAddress"),
    "a socket of the node": ({"sandbox": {"dockerHost": "unix:///var/run/docker.sock"}}, "/sandbox/dockerHost"),
    "a password in a ConfigMap": (
        {"settings": {"env": {"GOLDEN_DATABASE_URL": "postgresql://…"}}},
        "settings.env.GOLDEN_DATABASE_URL would put a secret into a ConfigMap",
    ),
    "an anchor that one node writes": (
        {"gateway": {"anchor": {"accessMode": "ReadWriteOnce"}}},
        "use ReadWriteMany, or gateway.replicas=1",
    ),
    "an anchor without a claim": ({"gateway": {"anchor": {"mode": "existing"}}}, "gateway.anchor.claimName is missing"),
    "an Ingress for every name": ({"gateway": {"ingress": {"enabled": True}}}, "gateway.ingress.host is missing"),
    "no time to end": ({"gateway": {"terminationGracePeriodSeconds": 25}}, "is too short"),
    "old builds that take any task": (
        {"versioning": {"old": [{"buildId": "1", "tag": "1"}]}},
        "versioning.enabled is false",
    ),
    "root": ({"podSecurity": {"runAsUser": 0}}, "/podSecurity/runAsUser"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_it_refuses(mistake: str) -> None:
    values, told = REFUSED[mistake]
    with pytest.raises(HelmError) as refusal:
        chart.render(values)
    assert told in str(refusal.value)


def test_every_default_fits_the_schema_and_every_field_of_the_schema_has_a_default_or_is_optional() -> None:
    with Chart.load(CHART) as loaded:
        loaded.validate_schema(merged(loaded.values, NEEDED))
        schema = loaded.schema or {}
        unknown = set(loaded.values) ^ (set(schema["properties"]) - {"global"})
    assert unknown == set()


def test_no_object_of_the_schema_takes_what_it_does_not_know() -> None:
    text = (CHART / "values.schema.json").read_text()
    assert [where for where in _open_objects(json.loads(text), "") if not where.startswith("/global")] == []


def _open_objects(schema: Manifest, where: str) -> list[str]:
    found = []
    if "properties" in schema and schema.get("additionalProperties") is not False:
        found.append(where)
    for name, each in schema.get("properties", {}).items():
        found += _open_objects(each, f"{where}/{name}")
    return found
