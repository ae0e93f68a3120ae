"""The guard `secrets`: keys and passwords in clear text. It never repeats them. Standard library only."""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from deploy.sandbox.guards.material import HIGH, MEDIUM, Found, Material, is_python, lines_of

MAX_LINE = 4_000
PATTERNS = {
    "private-key": (r"-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----", "a private key"),
    "aws-key": (r"\b(?:AKIA|ASIA|AGPA|AROA|AIPA|ANPA|ANVA)[0-9A-Z]{16}\b", "an AWS access key"),
    "github-token": (r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,90})\b", "a GitHub token"),
    "gitlab-token": (r"\bglpat-[A-Za-z0-9_-]{20,64}", "a GitLab token"),
    "slack-token": (r"\bxox[abeoprs]-[A-Za-z0-9-]{10,250}", "a Slack token"),
    "slack-webhook": (r"https://hooks\.slack\.com/services/T[A-Za-z0-9_/]{20,90}", "a Slack webhook"),
    "google-key": (r"\bAIza[A-Za-z0-9_-]{35}", "a Google API key"),
    "google-oauth": (r"\bya29\.[A-Za-z0-9_-]{20,500}", "a Google access token"),
    "stripe-key": (r"\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,250}", "a Stripe key"),
    "openai-key": (r"\bsk-(?:proj-|svcacct-|ant-[a-z0-9]+-)?[A-Za-z0-9_-]{32,250}", "an API key of a model provider"),
    "npm-token": (r"\bnpm_[A-Za-z0-9]{36}\b", "a package registry's token"),
    "package-token": (r"\bpypi-AgE[A-Za-z0-9_-]{50,500}", "a package registry's token"),
    "sendgrid-key": (r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}", "a SendGrid key"),
    "azure-key": (r"AccountKey=[A-Za-z0-9+/]{80,90}={0,2}", "an Azure storage key"),
    "jwt": (r"\beyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{16,1000}", "a signed token"),
    "url-password": (
        r"\b[a-z][\w+.-]{1,20}://[^\s/:@'\"{}$<>%]{1,80}:(?!(?:password|passwd|pass|pw|secret|x+|\*+)@)"
        r"[^\s/:@'\"{}$<>%]{3,80}@",
        "a URL's password",
    ),
}  # fmt: skip
_COMPILED = {rule: (re.compile(pattern), said) for rule, (pattern, said) in PATTERNS.items()}
_NAME = re.compile(
    r"passw(?:or)?d|passwd|passphrase|pwd|secret|api_?key|access_?key|auth_?token|token|credentials?|private_?key",
    re.IGNORECASE,
)
_GIVEN = re.compile(
    r"""[A-Za-z0-9_]{0,30}["']?\]?\s{0,8}(?::\s{0,8}[A-Za-z_][\w.\[\]|]{0,40})?\s{0,8}(?:=(?!=)|:)\s{0,8}[rbufRBUF]{0,2}
    (?P<quote>\"""|\'\'\'|["'])(?P<value>(?:(?!(?P=quote))[^\\\n]|\\.){1,500})(?P=quote)""",
    re.VERBOSE,
)
_SETTING = re.compile(
    r"\s{0,40}(?:-\s+)?(?:export\s+|ENV\s+)?([A-Za-z][\w.\-]{0,80})\s{0,8}[=:]\s{0,8}([^\s\"'#]\S{3,500})\s*$"
)
_SETTINGS = (".env", ".yaml", ".yml", ".ini", ".cfg", ".conf", ".properties", ".toml", ".sh", "dockerfile")
"""How the files end in which a value stands without quotes."""
_BEFORE = 60
"""Characters of a name that may stand before the word that tells it. To look for the word first, and only then at what
stands around it, takes time that grows with the line and no faster."""
_IDENTIFIER, _WORD = re.compile(r"[A-Za-z0-9_.\-]*$"), re.compile(r"[A-Za-z0-9_]*")
_LITERAL = re.compile(r"""(["'])([A-Za-z0-9+/_=\-]{24,500})\1""")
_HARMLESS = re.compile(
    r"(?i)^(?:x+|\*+|\.+|-+|_+|<.*>|\{.*\}|\$\{?.*|%\(?.*|(?:your|my|the|some|an?|example|sample|dummy|fake|test|changeme"
    r"|(?-i:[.~]{0,2}(?:/[a-z_.\-]+)+)"
    r"|change[-_ ]me|placeholder|redacted|none|null|true|false|todo|secret|token|password|passwd|api[-_]?key)"
    r"(?:[-_ ].*)?|.*[\s(){}<>\[\]].*)$"
)
_NO_SECRET = re.compile(
    r"(?i)(_(?:name|field|header|url|path|file|env|var|label|prefix|re|pattern|type|id)|^tokens?_?(?:re|type|kind)?)$"
)
_ONE_WORD = re.compile(r"[A-Za-z_]+")
_OF_A_LANGUAGE = re.compile(r"(?:self\.)?token", re.IGNORECASE)
"""What lexers call their words too."""
ENTROPY = 4.2
"""Bits a character: words and identifiers stay below, what a generator drew lies above."""


class SecretsGuard:
    """Known forms of keys, passwords assigned to literals, and literals that look drawn at random."""

    name = "secrets"

    def applies_to(self, path: str) -> bool:  # noqa: ARG002
        return True

    def run(self, material: Material) -> Iterator[Found]:
        for path, text in material.changed.items():
            kept = material.kept_lines(path)
            settings = _is_settings(path)
            told = set()
            for number, line in enumerate(lines_of(text), 1):
                if line and line not in kept:
                    # One finding a line: a key of a known form is assigned to something.
                    found = next(_secrets(line), None) or (next(_set(line), None) if settings else None)
                    if found is not None:
                        told.add(number)
                        yield Found(found[0], found[1], path, number, f"{found[2]} stands in clear text")

            for number, joined in _joined(material, path):
                found = next(_secrets(joined), None) if number not in told else None
                if found is not None and lines_of(text)[number - 1] not in kept:
                    told.add(number)
                    yield Found(found[0], found[1], path, number, f"{found[2]} stands in clear text")


def redacted(text: str) -> str:
    """A text without keys of known forms: what tools say may quote the code."""
    for pattern, said in _COMPILED.values():
        text = pattern.sub(f"[{said}]", text)
    return text


def _is_settings(path: str) -> bool:
    name = path.rsplit("/", 1)[-1].lower()
    return name.startswith(".env") or name.endswith(_SETTINGS)


def _set(line: str) -> Iterator[tuple[str, str, str]]:
    """A value without quotes in a file of settings."""
    match = _SETTING.match(line[:MAX_LINE])
    if match is not None and _NAME.search(match[1]) and _is_password((match[1], match[2])):
        yield "password-literal", HIGH, "what its name calls a secret"


def _joined(material: Material, path: str) -> Iterator[tuple[int, str]]:
    """What a Python file puts together of several literals, or gives a name on another line, as one line each."""
    tree = material.tree(path) if is_python(path) else None
    if not isinstance(tree, ast.Module):
        return
    lines = lines_of(material.files[path])
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            text = _text(node.value)
            if text and not isinstance(node.value, ast.JoinedStr):
                names = [part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", "x") for part in targets]
                yield from ((node.lineno, f"{name} = {text[:MAX_LINE]!r}") for name in names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) <= MAX_LINE:
            if "\n" not in node.value and node.value not in lines[node.lineno - 1]:
                yield node.lineno, f"x = {node.value!r}"
        elif isinstance(node, ast.keyword | ast.BinOp):
            text = _text(node.value if isinstance(node, ast.keyword) else node)
            if text:
                name = node.arg or "x" if isinstance(node, ast.keyword) else "x"
                yield node.lineno, f"{name} = {text[:MAX_LINE]!r}"


def _text(node: ast.expr, deep: int = 20) -> str:
    """The text that a literal, or a sum of literals, comes to; empty where it is none."""
    if isinstance(node, ast.Constant):
        value = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
        return value if isinstance(value, str) else ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and deep:
        left, right = _text(node.left, deep - 1), _text(node.right, deep - 1)
        return left + right if left and right else ""
    return ""


def _secrets(whole_line: str) -> Iterator[tuple[str, str, str]]:
    for start in range(0, len(whole_line), MAX_LINE - 600):
        line = whole_line[start : start + MAX_LINE]
        for rule, (pattern, said) in _COMPILED.items():
            if pattern.search(line):
                yield rule, HIGH, said
        given = [value for name, value in _assigned(line) if _is_password((name, value))]
        if given:
            # A word by itself is as often a label or the name of a rule.
            severity = MEDIUM if all(map(_ONE_WORD.fullmatch, given)) else HIGH
            yield "password-literal", severity, "what its name calls a secret"
        for match in _LITERAL.finditer(line):
            if entropy(match[2]) > ENTROPY and _is_mixed(match[2]):
                yield "random-literal", MEDIUM, "a literal that looks like a key"


def _assigned(line: str) -> Iterator[tuple[str, str]]:
    """What has a telling name and a literal for its value."""
    for word in _NAME.finditer(line):
        given = _GIVEN.match(line, word.end())
        if given is not None:
            before = _IDENTIFIER.search(line[max(0, word.start() - _BEFORE) : word.start()])
            after = _WORD.match(line, word.end())
            yield f"{before[0] if before else ''}{word[0]}{after[0] if after else ''}", given["value"]


def _is_password(assigned: tuple[str, str]) -> bool:
    name, value = assigned
    if _OF_A_LANGUAGE.fullmatch(name):
        return len(value) > 9 and value.isalnum() and not value.isalpha() and not _HARMLESS.match(value)
    return len(value) > 3 and not _HARMLESS.match(value) and not _NO_SECRET.search(name)


def entropy(text: str) -> float:
    """Shannon's entropy in bits a character ("A Mathematical Theory of Communication", 1948)."""
    counts = Counter(text)
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts.values())


def _is_mixed(text: str) -> bool:
    """Letters of both cases and digits; an alphabet in order has that too, and is no secret."""
    ordered = sum(ord(after) - ord(before) == 1 for before, after in pairwise(text))
    kinds = (str.isupper, str.islower, str.isdigit)
    return all(any(map(kind, text)) for kind in kinds) and ordered < len(text) / 2
