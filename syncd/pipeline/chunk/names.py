"""What a definition is called, looked up in its syntax node when somebody asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tree_sitter import Node

from syncd.pipeline.chunk.kinds import HEADED, NAMED, SPOKEN, WRAPPERS

NAME_BYTES = 120
_DEPTH = 8
_LOOKED_AT = 4
_FIELDS = ("name", "key")
_INNER_FIELDS = ("declarator", "declaration", "definition", "type")
_IDENTIFIER = re.compile(r"(?:identifier|name|word|constant|key|bare_key|string|scalar|object_reference)$|^name|_name$")
_WAY_IN = re.compile(r"(?:declarator|spec|signature|head|binding|call_expression|clause)$")
_WRAPPED = re.compile(rf"{NAMED}$|^create_")
_SPOKEN = re.compile(rb"\(?(def\S*|fn)\s+\(?([^\s(),]+)")
_KEYWORDS = frozenset(("function", "fn", "func", "def", "lambda", "sub"))
_QUALIFIED = frozenset(("qualified_identifier", "scoped_identifier"))
_VARIABLES = frozenset(("lexical_declaration", "variable_declaration"))
_QUOTED_DOT = re.compile(r"([`\"])\.\1|\]\.\[")
_KIND = re.compile(rf"{NAMED}$")


@dataclass(slots=True)
class Definition:
    """Something with a name, from `start` to `end` (bytes of its part)."""

    start: int
    end: int
    node: Node
    flags: int

    def symbol(self, data: bytes) -> tuple[str, str]:
        """Return the defined name, '' when there is none, and what is defined."""
        name = self._name(data)
        return (name, self._kind(data)) if name else ("", "")

    def _name(self, data: bytes) -> str:
        if self.flags & SPOKEN:
            spoken = spoken_definition(data, self.start, self.end)
            return spoken.group(2)[:NAME_BYTES].decode("utf-8", "ignore") if spoken else ""
        if self.flags & HEADED:
            return _clean(
                re.split(rb"[{:\n]", data[self.start : min(self.end, self.start + NAME_BYTES)], maxsplit=1)[0]
            )
        return _name(self.node, data)

    def _kind(self, data: bytes) -> str:
        """Return 'function', 'class', 'impl', …; for Lisps and Elixir the defining word."""
        if self.flags & SPOKEN:
            spoken = spoken_definition(data, self.start, self.end)
            return spoken.group(1)[:NAME_BYTES].decode("utf-8", "ignore") if spoken else ""
        node = _unwrapped(self.node)
        kind = node.type
        if kind not in _VARIABLES:
            return _kind_of(kind)
        value = node.named_children[0].child_by_field_name("value") if node.named_child_count else None
        return "function" if value is not None and "function" in value.type else "variable"


@cache
def _kind_of(node_type: str) -> str:
    return _KIND.sub("", node_type)


def spoken_definition(data: bytes, start: int, end: int) -> re.Match[bytes] | None:
    """Match a definition written as a call or list at `start`: group 1 its word, group 2 its name."""
    return _SPOKEN.match(data, start, min(end, start + 2 * NAME_BYTES))


def _unwrapped(node: Node) -> Node:
    """Return the definition inside an export, decoration or template."""
    if node.type not in WRAPPERS:
        return node
    inner = node.child_by_field_name("declaration") or node.child_by_field_name("definition")
    if inner is not None:
        return inner
    return next((child for child in reversed(node.named_children[:8]) if _WRAPPED.search(child.type)), node)


def _name(node: Node, data: bytes) -> str:
    """Return the name a definition gives, looking through wrappers and declarators."""
    for _ in range(_DEPTH):
        node = _unwrapped(node)
        if node.type in _QUALIFIED:
            return _clean(data[node.start_byte : node.end_byte])
        for field in _FIELDS:
            found = node.child_by_field_name(field)
            if found is not None and (name := _clean(data[found.start_byte : found.end_byte])) not in _KEYWORDS:
                return name
        inner = next((child for field in _INNER_FIELDS if (child := node.child_by_field_name(field))), None)
        if inner is None:
            for child in _first_children(node):
                if _IDENTIFIER.search(child.type):
                    return _QUOTED_DOT.sub(".", _clean(data[child.start_byte : child.end_byte]))
                if _WAY_IN.search(child.type):
                    inner = child
                    break
        if inner is None:
            return ""
        if not inner.named_child_count:
            return _clean(data[inner.start_byte : inner.end_byte])
        node = inner
    return ""


def _first_children(node: Node) -> Iterator[Node]:
    """Yield the first few named children without making all of them."""
    for number in range(min(node.named_child_count, _LOOKED_AT)):
        yield node.named_child(number)


def _clean(text: bytes) -> str:
    return " ".join(text[:NAME_BYTES].decode("utf-8", "ignore").split()).strip("\"'`")
