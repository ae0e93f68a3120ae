"""The routes of GOLDEN_MODELS: what is read, what is refused, and that no key is told."""

import json
from pathlib import Path

import pytest

from activities.routes import EMBEDDED_NAME, read_routes
from schema.errors import SettingsError
from schema.settings import Settings
from workers import main

KEY = "sk-Very5ecret"


def settings(models: str) -> Settings:
    return Settings(models=models, model_port=8_099)


def refusal(models: str) -> str:
    """What is said of it, on one line, with nothing behind it that a log would show."""
    with pytest.raises(SettingsError) as raised:
        read_routes(settings(models))
    assert raised.value.__cause__ is None
    told = str(raised.value)
    assert "GOLDEN_MODELS" in told
    assert "\n" not in told
    return told


def one(**target: object) -> str:
    return json.dumps({"default": [{"model": "openai:gpt", **target}]})


def test_compact_json_is_text() -> None:
    routes = read_routes(settings('{"default":[{"model":"openai:gpt","api_key":"k"}]}'))
    assert [target.model for target in routes["default"]] == ["openai:gpt"]
    assert routes["default"][0].key() == "k"


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "models.yaml"
    file.write_text("default:\n- model: anthropic:claude\n")
    assert read_routes(settings(str(file)))["default"][0].model == "anthropic:claude"


def test_embedded_may_be_one_of_a_route() -> None:
    routes = read_routes(settings("{default: [{model: 'openai:gpt'}, {model: embedded}], tester: [{model: embedded}]}"))
    for target in (routes["default"][1], routes["tester"][0]):
        assert (target.model, target.base_url) == (f"openai:{EMBEDDED_NAME}", "http://127.0.0.1:8099/v1")
        assert target.lean


@pytest.mark.parametrize(
    ("models", "told"),
    [
        ("/no/such.yaml", "no file /no/such.yaml"),
        ("models.yaml", "no file models.yaml"),
        ("{nope", "not YAML"),
        ("- a: b\n", "dictionary"),
        ("{default: [{model: 'openai:gpt'}], cook: []}", "unknown role cook"),
        ("{tester: [{model: 'openai:gpt'}]}", "`default` is missing"),
        ("{default: []}", "`default` is missing"),
        ("{default: [{model: gpt}]}", "default.0.model: must be PROVIDER:NAME, or `embedded`"),
        ("{default: [{model: 'openai:'}]}", "must be PROVIDER:NAME"),
        ("{default: [{model: 'openai:gpt', colour: red}]}", "default.0.colour"),
        (one(api_key_env="GOLDEN_NO_SUCH_KEY"), "api_key_env names GOLDEN_NO_SUCH_KEY, which is not set"),
        (one(api_key_file="/no/such.key"), "api_key_file /no/such.key can't be read"),
    ],
)
def test_what_can_not_be_used_is_named(models: str, told: str) -> None:
    assert told in refusal(models)


@pytest.mark.parametrize(
    "models",
    [
        KEY,
        f"{{{KEY}",
        f"{{default: [{{model: {KEY}}}]}}",
        f"{{default: [{{model: 'openai:gpt', api_key: {KEY}, lean: {KEY}, max_tokens: {KEY}}}]}}",
        f"{{default: [{{model: 'openai:gpt', {KEY}: 1}}]}}",
        f"{{default: [{{model: 'openai:gpt', price: {KEY}}}]}}",
        f"{{default: [{KEY}]}}",
        f"{{{KEY}: []}}",
        one(api_key_env=KEY),
        one(api_key_file=KEY),
        one(api_key=KEY, colour="red"),
    ],
)
def test_a_key_is_never_told(models: str) -> None:
    assert KEY not in refusal(models)


def test_a_worker_refuses_its_routes_before_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(main, "_runtime", too_late)
    monkeypatch.setattr(main, "configure_logs", too_late)
    with pytest.raises(SettingsError, match="GOLDEN_MODELS is not YAML"):
        main.run("all", settings("{nope"))
