"""No pattern of the program takes more than linear time over what strangers write."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import BuiltinMethodType
from typing import Any

import pytest

import syncd
from tests.regex_growth import Growth, growth_of

ROOT = Path(syncd.__file__).parent
ANY_USE = "finditer"
"""Taken for the use of a pattern that is handed on: the one in which most patterns grow."""

LINEAR_ALL_THE_SAME: dict[tuple[str, str], str] = {
    (
        "syncd.pipeline.chunk.solver",
        "_LINE",
    ): "what the first way reads to no end holds no line feed, where matches begin",
    ("syncd.pipeline.sparse.words", "_PIECE"): "capitals that the first way gives up are taken at once by the third",
    ("syncd.pipeline.sparse.tokens", "_PIECE"): "capitals that the first way gives up are taken at once by the third",
}
"""Patterns that only seem to grow, since another of their ways succeeds, and why."""

BUILT: dict[str, str] = {
    "syncd.cli.logs": "names of one source and its runs, escaped: there is nothing to repeat",
    "syncd.sources.globs": "pathspec wants a compiled pattern, of which it takes the text: RE2 does the matching, in linear time",
    "syncd.pipeline.parse.pdf_hyphens": "words of one page, at most a thousand, escaped: there is nothing to repeat",
}
"""Modules that build patterns from something else than literals, and why those cannot grow."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text()
        # Of the modules without patterns, some need an extra to be imported, and one is the program itself.
        if re.search(r"\bre\b", text):
            parts = path.relative_to(ROOT.parent).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), ast.parse(text)


def held(value: Any, depth: int = 4) -> Iterator[tuple[re.Pattern[Any], str]]:
    """Every pattern in a value, and the method it is bound to if it is."""
    if isinstance(value, re.Pattern):
        yield value, ""
    elif isinstance(value, BuiltinMethodType) and isinstance(value.__self__, re.Pattern):
        yield value.__self__, value.__name__
    elif depth and isinstance(value, dict):
        yield from (each for pair in value.items() for item in pair for each in held(item, depth - 1))
    elif depth and isinstance(value, tuple | list | set | frozenset):
        yield from (each for item in value for each in held(item, depth - 1))
    elif depth and isinstance(value, type) and value.__module__.startswith("syncd."):
        yield from (each for item in vars(value).values() for each in held(item, depth - 1))
    elif depth and hasattr(type(value), "__dataclass_fields__"):
        names = type(value).__dataclass_fields__
        yield from (each for name in names for each in held(getattr(value, name, None), depth - 1))


def uses(tree: ast.Module, name: str) -> set[str]:
    """The methods by which a module uses one of its names; ANY_USE where the name stands alone."""
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    by_method = [node for node in called if node.value.id == name]  # type: ignore[union-attr]
    alone = {
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
    } - {node.value for node in by_method}
    return {node.attr for node in by_method} | ({ANY_USE} if alone else set())


def of_names(module: str, tree: ast.Module) -> Iterator[tuple[str, re.Pattern[Any], str]]:
    for name, value in vars(importlib.import_module(module)).items():
        for pattern, bound in held(value):
            direct = isinstance(value, re.Pattern)
            for method in uses(tree, name) if direct else {bound or ANY_USE}:
                yield name, pattern, method


def written_inside(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Every use of `re` inside a function, and the method that decides."""
    inner = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    bound = {id(node.value): node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in inner:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=attr)) if attr != "escape":
                yield node, bound.get(id(node), ANY_USE) if attr == "compile" else attr


def literal(call: ast.Call) -> re.Pattern[Any] | None:
    first, *rest = call.args
    if not isinstance(first, ast.Constant):
        return None
    place = {"compile": 0, "search": 1, "match": 1, "fullmatch": 1, "split": 2, "findall": 1, "finditer": 1}
    place |= {"sub": 3, "subn": 3}
    at = place[call.func.attr]  # type: ignore[attr-defined]
    given = rest[at] if len(rest) > at else next((each.value for each in call.keywords if each.arg == "flags"), None)
    flags = eval(ast.unparse(given), {"re": re}) if given is not None else 0
    return re.compile(first.value, flags)


def patterns() -> Iterator[tuple[str, str, re.Pattern[Any], str]]:
    """Every pattern of the program with the module and the name, or the text, it has there, and a method it is used by."""
    for module, tree in modules():
        for name, pattern, method in of_names(module, tree):
            yield module, name, pattern, method
        for call, method in written_inside(tree):
            pattern = literal(call)
            if pattern is not None:
                yield module, str(pattern.pattern), pattern, method


EVERY = {(*where, str(pattern.pattern), method): pattern for *where, pattern, method in patterns()}


@pytest.mark.parametrize(("module", "name", "text", "method"), sorted(EVERY))
def test_a_pattern_takes_linear_time(module: str, name: str, text: str, method: str) -> None:
    growth = growth_of(EVERY[module, name, text, method], method)
    if (module, name) in LINEAR_ALL_THE_SAME:
        assert growth is Growth.POLYNOMIAL, f"{name} takes {growth.name.lower()} time: does it belong in that list?"
    else:
        assert growth is Growth.LINEAR, f"{text} takes {growth.name.lower()} time in {method}"


@pytest.mark.parametrize(
    ("text", "method", "growth"),
    [
        (r"\s*(<\?xml[^>]*>\s*|<!--.{0,2000}?-->\s*)*<html", "match", Growth.EXPONENTIAL),
        (r"(?s)\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<html", "match", Growth.EXPONENTIAL),
        (r"(a+)+$", "match", Growth.EXPONENTIAL),
        (r"(a*)*b", "match", Growth.EXPONENTIAL),
        (r"(a|b|ab)*c", "fullmatch", Growth.EXPONENTIAL),
        (r"(?:\w+\s?)*:", "search", Growth.EXPONENTIAL),
        (r"(a+)+", "match", Growth.LINEAR),
        (r"a*a*b", "match", Growth.POLYNOMIAL),
        (r"\s+$", "search", Growth.POLYNOMIAL),
        (r"\s+$", "match", Growth.LINEAR),
        (r"(?<!\s)\s+$", "search", Growth.LINEAR),
        (r"(?m)^\s*x", "search", Growth.POLYNOMIAL),
        (r"^\s*x", "search", Growth.LINEAR),
        (r"a(?:.*c)?", "findall", Growth.POLYNOMIAL),
        (r"a(?:.*c)?", "search", Growth.LINEAR),
        (r"<!--.*?-->", "search", Growth.POLYNOMIAL),
        (r"a*+a*b", "match", Growth.LINEAR),
        (r"\w+", "findall", Growth.LINEAR),
    ],
)
def test_growth_is_told_from_the_pattern(text: str, method: str, growth: Growth) -> None:
    assert growth_of(re.compile(text), method) is growth


def test_every_module_is_looked_through() -> None:
    looked = {module for module, _, _, _ in EVERY}
    assert {"syncd.redaction", "syncd.sources.web.media", "syncd.pipeline.parse.sniff", "syncd.api.upload"} <= looked


def test_patterns_built_from_anything_but_literals_are_known() -> None:
    found = {module for module, tree in modules() for call, _ in written_inside(tree) if literal(call) is None}
    assert found == set(BUILT)
