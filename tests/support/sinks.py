"""Finds in source code where text could become a command: SQL, processes, evaluation, HTML. Nothing of it is run."""

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator

SQL_TEXTS = frozenset({"text", "literal_column", "DDL", "exec_driver_sql", "SQL"})
EXECUTES = frozenset({"execute", "executemany", "scalar", "scalars", "stream", "stream_scalars"})
BUILDERS = frozenset({"format", "format_map", "join", "replace", "substitute", "safe_substitute"})
RUNS = frozenset({"run", "call", "check_call", "check_output", "Popen"})
SHELLS = frozenset({"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"})
INTERPRETERS = frozenset({"sh", "bash", "dash", "zsh", "cmd", "powershell"})
EVALUATES = frozenset({"eval", "exec", "compile", "__import__"})
LOADS = frozenset(
    {"yaml.load", "yaml.load_all", "yaml.full_load", "yaml.full_load_all", "yaml.unsafe_load", "yaml.unsafe_load_all"}
)
OPENS_OBJECTS = ("pickle.load", "pickle.Unpickler", "marshal.load", "shelve.", "dill.", "jsonpickle.", "joblib.load")
UNCLEAN = ("rich.print", "rich.console.Console", "typer.echo", "typer.secho", "click.echo", "sys.stdout.write")
TEMPLATES = ("jinja2.", "mako.", "chameleon.", "string.Template")


def faults_of(source: str, *, migration: bool = False) -> list[str]:
    """What is wrong with a module, each as `kind: call`; a migration may put its own constants into SQL."""
    module = _Module(ast.parse(source), migration=migration)
    return [fault for call in module.calls for fault in module.faults(call)] + module.html_faults()


def terminal_faults_of(source: str) -> list[str]:
    """Where a module of the command line prints past `gateway.terminal`, or writes JSON that is not plain ASCII."""
    module = _Module(ast.parse(source), migration=False)
    return [f"terminal: {module.name_of(call)}" for call in module.calls if module.is_unclean(call)]


class _Module:
    """A module's names, as far as they can be known without running it."""

    def __init__(self, tree: ast.Module, *, migration: bool) -> None:
        self._migration = migration
        self._imported: dict[str, str] = {}
        self._values: dict[str, list[ast.expr]] = defaultdict(list)
        self._nodes = list(ast.walk(tree))
        self._functions = {
            node.name for node in self._nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        self.calls = [node for node in self._nodes if isinstance(node, ast.Call)]
        for node in self._nodes:
            self._learn(node)

    def faults(self, call: ast.Call) -> Iterator[str]:
        """What is wrong with one call."""
        name = self._name(call.func)
        for kind, is_fault in _RULES.items():
            if is_fault(self, name, call):
                yield f"{kind}: {name}"

    def is_sql_of_text(self, name: str, call: ast.Call) -> bool:
        last = name.rpartition(".")[2]
        if last in EXECUTES:
            return bool(call.args) and self._is_built(call.args[0])
        ours = name in SQL_TEXTS or name.startswith(("sqlalchemy.", "psycopg."))
        if last not in SQL_TEXTS or not (ours or last == "exec_driver_sql"):
            return False
        # A module's own function of that name is another.
        return name not in self._functions and bool(call.args) and not self._is_constant(call.args[0])

    def is_shell(self, name: str, call: ast.Call) -> bool:
        if name in SHELLS or name.endswith(("create_subprocess_shell", "subprocess_shell")):
            return True
        if any(word.arg == "shell" and not _is_false(word.value) for word in call.keywords):
            return True
        if not call.args:
            return False
        command = call.args[0]
        if name.startswith("subprocess.") and name.partition(".")[2] in RUNS:
            return self._is_text(command) or _is_interpreter(command)
        return name.endswith("create_subprocess_exec") and _is_interpreter(ast.List(elts=call.args))

    def is_evaluation(self, name: str, call: ast.Call) -> bool:
        if name.removeprefix("builtins.") in EVALUATES or name in LOADS or name.startswith(OPENS_OBJECTS + TEMPLATES):
            return True
        return name.endswith("import_module") and not (call.args and self._is_constant(call.args[0]))

    def name_of(self, call: ast.Call) -> str:
        return self._name(call.func)

    def is_unclean(self, call: ast.Call) -> bool:
        name = self._name(call.func)
        if name == "print" or name.endswith(".write"):
            told = [node for part in call.args for node in ast.walk(part) if isinstance(node, ast.Call)]
            return name in UNCLEAN or any(self._is_raw_json(each) for each in told)
        return name in UNCLEAN

    def _is_raw_json(self, call: ast.Call) -> bool:
        escapes_less = any(word.arg == "ensure_ascii" for word in call.keywords)
        return escapes_less or (isinstance(call.func, ast.Attribute) and call.func.attr == "model_dump_json")

    def html_faults(self) -> list[str]:
        """In a module that answers with HTML, whatever stands between tags is escaped, or made of what is."""
        if not any(self._is_html(call) for call in self.calls):
            return []
        texts = [node for node in self._nodes if isinstance(node, ast.JoinedStr) and "<" in _constant_part(node)]
        parts = [part for text in texts for part in text.values if isinstance(part, ast.FormattedValue)]
        faults = [f"html: {ast.unparse(part.value)}" for part in parts if not self._is_escaped(part.value)]
        others = [node for node in self._nodes if isinstance(node, ast.expr) and self._is_built(node)]
        tagged = [
            node for node in others if not isinstance(node, ast.JoinedStr | ast.Name) and "<" in _first_text(node)
        ]
        return faults + [f"html: {ast.unparse(node)}" for node in tagged]

    def _is_html(self, call: ast.Call) -> bool:
        types = [word.value for word in call.keywords if word.arg == "media_type"]
        return self._name(call.func).endswith("HTMLResponse") or any(_is(each, "text/html") for each in types)

    def _is_escaped(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Call):
            name = self._name(node.func)
            return name == "html.escape" or name in self._functions or self._is_joined(node)
        if isinstance(node, ast.Name):
            values = self._values[node.id]
            return node.id.isupper() or (bool(values) and all(self._is_escaped(value) for value in values))
        return isinstance(node, ast.Constant | ast.JoinedStr)

    def _is_joined(self, node: ast.Call) -> bool:
        """`"".join(…)` of parts that are looked at by themselves."""
        parts = node.args[0] if node.args else None
        whole = isinstance(node.func, ast.Attribute) and node.func.attr == "join"
        return whole and isinstance(parts, ast.GeneratorExp | ast.ListComp) and self._is_escaped(parts.elt)

    def _name(self, node: ast.expr) -> str:
        """The full name of what is called, by the module's imports."""
        if isinstance(node, ast.Name):
            return self._imported.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            return f"{self._name(node.value)}.{node.attr}"
        return ""

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            self._imported |= {each.asname or each.name: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            self._imported |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            self._assign(node.target, node.iter)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value is not None:
            self._assign(node.target, node.value)
        elif isinstance(node, ast.arg):
            # Whatever a caller gives.
            self._values[node.arg].append(ast.Await(value=ast.Constant(value=None)))

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                self._values[node.id].append(value)

    def _is_constant(self, node: ast.expr, depth: int = 0) -> bool:
        def all_constant(nodes: list[ast.expr]) -> bool:
            return all(self._is_constant(each, depth + 1) for each in nodes)

        if depth > 20:
            return False
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.Name):
            if self._migration and node.id.isupper() and node.id in self._imported:
                return True
            return bool(self._values[node.id]) and all_constant(self._values[node.id])
        if isinstance(node, ast.Tuple | ast.List):
            return all_constant(node.elts)
        if isinstance(node, ast.BinOp):
            return all_constant([node.left, node.right])
        if isinstance(node, ast.JoinedStr) and self._migration:
            return all_constant([part.value for part in node.values if isinstance(part, ast.FormattedValue)])
        return False

    def _is_built(self, node: ast.expr, depth: int = 0) -> bool:
        """Whether it is text, put together from more than the module's own constants."""
        if depth > 20 or self._is_constant(node):
            return False
        if isinstance(node, ast.Name):
            return any(self._is_built(value, depth + 1) for value in self._values[node.id])
        if isinstance(node, ast.BinOp):
            return any(self._is_text(side, depth + 1) for side in (node.left, node.right))
        if isinstance(node, ast.Call):
            return isinstance(node.func, ast.Attribute) and node.func.attr in BUILDERS and not self._quotes(node.func)
        return isinstance(node, ast.JoinedStr)

    def _quotes(self, method: ast.Attribute) -> bool:
        """psycopg's `SQL(…).format(…)` takes only what it quotes; what its SQL is made of is looked at by itself."""
        return isinstance(method.value, ast.Call) and self._name(method.value.func) == "psycopg.sql.SQL"

    def _is_text(self, node: ast.expr, depth: int = 0) -> bool:
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str | bytes)
        if isinstance(node, ast.Name) and depth <= 20:
            return any(self._is_text(value, depth + 1) for value in self._values[node.id])
        return isinstance(node, ast.JoinedStr) or self._is_built(node, depth + 1)


_RULES: dict[str, Callable[[_Module, str, ast.Call], bool]] = {
    "sql": _Module.is_sql_of_text,
    "shell": _Module.is_shell,
    "evaluation": _Module.is_evaluation,
}


def _is(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value == value


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _is_interpreter(command: ast.expr) -> bool:
    """`sh -c …`: a shell, whatever the list around it."""
    if not isinstance(command, ast.List | ast.Tuple) or not command.elts:
        return False
    program = command.elts[0]
    name = str(program.value).rpartition("/")[2] if isinstance(program, ast.Constant) else ""
    return name in INTERPRETERS and any(_is(each, "-c") for each in command.elts)


def _constant_part(text: ast.JoinedStr) -> str:
    return "".join(str(part.value) for part in text.values if isinstance(part, ast.Constant))


def _first_text(node: ast.AST) -> str:
    """The text that a format, a sum or a call of a text's method begins with."""
    if isinstance(node, ast.BinOp):
        return _first_text(node.left) + _first_text(node.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _first_text(node.func.value)
    return str(node.value) if isinstance(node, ast.Constant) else ""
