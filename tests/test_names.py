"""A public name is bound in one module only, so that a word of the code means one thing; what implements a contract bears its name."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "syncd"

PLUGINS = {
    "read": "a format's reader",
    "parsed": "a mail format's reader",
    "blocks_of": "a markup language's scanner",
    "factory": "a source type's parts",
    "add_arguments": "a source type's parts",
    "settings": "a source type's parts",
    "make_embedder": "an engine's way to run",
    "obstacle": "an engine's way to run",
    "open_kernel": "an engine's kernel",
    "main": "a program of its own",
    "add_parser": "a command's parser",
    "routes": "a part of the API",
    "ROUTES": "a part of the API",
    "log": "a module's logger",
}
"""Names that many modules bind because they do the same for whoever calls them."""

SURFACES = {"syncd/api", "syncd/cli"}
"""Handlers and commands are called as the verbs that people use: `show`, `verify`, `search`."""


def names_bound_by(path: Path) -> Iterator[str]:
    """Yield the public names that a module defines; single letters are type variables and XML prefixes."""
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found = [name]
            case ast.Assign(targets=targets):
                found = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                found = [name]
            case _:
                found = []
        yield from (name for name in found if not name.startswith("_") and len(name) > 1)


def verbs_of(path: Path) -> set[str]:
    """Return the asynchronous functions of a module of the API or the command line."""
    if path.parent.relative_to(PACKAGE.parent).as_posix() not in SURFACES:
        return set()
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.AsyncFunctionDef)}


def test_no_public_name_is_bound_in_two_modules():
    bound = defaultdict[str, list[str]](list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in set(names_bound_by(path)) - verbs_of(path) - PLUGINS.keys():
            bound[name].append(str(path.relative_to(PACKAGE)))
    assert {name: modules for name, modules in bound.items() if len(modules) > 1} == {}


def test_the_contract_names_are_still_used_by_several_modules():
    bound = defaultdict[str, int](int)
    for path in PACKAGE.rglob("*.py"):
        for name in set(names_bound_by(path)):
            bound[name] += 1
    assert [name for name in PLUGINS if bound[name] < 2] == []
