"""Every problem that the doctor finds comes with its remedy."""

import json
import socket
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deploy.checks import Check
from deploy.local import commands, doctor, model_server, ports, postgres, temporal
from schema.errors import SettingsError
from tests.support.parts import local_settings


def names_remedy(check: Check, *words: str) -> bool:
    return not check.ok and check.problem != "" and all(word in check.remedy for word in words)


def test_an_old_python() -> None:
    check = doctor.python((3, 10))
    assert "3.10" in check.problem
    assert names_remedy(check, "make setup PYTHON=python3.11")
    assert doctor.python((3, 11)) == Check("python", ok=True)


def test_a_full_disk(tmp_path: Path) -> None:
    home = tmp_path / "not" / "there" / "yet"
    check = doctor.disk(home, least=2**62)
    assert str(tmp_path) in check.problem
    assert names_remedy(check, "GOLDEN_HOME")
    assert doctor.disk(home, least=0).ok


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    assert doctor.free_ports(settings).ok
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.gateway_port))
        other.listen()
        check = doctor.free_ports(settings)
    assert f"port {settings.gateway_port} is taken" in check.problem
    assert names_remedy(check, "set GOLDEN_GATEWAY_PORT")


def test_a_port_that_is_wanted_twice(tmp_path: Path) -> None:
    settings = local_settings(tmp_path, gateway_port=12_345, model_port=12_345)
    assert ports.conflicts(settings) == [
        "port 12345 is wanted twice: set GOLDEN_GATEWAY_PORT",
        "port 12345 is wanted twice: set GOLDEN_MODEL_PORT",
    ]


@pytest.mark.parametrize(
    ("models", "needed"),
    [
        ("embedded", True),
        ("{default: [{model: 'openai:gpt'}]}", False),
        ("{default: [{model: 'embedded'}]}", True),
        ("default:\n- model: 'openai:gpt'\n", False),
    ],
)
def test_the_model_is_started_only_where_a_route_leads_to_it(tmp_path: Path, models: str, needed: bool) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(models)
    assert ports.needs_model(local_settings(tmp_path, models=models)) is needed
    if models != "embedded":
        assert ports.needs_model(local_settings(tmp_path, models=str(file))) is needed


def test_parts_that_are_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise SettingsError("not installed")

    monkeypatch.setattr(postgres, "binaries", missing)
    monkeypatch.setattr(model_server, "weights", missing)
    monkeypatch.setattr(temporal, "binary", lambda: tmp_path / "temporal")
    checks = doctor.embedded_parts(local_settings(tmp_path))
    assert [check.name for check in checks] == ["postgres", "temporal", "weights"]
    for check, setting in zip(checks, ("GOLDEN_DATABASE_URL", "TEMPORAL_ADDRESS", "GOLDEN_MODELS"), strict=True):
        assert names_remedy(check, "make setup", setting)


def test_parts_that_are_elsewhere_need_not_be_installed(tmp_path: Path) -> None:
    settings = local_settings(
        tmp_path, database_url="postgresql://db/golden", TEMPORAL_ADDRESS="temporal:7233", models="{default: []}"
    )
    assert doctor.embedded_parts(settings) == []


def test_models_that_can_not_be_used(tmp_path: Path) -> None:
    assert doctor.models(local_settings(tmp_path)).ok
    check = doctor.models(local_settings(tmp_path, models="/no/such.yaml"))
    assert "no file /no/such.yaml" in check.problem
    assert names_remedy(check, "GOLDEN_MODELS")
    assert "models" in [check.name for check in doctor.examine(local_settings(tmp_path))]


def test_no_user_namespaces() -> None:
    assert names_remedy(doctor.user_namespaces(["false"]), "ordinary user", "GOLDEN_DATABASE_URL")
    assert names_remedy(doctor.user_namespaces(["/no/unshare"]), "util-linux")
    assert doctor.user_namespaces([]).ok


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.show([Check("one", ok=True), Check("two", ok=False, problem="is away", remedy="bring it back")])
    assert capsys.readouterr().out == "one\tok\ntwo\tmissing\tis away\tbring it back\n"


@pytest.fixture
def application() -> typer.Typer:
    app = typer.Typer()
    commands.register(app)
    return app


def test_the_exit_code_tells_whether_all_is_well(application: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Check("one", ok=True)]
    monkeypatch.setattr(doctor, "examine", lambda settings: found)
    assert CliRunner().invoke(application, ["doctor"]).exit_code == 0
    found.append(Check("two", ok=False, problem="is away", remedy="bring it back"))
    result = CliRunner().invoke(application, ["doctor", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["checks"][1] == {
        "name": "two", "ok": False, "problem": "is away", "remedy": "bring it back"
    }  # fmt: skip


def test_settings_are_shown_with_their_source(application: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLDEN_GATEWAY_PORT", "18080")
    monkeypatch.delenv("GOLDEN_MODEL_PORT", raising=False)
    result = CliRunner().invoke(application, ["doctor", "--settings", "--json"])
    shown = {row["name"]: row for row in json.loads(result.stdout)["settings"]}
    assert shown["GOLDEN_GATEWAY_PORT"] == {"name": "GOLDEN_GATEWAY_PORT", "value": "18080", "source": "environment"}
    assert shown["GOLDEN_MODEL_PORT"]["source"] == "default"


@pytest.mark.parametrize("command", [["up"], ["up", "--detach"], ["down"], ["doctor"], ["doctor", "--settings"]])
def test_a_bad_setting_is_named(
    application: typer.Typer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: list[str]
) -> None:
    monkeypatch.setenv("GOLDEN_HOME", str(tmp_path))
    monkeypatch.setenv("GOLDEN_GATEWAY_PORT", "abc")
    result = CliRunner().invoke(application, command)
    assert result.exit_code == 2
    assert result.stderr.startswith("golden: GOLDEN_GATEWAY_PORT: ")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_down_says_when_nothing_runs(application: typer.Typer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOLDEN_HOME", str(tmp_path))
    result = CliRunner().invoke(application, ["down"])
    assert (result.exit_code, result.stdout) == (0, f"nothing is running in {tmp_path}\n")
    assert list(tmp_path.iterdir()) == []
