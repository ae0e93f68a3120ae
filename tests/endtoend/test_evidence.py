"""A task's evidence, fetched from a running stack and checked without one."""

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.cli_evidence import evidence
from gateway.client import CliError
from gateway.evidence_check import verify
from schema.evidence import signed_bytes
from schema.keys import thumbprint
from schema.texts import canonical_json
from tests.support.golden import Golden
from tests.support.provider import Provider, Script, files
from tests.support.specs import GOOD, spec

TITLE = "evidence of doubling"


@pytest_asyncio.fixture(scope="module")
async def bundles(golden: Golden, provider: Provider) -> tuple[bytes, bytes, str]:
    """One task's bundle without and with its texts, and the key that the gateway says is its own."""
    provider.script(TITLE, Script(developer=[files(work=GOOD)]))
    task_id = await golden.submit(spec(TITLE))
    assert (await golden.result(task_id))["state"] == "accepted"
    async with golden.client("admin", sub="ann") as http:
        bare = await http.get(f"/v1/tasks/{task_id}/evidence")
        full = await http.get(f"/v1/tasks/{task_id}/evidence", params={"content": "true"})
        keys = (await http.get("/.well-known/evidence-keys.json")).json()["keys"]
    assert (bare.status_code, full.status_code) == (200, 200), full.text
    return bare.content, full.content, str(keys[0]["kid"])


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value within that holds no others."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if members is None or not value:
        yield path
        return
    for name, member in members:
        yield from leaves(member, (*path, name))


def lists(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each list that is not empty."""
    if isinstance(value, list) and value:
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from lists(member, (*path, name))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        value = value[name]
    return value


def other(value: Any) -> Any:
    """Something of the same sort that is not `value`."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return ("0" if value[:1] != "0" else "1") + value[1:]
    return "x" if value is None else None


def written(value: Any) -> bytes:
    return canonical_json(value).encode() + b"\n"


def faulty(content: bytes, kid: str) -> set[str]:
    """The names of the checks that fail."""
    return {check.name for check in verify(content, frozenset({kid})).checks if check.faults}


def signed_anew(value: dict[str, Any], private: Ed25519PrivateKey) -> bytes:
    """As somebody with a key of their own would write it."""
    public, kid = private.public_key(), thumbprint(private.public_key())
    before = value["signature"]["kid"]
    keys = {k: raw for k, raw in value["keys"].items() if k != before or _anchors(value, k)}
    keys[kid] = public.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    unsigned = {**{name: each for name, each in value.items() if name != "signature"}, "keys": keys}
    return written({**unsigned, "signature": {"kid": kid, "value": private.sign(signed_bytes(unsigned)).hex()}})


def _anchors(value: dict[str, Any], kid: str) -> bool:
    return any(each["anchor"] and each["anchor"]["kid"] == kid for each in value["audit"]["segments"])


@pytest.mark.parametrize("which", [0, 1], ids=["without texts", "with texts"])
async def test_a_bundle_is_sound_and_every_record_of_it_reaches_a_signed_head(
    which: int, bundles: tuple[bytes, bytes, str]
) -> None:
    found = verify(bundles[:2][which], frozenset({bundles[2]}))

    assert [(check.name, check.faults, check.note) for check in found.checks if check.faults or check.note] == []
    assert (found.sound, found.trusted) == (True, True)


async def test_it_holds_no_word_of_the_task_unless_it_is_asked_for(bundles: tuple[bytes, bytes, str]) -> None:
    words = ("double", "work.py", TITLE)

    assert [word for word in words if word.encode() in bundles[0]] == []
    assert [word for word in words if word.encode() not in bundles[1]] == []


async def test_each_value_that_is_changed_is_found(bundles: tuple[bytes, bytes, str]) -> None:
    bare, _, kid = bundles
    value = json.loads(bare)

    missed = []
    for path in leaves(value):
        changed = copy.deepcopy(value)
        at(changed, path[:-1])[path[-1]] = other(at(value, path))
        if not faulty(written(changed), kid):
            missed.append(path)

    assert missed == []


async def test_each_element_that_is_removed_doubled_or_moved_is_found(bundles: tuple[bytes, bytes, str]) -> None:
    bare, _, kid = bundles
    value = json.loads(bare)

    missed = []
    for path in lists(value):
        for name, change in (
            ("removed", lambda each: each[1:]),
            ("doubled", lambda each: [*each, each[-1]]),
            ("moved", lambda each: each[::-1]),
        ):
            changed = copy.deepcopy(value)
            old = at(value, path)
            new = change(old)
            at(changed, path[:-1])[path[-1]] = new
            if new != old and not faulty(written(changed), kid):
                missed.append((name, path))

    assert missed == []


LIES: dict[str, tuple[tuple[Any, ...], Any]] = {
    "tally": (("body", "votes", 0, "voters", 0, "effective_weight"), 1),
    "ledger": (("body", "task", "spent_tokens"), 1),
    "prompts": (("body", "prompts", 0, "digest"), "0" * 64),
    "eligibility": (("body", "ballots", 0, "weight"), 1),
    "runs": (("body", "runs", 0, "tests_failed"), 1),
    "model calls": (("body", "calls", 0, "step"), "plan/9"),
    "story": (("body", "states", 0, "sequence"), 99),
    "acts": (("body", "task", "submitted_by"), "eve"),
    "audit chain": (("audit", "segments", 0, "links", 0, "record", "actor"), "eve"),
    "decisions": (("body", "votes", 0, "outcome"), "rejected"),
}


@pytest.mark.parametrize("check", LIES)
async def test_a_lie_is_found_by_its_check_even_when_it_is_signed(
    check: str, bundles: tuple[bytes, bytes, str]
) -> None:
    private = Ed25519PrivateKey.generate()
    path, lie = LIES[check]
    value = json.loads(bundles[0])
    at(value, path[:-1])[path[-1]] = lie

    found = faulty(signed_anew(value, private), thumbprint(private.public_key()))

    assert check in found
    assert not found & {"form", "signature", "signer"}


async def test_a_text_that_is_another_is_found_by_its_digest(bundles: tuple[bytes, bytes, str]) -> None:
    private = Ed25519PrivateKey.generate()
    value = json.loads(bundles[1])
    value["content"]["texts"][value["body"]["task"]["spec"]] += " "

    assert faulty(signed_anew(value, private), thumbprint(private.public_key())) == {"digests"}


async def test_a_bundle_signed_by_somebody_else_is_not_ours(bundles: tuple[bytes, bytes, str]) -> None:
    forged = signed_anew(json.loads(bundles[0]), Ed25519PrivateKey.generate())

    assert faulty(forged, bundles[2]) == {"signer"}
    assert (verify(forged).sound, verify(forged).trusted) == (True, False)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\xff", b"[" * 100_000, b'{"a":NaN}\n', b'{"a":1,"a":1}\n', b"1" * 10_000],
    ids=["empty", "bare", "no text", "deep", "no number", "twice", "long number"],
)
def test_what_is_no_bundle_is_refused_by_its_form(content: bytes) -> None:
    found = verify(content)

    assert [check.name for check in found.checks if check.faults] == ["form"]


def test_a_member_that_is_there_twice_is_refused(bundles: tuple[bytes, bytes, str]) -> None:
    doubled = bundles[0].replace(b'{"audit":', b'{"format":"golden.evidence/1","audit":', 1)

    assert faulty(doubled, bundles[2]) == {"form"}


async def test_the_command_verifies_without_a_stack_and_says_whose_key_it_was(
    bundles: tuple[bytes, bytes, str], tmp_path: Path
) -> None:
    bare, _, kid = bundles
    (tmp_path / "good.json").write_bytes(bare)
    (tmp_path / "bad.json").write_bytes(bare.replace(b'"accepted"', b'"rejected"', 1))

    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "gateway.cli", "evidence", "verify", *arguments]
        environment = {"GOLDEN_HOME": str(tmp_path / "nowhere"), "PATH": "", "GOLDEN_URL": "http://127.0.0.1:9"}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return ended.returncode, ended.stdout.splitlines()[-1] if ended.stdout else ended.stderr

    assert run(str(tmp_path / "good.json"), "--key", kid) == (0, f"verified: signed by key {kid}")
    assert run(str(tmp_path / "bad.json")) == (1, "NOT verified")


@pytest.mark.parametrize(
    ("name", "key", "code"), [("good.json", None, 5), ("none.json", None, 2), ("good.json", "?", 2)]
)
def test_its_exit_code_says_what_is_left_to_do(
    name: str, key: str | None, code: int, bundles: tuple[bytes, bytes, str], tmp_path: Path
) -> None:
    (tmp_path / "good.json").write_bytes(bundles[0])

    with pytest.raises((CliError, typer.Exit)) as ended:
        evidence("verify", tmp_path / name, key=key)

    error = ended.value
    assert (error.code if isinstance(error, CliError) else error.exit_code) == code  # type: ignore[attr-defined]
