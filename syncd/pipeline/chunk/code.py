"""Where source code may be cut, by its syntax tree: between definitions, members, statements; and what is defined where.

Only nodes over the target size are entered, so walking costs a small part of parsing. Errors in the source are nodes like
any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat

from tree_sitter import Language, Node, Parser

from syncd.pipeline.chunk import kinds
from syncd.pipeline.chunk.names import Definition, spoken_definition
from syncd.pipeline.chunk.solver import ChunkLimits, Cuts

CODE_ITEM_COST = 1.0
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
_C_FAMILY = frozenset(("c", "cpp", "cuda", "objc", "hlsl", "arduino"))
_EXPORTED = re.compile(
    rb"^([ \t]{0,20}(?:class|struct|union|enum class|enum)[ \t]+)([A-Z][A-Z0-9_]{1,60}(?:\([^()\n]{0,80}\))?"
    rb"(?:[ \t]{1,9}[A-Z][A-Z0-9_]{1,60}(?:\([^()\n]{0,80}\))?){0,3}?)"
    rb"(?=[ \t]+[A-Za-z_][\w:]{0,120}[ \t]{0,20}(?:final[ \t]{0,20})?\r?\n?[ \t]{0,20}[:{])",
    re.MULTILINE,
)

_FLAGS: dict[str, dict[int, int]] = {}
"""Language -> node kind id -> flags: what a kind's name says is worked out once."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """What a walk found: allowed cuts, and definitions in document order (outer before inner)."""

    cuts: Cuts
    definitions: list[Definition]


def syntax(data: bytes, name: str, language: Language, limits: ChunkLimits) -> Syntax:
    """Parse with the grammar `name`; source with errors in it gives fewer cuts and definitions, never a failure."""
    parsed = _EXPORTED.sub(_without_macro, data) if name in _C_FAMILY else data
    root = Parser(language).parse(parsed).root_node
    walk = _Walk(data, limits, name)
    walk.enter(root, 0, 0, in_function=False)
    return Syntax(walk.cuts, walk.definitions)


def _without_macro(found: re.Match[bytes]) -> bytes:
    """Return a type's beginning with blanks for its export macros, which only the preprocessor understands."""
    return found[1] + b" " * len(found[2])


def _fielded_children(node: Node) -> Iterator[tuple[Node, bool]]:
    cursor = node.walk()
    more = cursor.goto_first_child()
    while more:
        child, field = cursor.node, cursor.field_id
        more = cursor.goto_next_sibling()
        if child is not None and child.is_named:
            yield child, not field


class _Walk:
    """One pass over the nodes worth entering, in document order."""

    def __init__(self, data: bytes, limits: ChunkLimits, name: str) -> None:
        self.cuts: Cuts = {}
        self.definitions: list[Definition] = []
        self._data = data
        self._target = limits.target_bytes
        self._maximum = limits.maximum_bytes
        self._language = name
        self._flags = _FLAGS.setdefault(name, {})
        self._elixir = name == "elixir"
        """There, `@doc` and `@spec` stand above a definition like attributes."""
        self._anchor = 0
        self._cutting = len(data) > limits.target_bytes
        """What fits one chunk is cut nowhere."""
        self._margin = b"\n"
        """The blanks before the last indented child, and the line's end before: the next one mostly has the same."""

    def enter(self, node: Node, level: int, depth: int, in_function: bool) -> None:
        """Take the children of `node`: note their cuts and names, enter those that are too large."""
        data, maximum, target = self._data, self._maximum, self._target
        parent = self._flags_of(node)
        sequence = bool(parent & kinds.STATEMENTS) or level == 0
        cost = CODE_ITEM_COST + DEPTH_COST * depth + (0 if sequence else EXPRESSION_COST)
        if in_function:
            cost += IN_FUNCTION_COST
        first, group, glued_end, nearly = level > 0, -1, -1, maximum * 31 // 32
        known, refine = self._flags, self._elixir or parent & kinds.ARGUMENTS
        for child, cuttable in self._children(node, sequence or bool(parent & kinds.LIST)):
            flags = known.get(child.kind_id, -1)
            if refine or flags < 0 or flags & kinds.SPOKEN:
                flags = self._child_flags(child, parent)
            start, end = child.start_byte, child.end_byte
            at = -1
            if cuttable and (sequence or not flags & kinds.INNER):
                at = start if start and data[start - 1] == 10 else self._line_start(start)
            if at >= 0:
                if group >= 0 and data.count(b"\n", glued_end, start) <= 1:
                    if end - group > maximum:
                        self._cut(at, GLUE_COST)
                else:
                    group = at
                    if not first or end - self._anchor > maximum:
                        self._cut(at, HEAD_COST if first else cost)
                if flags & kinds.GLUE:
                    glued_end = end
                else:
                    if nearly < end - group <= maximum:
                        self._after(end)
                    group, first = -1, False
            size = end - start
            entered = size > target and (size > maximum or not flags & kinds.FUNCTION) and level < MAXIMUM_LEVEL
            if flags & kinds.DEFINES and not (entered and flags & kinds.WRAPPER):
                self.definitions.append(Definition(start, end, child, flags))
            if entered:
                self.enter(child, level + 1, depth + sequence, in_function or bool(flags & kinds.FUNCTION))

    def _children(self, node: Node, alike: bool) -> Iterable[tuple[Node, bool]]:
        """Return the named children, and whether each may start a chunk: those with a field are parts of one whole."""
        if alike:
            return zip(node.named_children, repeat(self._cutting))
        return _fielded_children(node)

    def _child_flags(self, child: Node, parent: int) -> int:
        """Return what a child is; a callback in an argument list is no definition to keep whole."""
        flags = self._flags_of(child)
        if flags & kinds.CALLBACK and parent & kinds.ARGUMENTS:
            return flags & ~kinds.FUNCTION
        if flags & kinds.SPOKEN:
            spoken = spoken_definition(self._data, child.start_byte, child.end_byte)
            is_type = spoken and spoken.group(1) in kinds.SPOKEN_TYPES
            return flags | (kinds.TYPE if is_type else kinds.FUNCTION) if spoken else flags & ~kinds.SPOKEN
        if self._elixir and self._data.startswith(b"@", child.start_byte):
            return flags | kinds.GLUE
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
        data, margin = self._data, self._margin
        if data.endswith(margin, 0, start):
            return start - len(margin) + 1
        line = data.rfind(b"\n", max(0, start - _INDENT_BYTES), start) + 1
        if (line == 0 and start > _INDENT_BYTES) or data[line:start].strip(b" \t"):
            return -1
        if line:
            self._margin = data[line - 1 : start]
        return line

    def _flags_of(self, node: Node) -> int:
        kind = node.kind_id
        flags = self._flags.get(kind, -1)
        if flags < 0:
            flags = self._flags[kind] = kinds.flags_of(node.type, self._language)
        return flags
