"""Imports that a file forgot: modules of the standard library and their best-known members. Standard library only."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Collection, Iterable

from deploy.sandbox.remedies.edits import Edit, Source, applied, first_line

MEMBERS = {
    member: module
    for module, members in {
        "abc": "ABC abstractmethod",
        "bisect": "bisect_left bisect_right insort",
        "collections": "Counter OrderedDict defaultdict deque namedtuple ChainMap",
        "collections.abc": "Callable Generator Hashable Iterable Iterator Mapping MutableMapping Sequence Sized",
        "contextlib": "contextmanager suppress asynccontextmanager ExitStack",
        "copy": "deepcopy",
        "dataclasses": "dataclass field asdict astuple replace",
        "datetime": "date datetime timedelta timezone",
        "decimal": "Decimal ROUND_HALF_UP InvalidOperation",
        "enum": "Enum IntEnum StrEnum Flag auto",
        "fractions": "Fraction",
        "functools": "cache cached_property cmp_to_key lru_cache partial reduce total_ordering wraps",
        "heapq": "heapify heappop heappush nlargest nsmallest",
        "io": "BytesIO StringIO",
        "itertools": "accumulate chain combinations count cycle groupby islice pairwise permutations product starmap"
        " takewhile zip_longest",
        "math": "ceil comb factorial floor gcd hypot inf isclose isqrt lcm log2 log10 pi prod sqrt",
        "operator": "attrgetter itemgetter methodcaller",
        "pathlib": "Path PurePath PurePosixPath",
        "string": "ascii_letters ascii_lowercase ascii_uppercase punctuation",
        "types": "MappingProxyType SimpleNamespace",
        "typing": "Any ClassVar Dict FrozenSet Generic List Literal NamedTuple Optional Protocol Set Tuple Type"
        " TypedDict TypeVar Union cast overload",
        "uuid": "UUID uuid4",
    }.items()
    for member in members.split()
}
"""Names that mean one thing wherever they stand."""
_CONSTANTS = frozenset({"pi", "inf", "ascii_letters", "ascii_lowercase", "ascii_uppercase", "punctuation"})
_DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_NEVER = frozenset({"this", "antigravity", "test", "idlelib", "turtledemo", "lib2to3", "turtle", "tkinter"})


def could_be_imported(name: str, files: Iterable[str]) -> bool:
    """Whether this name is one that the standard library surely means, and no file of the candidate's."""
    own = {part.removesuffix(".py") for path in files for part in path.split("/")}
    return name not in own and (name in MEMBERS or _is_module(name))


def with_imports(source: Source, missing: Collection[str], files: Iterable[str]) -> str:
    """The text with the imports of these names in front of its first statement."""
    known = list(files)
    lines = [_import_of(source.tree, name) for name in sorted(missing) if could_be_imported(name, known)]
    wanted = sorted({line for line in lines if line is not None})
    if not wanted:
        return source.text
    made = "".join(f"{line}{source.newline}" for line in wanted)
    preamble, following = _preamble(source.tree)
    if following is None:
        return source.text
    if source.indentation(following) is None:
        # On one line with the docstring: an import in front of it would take its place.
        return source.text
    if preamble is not None and (preamble.end_lineno or preamble.lineno) < first_line(following):
        # What separates the preamble from the rest stays behind the imports.
        place = source.line_start((preamble.end_lineno or preamble.lineno) + 1)
        made = source.newline + made
    else:
        place = source.line_start(first_line(following))
        if not isinstance(following, ast.Import | ast.ImportFrom):
            # A definition stands after two empty lines, anything else after one.
            made += source.newline * (2 if isinstance(following, _DEFINITION) else 1)
    return applied(source.text, [Edit(place, place, made)])


def _import_of(tree: ast.Module, name: str) -> str | None:
    """A module where it is used by its members; else the member of that name."""
    bases = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
    as_module = bool(uses) and all(id(node) in bases for node in uses)
    if name == "datetime":
        # The module is of the same name as its best-known class.
        attributes = {
            node.attr for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
        }  # fmt: skip
        as_module = as_module and bool(attributes & {"datetime", "date", "timedelta", "timezone", "time"})
        as_module = as_module and not attributes & {
            "now",
            "strptime",
            "utcnow",
            "today",
            "fromisoformat",
            "fromtimestamp",
        }
    if as_module and _is_module(name):
        return _import_of_module(tree, name)
    known = name in MEMBERS and (not name.islower() or _is_used_as_one(tree, uses))
    return f"from {MEMBERS[name]} import {name}" if known else None


def _import_of_module(tree: ast.Module, name: str) -> str | None:
    """The import of a module, or of the modules in it, that has all that the file uses of it. A name of which it lacks
    something means another thing, and to import it would but hide that."""
    wanted = set()
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name):
            continue
        try:
            module = importlib.import_module(name)
            within = hasattr(module, "__path__") and importlib.util.find_spec(f"{name}.{node.attr}") is not None
        except Exception:
            return None
        if within:
            wanted.add(_longest_module(tree, node, f"{name}.{node.attr}"))
        elif hasattr(module, node.attr):
            wanted.add(name)
        else:
            return None
    return f"import {', '.join(sorted(wanted))}" if wanted else None


def _longest_module(tree: ast.Module, node: ast.Attribute, module: str) -> str:
    """The module within modules that `a.b.c.d` names, as far as there is one."""
    outer = next((one for one in ast.walk(tree) if isinstance(one, ast.Attribute) and one.value is node), None)
    if outer is None:
        return module
    longer = f"{module}.{outer.attr}"
    try:
        found = importlib.util.find_spec(longer)
    except (ImportError, ValueError):
        found = None
    return module if found is None else _longest_module(tree, outer, longer)


def _is_used_as_one(tree: ast.Module, uses: list[ast.Name]) -> bool:
    """Whether a name in small letters is called, asked for its members, decorates or annotates: as a value by itself
    it may be a slip of the pen (`count` for `counts`)."""
    known: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            known.add(id(node.func))
        elif isinstance(node, ast.Attribute):
            known.add(id(node.value))
        elif isinstance(node, _DEFINITION):
            known.update(map(id, node.decorator_list))
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(annotation, ast.AST):
                known.update(map(id, ast.walk(annotation)))
    return any(id(use) in known for use in uses) or (bool(uses) and uses[0].id in _CONSTANTS)


def _is_module(name: str) -> bool:
    return name in sys.stdlib_module_names and not name.startswith("_") and name not in _NEVER


def _preamble(tree: ast.Module) -> tuple[ast.stmt | None, ast.stmt | None]:
    """The last of what must stand before all other imports, the docstring or one of `__future__`, and what follows."""
    last: ast.stmt | None = None
    for number, statement in enumerate(tree.body):
        documents = number == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not (documents or (isinstance(statement, ast.ImportFrom) and statement.module == "__future__")):
            return last, statement
        last = statement
    return last, None
