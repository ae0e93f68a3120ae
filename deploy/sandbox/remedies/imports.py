"""Imports that a file forgot: modules of the standard library and their best-known members. Standard library only."""

from __future__ import annotations

import ast
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
_DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_NEVER = frozenset({"this", "antigravity", "test", "idlelib", "turtledemo", "lib2to3", "turtle", "tkinter"})


def could_be_imported(name: str, files: Iterable[str]) -> bool:
    """Whether this name is one that the standard library surely means, and no file of the candidate's."""
    own = {path.split("/")[0].removesuffix(".py") for path in files}
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
        return f"import {name}"
    return f"from {MEMBERS[name]} import {name}" if name in MEMBERS else None


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
