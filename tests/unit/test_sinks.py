"""Nothing in our code turns text into SQL, a shell's command, a program or HTML; and whatever would is found."""

from pathlib import Path

import pytest

from tests.support.sinks import faults_of, terminal_faults_of

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("activities", "bench", "deploy", "gateway", "schema", "workers", "workflows")
MIGRATIONS = "schema/migrations/"

ALLOWED = {
    ("deploy/sandbox/standby.py", "evaluation: pickle.loads"): "in the sandbox, orders from its own process 1",
    (
        "deploy/sandbox/runner.py",
        "evaluation: importlib.import_module",
    ): "in the sandbox, the plugins that pytest names",
    ("deploy/sandbox/report_plugin.py", "evaluation: importlib.import_module"): "in the sandbox, where tests import",
    (
        "deploy/sandbox/guards/material.py",
        "evaluation: compile",
    ): "in the sandbox, to see whether Python can; what comes of it is dropped",
    ("deploy/sandbox/remedies/syntax.py", "evaluation: compile"): "the same",
    (
        "deploy/sandbox/remedies/imports.py",
        "evaluation: importlib.import_module",
    ): "in the sandbox, a module of the standard library, to see what is in it",
    (
        "schema/guideline_likeness.py",
        "evaluation: importlib.import_module",
    ): "modules of the standard library that it names itself, for the names in them",
    ("gateway/cli.py", "evaluation: importlib.import_module"): "the modules of a table of its own",
    ("gateway/revocations.py", "sql: sqlalchemy.text"): "an interval of two constants of the module that it imports",
}
"""Each with its reason. A new one needs a better."""


def _sources() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def _found() -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for path in _sources():
        name = path.relative_to(ROOT).as_posix()
        for fault in faults_of(path.read_text(), migration=name.startswith(MIGRATIONS)):
            found[(name, fault)] = found.get((name, fault), 0) + 1
    return found


def test_the_repository_has_no_sink_that_takes_text() -> None:
    assert len(_sources()) > 150
    assert set(_found()) - set(ALLOWED) == set()


def test_each_exception_is_needed_and_stands_for_one_place() -> None:
    found = _found()

    assert {key: found.get(key, 0) for key in ALLOWED} == dict.fromkeys(ALLOWED, 1)


def test_the_command_line_prints_through_the_terminals_rules_and_json_as_ascii() -> None:
    modules = [*(ROOT / "gateway").glob("cli*.py"), ROOT / "gateway/client.py"]

    assert len(modules) > 10
    assert {path.name: terminal_faults_of(path.read_text()) for path in modules} == {path.name: [] for path in modules}


@pytest.mark.parametrize(
    "source",
    [
        "print(event.model_dump_json())",
        "import json\nprint(json.dumps(x, ensure_ascii=False))",
        "from rich.console import Console\nConsole().print(x)",
        "from rich import print\nprint(x)",
        "import typer\ntyper.echo(x)",
        "import sys\nsys.stdout.write(x)",
    ],
)
def test_a_line_that_prints_past_the_terminals_rules_is_found(source: str) -> None:
    assert terminal_faults_of(source) != []


BAD = {
    "sql": [
        "from sqlalchemy import text\nc.execute(text(f'SELECT {x}'))",
        "from sqlalchemy import text\nc.execute(text('SELECT ' + x))",
        "from sqlalchemy import text\nc.execute(text('SELECT %s' % x))",
        "from sqlalchemy import text\nc.execute(text('SELECT {}'.format(x)))",
        "from sqlalchemy import text\nc.execute(text(', '.join(x)))",
        "from sqlalchemy import text as t\nc.execute(t(f'SELECT {x}'))",
        "import sqlalchemy as sa\nc.execute(sa.text(query))",
        "import sqlalchemy\nsqlalchemy.literal_column(f'{x}')",
        "from sqlalchemy import text\ndef f(query):\n    return text(query)",
        "from sqlalchemy import text\nquery = 'SELECT 1'\nquery += x\ntext(query)",
        "from sqlalchemy import text\nfor query in queries:\n    text(query)",
        "from sqlalchemy import text\ntext(read())",
        "from sqlalchemy import text\ntext(x if y else 'SELECT 1')",
        "from sqlalchemy.sql import text\ntext(f'{x}')",
        "c.execute(f'SELECT {x}')",
        "c.execute('SELECT ' + x)",
        "c.execute('SELECT %s' % x)",
        "c.execute(b'LISTEN ' + x)",
        "c.execute('SELECT {}'.format(x))",
        "query = f'SELECT {x}'\nc.execute(query)",
        "c.exec_driver_sql(query)",
        "c.exec_driver_sql(f'SELECT {x}')",
        "await c.scalar('SELECT ' + x)",
        "from psycopg import sql\nc.execute(sql.SQL(x).format(y))",
        "from psycopg import sql\nc.execute(sql.SQL(f'SELECT {x}'))",
    ],
    "shell": [
        "import os\nos.system('ls')",
        "import os as o\no.popen(x)",
        "import subprocess\nsubprocess.run(['ls'], shell=True)",
        "import subprocess\nsubprocess.run(['ls'], shell=x)",
        "import subprocess\nsubprocess.run('ls')",
        "import subprocess\nsubprocess.Popen(f'ls {x}')",
        "import subprocess\nsubprocess.run('ls ' + x)",
        "import subprocess\ncommand = 'ls'\nsubprocess.run(command)",
        "from subprocess import check_output as out\nout('ls %s' % x)",
        "import subprocess\nsubprocess.getoutput(x)",
        "import subprocess\nsubprocess.run(['/bin/sh', '-c', x])",
        "import asyncio\nasyncio.create_subprocess_shell(x)",
        "import asyncio\nasyncio.create_subprocess_exec('bash', '-c', x)",
    ],
    "evaluation": [
        "eval(x)",
        "exec('x = 1')",
        "compile(x, '', 'exec')",
        "__import__(x)",
        "import builtins\nbuiltins.eval(x)",
        "import pickle\npickle.loads(x)",
        "from pickle import load as l\nl(x)",
        "import marshal\nmarshal.loads(x)",
        "import shelve\nshelve.open(x)",
        "import yaml\nyaml.load(x, Loader=yaml.Loader)",
        "import yaml\nyaml.unsafe_load(x)",
        "from jinja2 import Template\nTemplate(x)",
        "import importlib\nimportlib.import_module(x)",
    ],
    "html": [
        "HTMLResponse(f'<p>{x}</p>')",
        "HTMLResponse(f'<p>{x.title}</p>')",
        "HTMLResponse('<p>%s</p>' % x)",
        "HTMLResponse('<p>' + x + '</p>')",
        "HTMLResponse('<p>{}</p>'.format(x))",
        "Response(f'<p>{x}</p>', media_type='text/html')",
        "page = ''.join(f'<li>{x}</li>' for x in y)\nHTMLResponse(page)",
        "parts = ''.join(x for x in y)\nHTMLResponse(f'<ul>{parts}</ul>')",
        "def part(x):\n    return f'<b>{x}</b>'\nHTMLResponse(f'<p>{part(x)}</p>')",
    ],
}
GOOD = [
    "from sqlalchemy import text\nc.execute(text('SELECT :x'), {'x': x})",
    "from sqlalchemy import text\nQUERY = 'SELECT ' 'now()'\nc.execute(text(QUERY))",
    "from sqlalchemy import select\nc.execute(select(t.c.a).where(t.c.b == f'{x}'))",
    "from psycopg import sql\nc.execute(sql.SQL('CREATE ROLE {}').format(sql.Identifier(x)))",
    "CHANNEL = b'news'\nc.execute(b'LISTEN ' + CHANNEL)",
    "query = select(t)\nc.execute(query.limit(1))",
    "def text(path): return path\ntext(f'/proc/{x}')",
    "import subprocess\nsubprocess.run(['ls', x], shell=False)",
    "import subprocess\ncommand = [*tool, '--name', x]\nsubprocess.run(command)",
    "import asyncio\nasyncio.create_subprocess_exec('ls', x)",
    "import re, ast, yaml\nre.compile(x)\nast.literal_eval(x)\nyaml.safe_load(x)",
    "import importlib\nimportlib.import_module('workers.main')",
    "from html import escape\nHTMLResponse(f'<p>{escape(x)}</p>')",
    "from html import escape\nrows = ''.join(f'<li>{escape(x)}</li>' for x in y)\nHTMLResponse(f'<ul>{rows}</ul>')",
    "def f(x):\n    return f'<{x}>'",
]


@pytest.mark.parametrize(("kind", "source"), [(kind, source) for kind, sources in BAD.items() for source in sources])
def test_a_bad_line_is_found(kind: str, source: str) -> None:
    assert any(fault.startswith(f"{kind}:") for fault in faults_of(source))


@pytest.mark.parametrize("source", GOOD)
def test_a_good_line_is_left_alone(source: str) -> None:
    assert faults_of(source) == []


def test_a_migration_may_put_its_own_constants_into_sql_and_nothing_else() -> None:
    constants = "TABLES = ('a', 'b')\nfor table in TABLES:\n    op.execute(f'ALTER TABLE {table} ADD x')"
    given = "def up(table):\n    op.execute(f'ALTER TABLE {table} ADD x')"

    assert faults_of(constants, migration=True) == []
    assert faults_of(constants) == ["sql: op.execute"]
    assert faults_of(given, migration=True) == ["sql: op.execute"]
