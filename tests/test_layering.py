"""Imports point one way, the pure packages stay pure, and names say something: held by walking the syntax trees."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).parent.parent / "apigw"

LAYERS = (
    {
        "__init__",
        "errors",
        "policy",
        "http1",
        "dates",
        "deadline",
        "loop",
        "outbound",
        "task",
        "transports",
        "demo",
        "notify",
        "starting",
    },
    {"config", "body", "collected", "identity", "redis"},
    {"messages"},
    {"routing", "pipeline", "streams"},
    {"finder", "stages", "keys", "state", "upstream", "telemetry", "extension"},
    {"core"},
    {"routes"},
    {"web", "admin"},
    {"sources"},
    {"upstreams"},
    {"sockets", "reload"},
    {"upgrade"},
    {"wiring"},
    {"doors"},
    {"service", "testing"},
    {"cli", "workers"},
    {"tap", "__main__"},
)
"""Each may import what stands in a line above its own, and no neighbour; a package may import itself."""

ONLY = {
    "policy": set(),
    "http1": set(),
    "demo": set(),
    "config": {"policy", "errors"},
    "identity": set(),
    "tap": {"__init__", "config", "loop", "notify", "reload", "service", "sockets", "starting", "upgrade", "workers"},
    "cli": {"config"},
    "__main__": {"cli"},
}
"""What is allowed less than its line."""

IMPURE = {
    "asyncio",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "select",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
    "treq",
    "twisted",
    "uuid",
    "zope",
}
"""I/O, time and chance, which come to policy and http1 as arguments."""

REACTOR = "twisted.internet.reactor"

VAGUE = {"Manager", "Handler", "Processor", "Engine", "Helper", "Util", "Utils", "Base"}


@frozen
class Import:
    """
    One name that a module imports.

    :ivar name: dotted; for ``from a import b`` it is ``a.b``, of which ``a`` is the module or the package.
    :ivar line: where.
    :ivar typing: only a type checker runs it.
    :ivar late: it runs when a function is called, not when the module is loaded.
    """

    name: str
    line: int
    typing: bool
    late: bool


def imports(tree: ast.AST, typing: bool = False, late: bool = False) -> Iterator[Import]:
    """All imports of a module; a relative one has an empty first part."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, typing, late)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Import(f"{'.' * node.level}{node.module or ''}.{alias.name}", node.lineno, typing, late)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                yield from imports(ast.Module([child], []), True, late)
            for child in node.orelse:
                yield from imports(ast.Module([child], []), typing, late)
        else:
            yield from imports(node, typing, late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def modules(root: Path = ROOT) -> dict[str, ast.Module]:
    """Name to tree: ``apigw.http1.head``; a package is named without ``__init__``."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text("utf-8"), str(path))
    return found


def layer(name: str) -> str | None:
    """The package or module right below apigw that this is in or of; None outside apigw."""
    parts = name.split(".")
    if parts[0] != "apigw":
        return None
    ours = parts[1] if len(parts) > 1 else "__init__"
    return "__init__" if ours.startswith("__") and ours != "__main__" else ours


def rank(of: str) -> int:
    """
    :raises LookupError: the table doesn't know it.
    """
    for number, names in enumerate(LAYERS):
        if of in names:
            return number
    raise LookupError(f"{of} is in no layer: give it a place in LAYERS")


def allowed(importer: str, imported: str) -> bool:
    """Between layers."""
    if importer == imported:
        return True
    if importer in ONLY:
        return imported in ONLY[importer]
    return rank(imported) < rank(importer)


def breaches(module: str, tree: ast.AST) -> Iterator[str]:
    """Imports that point the wrong way. Those only for types are left out: they load nothing."""
    ours = layer(module)
    assert ours is not None
    for one in imports(tree):
        theirs = layer(one.name)
        if one.name.startswith("."):
            yield f"{module}:{one.line}: relative import, name it in full"
        elif theirs is not None and not one.typing and not allowed(ours, theirs):
            yield f"{module}:{one.line}: {ours} may not import {theirs}"


def impurities(module: str, tree: ast.AST) -> Iterator[str]:
    for one in imports(tree):
        if one.name.split(".")[0] in IMPURE:
            yield f"{module}:{one.line}: {one.name}"


def reactors(module: str, tree: ast.AST) -> Iterator[str]:
    for one in imports(tree):
        if one.name == REACTOR or one.name.startswith(f"{REACTOR}."):
            yield f"{module}:{one.line}"


def vague(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and VAGUE & set(re.findall("[A-Z][a-z0-9]*", node.name)):
            yield node.name


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Some way through the graph that comes back to where it began; empty if there is none."""
    done: set[str] = set()

    def walk(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return []
        for following in sorted(graph[node]):
            if found := walk(following, [*way, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := walk(node, []))), [])


def loads(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """Which modules each module loads by being loaded, other than its own packages."""
    return {
        module: {
            one.name if one.name in trees else one.name.rpartition(".")[0]
            for one in imports(tree)
            if layer(one.name) is not None and not one.typing and not one.late
        }
        & set(trees) - {module}
        for module, tree in trees.items()
    }


def test_every_module_has_its_layer() -> None:
    for module in modules():
        rank(layer(module) or module)


def test_imports_point_one_way() -> None:
    assert [breach for module, tree in modules().items() for breach in breaches(module, tree)] == []


def test_policy_and_http1_are_pure() -> None:
    pure = {module: tree for module, tree in modules().items() if layer(module) in ("policy", "http1")}
    assert pure
    assert [impurity for module, tree in pure.items() for impurity in impurities(module, tree)] == []


def test_only_the_command_line_knows_the_global_reactor() -> None:
    found = [place for module, tree in modules().items() for place in reactors(module, tree)]
    assert [place for place in found if not place.startswith("apigw.tap:")] == []


def test_loading_everything_installs_no_reactor() -> None:
    """Not by way of a library either: whoever runs twistd chooses the reactor."""
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        f"sys.exit({REACTOR!r} in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, *modules()], cwd=ROOT.parent, check=True, timeout=30)


def test_no_module_loads_itself() -> None:
    assert cycle(loads(modules())) == []


def test_class_names_say_something() -> None:
    assert [f"{module}.{name}" for module, tree in modules().items() for name in vague(tree)] == []


@pytest.mark.parametrize(
    ("importer", "imported", "verdict"),
    [
        ("core", "messages", True),
        ("messages", "core", False),
        ("stages", "upstream", False),
        ("upstream", "upstream", True),
        ("config", "errors", True),
        ("config", "dates", False),
        ("policy", "errors", False),
        ("http1", "policy", False),
        ("tap", "core", False),
        ("service", "tap", False),
    ],
)
def test_the_rule_tells_directions_apart(importer: str, imported: str, verdict: bool) -> None:
    assert allowed(importer, imported) is verdict


def test_an_unknown_layer_is_found() -> None:
    with pytest.raises(LookupError, match="misc"):
        rank("misc")


@pytest.mark.parametrize(
    "source",
    [
        "from apigw.core import GatewayCore",
        "from apigw import core",
        "import apigw.core",
        "def later():\n    from apigw.core import GatewayCore",
        "from . import core",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    import apigw.core",
    ],
)
def test_a_breach_is_found_however_it_is_written(source: str) -> None:
    assert len(list(breaches("apigw.messages", ast.parse(source)))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from apigw.errors import GatewayError",
        "import json",
        "if TYPE_CHECKING:\n    from apigw.core import GatewayCore",
    ],
)
def test_what_is_no_breach_passes(source: str) -> None:
    assert list(breaches("apigw.messages", ast.parse(source))) == []


@pytest.mark.parametrize(
    "source",
    [
        "from twisted.internet import reactor",
        "import twisted.internet.reactor",
        "from twisted.internet.reactor import callLater",
        "def late():\n    from twisted.internet import reactor",
    ],
)
def test_a_reactor_is_found_however_it_is_imported(source: str) -> None:
    assert list(reactors("apigw.core", ast.parse(source)))


def test_impure_and_vague_are_found() -> None:
    tree = ast.parse("from time import monotonic\nclass PoolManager: ...\nclass Handlebar: ...\nclass Database: ...")
    assert list(impurities("apigw.policy.x", tree)) == ["apigw.policy.x:1: time.monotonic"]
    assert list(vague(tree)) == ["PoolManager"]


def test_a_cycle_is_found() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    sources = {"apigw.a": "from apigw.b import x", "apigw.b": "import apigw.a", "apigw.c": "import apigw.a"}
    assert cycle(loads({name: ast.parse(source) for name, source in sources.items()})) == [
        "apigw.a",
        "apigw.b",
        "apigw.a",
    ]
