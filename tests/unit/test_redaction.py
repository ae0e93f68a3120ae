"""Attacks on the logs: errors and events that would carry a secret out."""

import json
import logging
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.redaction import HIDDEN, redact, redact_text

JWT = "eyJhbGciOiJFZERTQSIsImtpZCI6IngifQ.eyJzdWIiOiJsb2NhbCJ9.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIhunter2\n-----END PRIVATE KEY-----"

LEAKS = {
    "a bearer token": f"GET /v1/tasks Authorization: Bearer {JWT}",
    "a bearer token that is no JWT": "authorization: bearer hunter2hunter2",
    "headers of a library": "headers=[(b'authorization', b'Bearer hunter2hunter2')]",
    "headers as a mapping": "{'Authorization': 'Bearer hunter2hunter2', 'x': 'y'}",
    "a token alone": f"refused {JWT}",
    "a token cut short": f"refused {JWT[:60]}",
    "a password in a URL": "could not connect to postgresql+psycopg://golden:hunter2@db:5432/golden",
    "a password with an @ in it": "postgresql://golden:hun@ter2hunter2@db/golden",
    "a password without a user": "redis://:hunter2@cache/0",
    "a conninfo": "host=db user=golden password=hunter2 dbname=golden",
    "a quoted conninfo": "password='hunter2' host=db",
    "an API key of a provider": "Incorrect API key provided: sk-proj-hunter2hunter2hunter2",
    "an API key in JSON": '{"api_key": "hunter2", "model": "m"}',
    "an API key in JSON in JSON": '"{\\"api_key\\": \\"hunter2\\"}"',
    "an environment variable": "OPENAI_API_KEY=hunter2",
    "a cookie": "Cookie: golden_ui=hunter2hunter2",
    "a one-time link": "http://127.0.0.1:8080/ui?code=hunter2hunter2_-x",
    "a private key": KEY,
    "a private key cut short": KEY[:60],
}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS.keys())
def test_no_secret_is_left_in_a_text(leak: str) -> None:
    told = redact_text(leak)
    assert "hunter2" not in told
    assert JWT[:60] not in told
    assert HIDDEN in told


def test_what_is_no_secret_stays() -> None:
    for text in (
        "tokens=1200 spent of 5000 tokens",
        "http://127.0.0.1:8080/v1/tasks?cursor=1",
        "postgresql://golden@db:5432/golden?sslmode=verify-full",
        "the step plan failed: ModelUnavailable",
        "mail to someone@example.org",
    ):
        assert redact_text(text) == text


def test_secrets_are_found_by_name_and_in_depth() -> None:
    event = {"token": "hunter2", "nested": [{"db_password": "hunter2"}, ("x", f"Bearer {JWT}")], "input_tokens": 3}
    assert redact(event) == {
        "token": HIDDEN, "nested": [{"db_password": HIDDEN}, ["x", f"Bearer {HIDDEN}"]], "input_tokens": 3
    }  # fmt: skip
    assert "hunter2" not in str(redact(ValueError("password=hunter2")))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_whatever_is_logged_can_still_be_logged(value: Any) -> None:
    json.dumps(redact(value))


@given(st.text(alphabet="eyJ.:/@=- bearer\"'ab", max_size=2_000))
def test_no_text_holds_the_logs_up(text: str) -> None:
    redact_text(text)


PROGRAM = f"""
import asyncio, logging, threading
import psycopg, structlog
from schema.logs import configure_logs

configure_logs("info", "attack")
log = structlog.get_logger()
log.info("said", header="Bearer {JWT}", url="postgresql://u:hunter2@h/d")
logging.getLogger("library").error("lost %s", "postgresql://u:hunter2@h/d")
try:
    psycopg.connect("postgresql://u:hunter2@127.0.0.1:1/d", connect_timeout=1)
except psycopg.Error:
    log.exception("no database", conninfo="host=h password=hunter2")
try:
    raise ValueError("api_key=hunter2 is wrong")
except ValueError:
    logging.getLogger("library").exception("failed with sk-hunter2hunter2")

async def forgotten():
    async def fails():
        raise RuntimeError("Authorization: Bearer {JWT}")
    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    del task
asyncio.run(forgotten())

def dies():
    raise RuntimeError("thread password=hunter2")
thread = threading.Thread(target=dies)
thread.start()
thread.join()
raise RuntimeError("uncaught postgresql://u:hunter2@h/d")
"""


def test_a_process_that_tries_to_log_its_secrets_does_not() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert [json.loads(line)["level"] for line in done.stdout.splitlines()].count("critical") == 2
    assert "hunter2" not in said
    assert JWT not in said
    for told in ("said", "lost", "no database", "failed with", "never retrieved", "thread", "uncaught"):
        assert told in said, said
    assert logging.getLogger().name == "root"
