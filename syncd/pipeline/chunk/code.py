"""Where source code may be cut, by its syntax tree: between definitions, members, statements; and what is defined where.

Only nodes over the target size are entered, so walking costs a small part of parsing. Errors in the source are nodes like
any other. Nothing here is per language except how Elixir spells a definition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Language, Node, Parser

from syncd.pipeline.chunk.solver import Cuts, Limits

ITEM_COST = 1.0
DEPTH_COST = 1.0
IN_FUNCTION_COST = 6.0
EXPRESSION_COST = 6.0
HEAD_COST = 60.0
"""Between a definition's head and its first member."""
GLUE_COST = 30.0
"""Between a comment, attribute or decorator and what it stands above."""
END_COST = 2.0
"""After a definition that only just fits, before its closing brackets."""
MAXIMUM_LEVEL = 120
_INDENT_BYTES = 256
_NAME_DEPTH = 6

_NAMED = r"(?:_(?:definition|declaration|item|statement|specifier|spec|stmt|def|decl|implementation|expression))"
_FUNCTION = re.compile(
    r"(?:^|_)(?:function|method|constructor|destructor|func|fun|procedure|subroutine|init|deinit|defun|fn|subprogram"
    rf"|getter|setter|operator|macro)(?:{_NAMED}$|_clause$)|(?:^|_)(?:function|method|subroutine|procedure)$"
)
_TYPE = re.compile(
    r"(?:^|_)(?:class|struct|enum|interface|trait|impl|module|mod|namespace|package|object|protocol|extension|record"
    rf"|union|type|contract|library|service|message|table|view|block|resource|companion|rule){_NAMED}$"
    r"|^(?:class|module|struct|message|service|enum|rule_set|table|table_array_element|section|contract)$"
)
_KEYED = re.compile(r"^(?:pair|block_mapping_pair|attribute|property|assignment|binding)$")
_GLUE = re.compile(r"comment|^attribute_(?:item|list)$|annotation|decorator|^inner_attribute")
_INNER = re.compile(
    r"(?:^|_)(?:body|block|suite|clause|parameters?|arguments|identifier|name|list|then|else|elif|elsif|catch|finally"
    r"|except|rescue|ensure|modifiers?|superclass|heritage|type)$"
)
_STATEMENTS = re.compile(
    r"(?:^|_)(?:body|block|statements?|suite|program|module|source_file|unit|then|declarations?|members?|document"
    r"|(?:declaration|variant|statement|member|item)_list|statement_block|stream|stylesheet|source|switch_block|do_block|ERROR)$|^preproc_(?:if|else|elif)"
)
_LIST = re.compile(r"^(?:array|object|list|dictionary|tuple|table|element)$|argument|_list$|_mapping$|_sequence$")
_IDENTIFIER = re.compile(r"(?:identifier|name|word|constant|key|bare_key|string|scalar)$|^name|_name$")
_WRAPPER = re.compile(
    r"^(?:export_statement|decorated_definition|template_declaration|ambient_declaration|declaration)$"
)
_CALLBACK = re.compile(r"^(?:arrow_function|function|function_expression|func_literal|anonymous_function\w*)$")
_ARGUMENTS = re.compile(r"argument")
_SPOKEN = re.compile(r"^(?:call|list|list_lit|list_literal|sexp|fun_def|par_tup_lit)$")
_SPOKEN_DEFINITION = re.compile(rb"\(?(def\S*|fn)\s+\(?([^\s(),]+)")
_SPOKEN_LANGUAGES = frozenset(("clojure", "commonlisp", "elisp", "elixir", "fennel", "janet", "racket", "scheme"))
"""Where a definition is written as a call or list, so that its node kind does not tell."""

_SPOKEN_TYPES = frozenset((b"defmodule", b"defprotocol", b"defimpl", b"defclass", b"defstruct", b"defrecord"))


_IS_FUNCTION, _IS_TYPE, _IS_KEYED, _IS_GLUE, _IS_INNER = 1, 2, 4, 8, 16
_IS_STATEMENTS, _IS_CALLBACK, _IS_ARGUMENTS, _IS_SPOKEN, _IS_LIST = 32, 64, 128, 256, 512
_DEFINES = _IS_FUNCTION | _IS_TYPE | _IS_KEYED
_KINDS = (
    (_IS_FUNCTION, _FUNCTION),
    (_IS_TYPE, _TYPE),
    (_IS_KEYED, _KEYED),
    (_IS_GLUE, _GLUE),
    (_IS_INNER, _INNER),
    (_IS_STATEMENTS, _STATEMENTS),
    (_IS_CALLBACK, _CALLBACK),
    (_IS_ARGUMENTS, _ARGUMENTS),
    (_IS_SPOKEN, _SPOKEN),
    (_IS_LIST, _LIST),
)
"""Plain numbers, not an IntFlag: they are tested for every node, and an IntFlag costs a quarter of the walk."""


@dataclass(slots=True)
class Definition:
    """Something with a name, from `start` to `end`; the name is looked up when it is asked for."""

    start: int
    end: int
    node: Node

    @property
    def kind(self) -> str:
        """Return the kind of the node, e.g. 'function_definition'."""
        return self.node.type

    def name(self, data: bytes) -> str:
        """Return the defined name, '' when there is none."""
        if _SPOKEN.search(self.kind):
            spoken = _SPOKEN_DEFINITION.match(data, self.start, self.end)
            return spoken.group(2).decode("utf-8", "ignore") if spoken else ""
        return _name(self.node, data)


@dataclass(frozen=True, slots=True)
class Syntax:
    """What a walk found: allowed cuts, and definitions in document order (outer before inner)."""

    cuts: Cuts
    definitions: list[Definition]


def syntax(data: bytes, name: str, language: Language, limits: Limits) -> Syntax:
    """Parse with the grammar `name`; source with errors in it gives fewer cuts and definitions, never a failure."""
    root = Parser(language).parse(data).root_node
    walk = _Walk(data, limits, name)
    walk.enter(root, 0, 0, in_function=False)
    return Syntax(walk.cuts, walk.definitions)


_FLAGS: dict[str, dict[int, int]] = {}


def _flags(kind: str) -> int:
    """Return what a node kind is, judged by its name."""
    return sum(flag for flag, pattern in _KINDS if pattern.search(kind))


def _children(node: Node, sequence: bool) -> Iterator[tuple[Node, bool]]:
    """Yield the named children, and whether each may start a chunk: those with a field are parts of one whole."""
    if sequence:
        for child in node.named_children:
            yield child, True
        return
    cursor = node.walk()
    more = cursor.goto_first_child()
    while more:
        child, field = cursor.node, cursor.field_id
        more = cursor.goto_next_sibling()
        if child is not None and child.is_named:
            yield child, not field


class _Walk:
    """One pass over the nodes worth entering, in document order."""

    def __init__(self, data: bytes, limits: Limits, name: str) -> None:
        self.cuts: Cuts = {}
        self.definitions: list[Definition] = []
        self._data = data
        self._target = limits.target_bytes
        self._maximum = limits.maximum_bytes
        self._flags = _FLAGS.setdefault(name, {})
        self._spoken = name in _SPOKEN_LANGUAGES
        self._anchor = 0

    def enter(self, node: Node, level: int, depth: int, in_function: bool) -> None:
        """Take the children of `node`: note their cuts and names, enter those that are too large."""
        data, maximum = self._data, self._maximum
        parent = self._flags_of(node)
        sequence = bool(parent & _IS_STATEMENTS) or level == 0
        cost = ITEM_COST + DEPTH_COST * depth + (0 if sequence else EXPRESSION_COST)
        if in_function:
            cost += IN_FUNCTION_COST
        first, group, glued_end = level > 0, -1, -1
        for child, cuttable in _children(node, sequence or bool(parent & _IS_LIST)):
            flags = self._child_flags(child, parent)
            start, end = child.start_byte, child.end_byte
            at = self._line_start(start) if cuttable and (sequence or not flags & _IS_INNER) else -1
            if at >= 0:
                if group >= 0 and data.count(b"\n", glued_end, start) <= 1:
                    if end - group > maximum:
                        self._cut(at, GLUE_COST)
                else:
                    group = at
                    if not first or end - self._anchor > maximum:
                        self._cut(at, HEAD_COST if first else cost)
                if flags & _IS_GLUE:
                    glued_end = end
                else:
                    if maximum - 256 < end - group <= maximum:
                        self._after(end)
                    group, first = -1, False
            function = bool(flags & _IS_FUNCTION)
            if flags & _DEFINES:
                self.definitions.append(Definition(start, end, child))
            if end - start > self._target and level < MAXIMUM_LEVEL and not (function and end - start <= maximum):
                self.enter(child, level + 1, depth + sequence, in_function or function)

    def _child_flags(self, child: Node, parent: int) -> int:
        """Return what a child is; a callback in an argument list is no definition to keep whole."""
        flags = self._flags_of(child)
        if flags & _IS_CALLBACK and parent & _IS_ARGUMENTS:
            return flags & ~_IS_FUNCTION
        if self._spoken:
            start = child.start_byte
            if self._data[start] == 64:
                return flags | _IS_GLUE
            if flags & _IS_SPOKEN and (spoken := _SPOKEN_DEFINITION.match(self._data, start, child.end_byte)):
                return flags | (_IS_TYPE if spoken.group(1) in _SPOKEN_TYPES else _IS_FUNCTION)
        return flags

    def _cut(self, at: int, cost: float) -> None:
        if at:
            known = self.cuts.get(at)
            self.cuts[at] = cost if known is None else min(cost, known)
            self._anchor = at

    def _after(self, end: int) -> None:
        """Allow a cut after the line that ends a definition which leaves no room for anything else."""
        at = self._data.find(b"\n", end, end + _INDENT_BYTES) + 1
        if at and not self._data[end:at].strip(b" \t\r\n;,"):
            self.cuts[at] = END_COST

    def _line_start(self, start: int) -> int:
        """Return where the line of `start` begins if only blanks stand before it, else -1."""
        data = self._data
        if start == 0 or data[start - 1] == 10:
            return start
        before = data[max(0, start - _INDENT_BYTES) : start].rstrip(b" \t")
        if before and before[-1] != 10:
            return -1
        return start - (min(start, _INDENT_BYTES) - len(before))

    def _flags_of(self, node: Node) -> int:
        kind = node.kind_id
        flags = self._flags.get(kind, -1)
        if flags < 0:
            flags = self._flags[kind] = _flags(node.type)
        return flags


def _name(node: Node, data: bytes) -> str:
    """Return the name a definition gives, looking through wrappers and declarators."""
    for _ in range(_NAME_DEPTH):
        found = node.child_by_field_name("name") or node.child_by_field_name("key")
        if found is not None:
            return _text(found, data)
        inner = (
            node.child_by_field_name("declarator")
            or node.child_by_field_name("declaration")
            or node.child_by_field_name("definition")
            or node.child_by_field_name("type")
        )
        if inner is None:
            for child in node.named_children[:4]:
                if _IDENTIFIER.search(child.type):
                    return _text(child, data)
            return ""
        if not inner.named_child_count:
            return _text(inner, data)
        node = inner
    return ""


def _text(node: Node, data: bytes) -> str:
    text = data[node.start_byte : min(node.end_byte, node.start_byte + 120)].decode("utf-8", "ignore")
    return " ".join(text.split()).strip("\"'`")
