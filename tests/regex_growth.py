"""How the steps of a backtracking regular expression grow with its input, worked out from the pattern alone.

The pattern becomes a graph of its character positions, with an arrow from one to the next for each way to get there. A
matcher that fails tries every way to spell the same text, so its steps grow with the number of ways (Weideman et al.,
"Analyzing Matching Time Behavior of Backtracking Regular Expression Matchers Based on Ambiguity of NFA", 2016):

- two ways from a position back to itself by one text: the ways double with each repetition of that text, exponential;
- a text that leads from loop p back to p, from p to loop q, and from q back to q: a power of the length. Searching is
  such a loop p, since it begins anew at every character.

Ways through a position behind which the pattern is satisfied whatever follows count for nothing: there the matcher stops.
What cannot be told is taken for worse: a repetition of more than FEW times inside a loop counts as a loop, lookarounds of
more than one character as ways that lead nowhere. A repetition up to MANY times outside loops counts as a constant factor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from typing import Any

FEW, MANY = 8, 1000
ITERATING = {"sub", "subn", "findall", "finditer", "split"}
ANCHORED = {"match", "fullmatch"}
_SAMPLES = "\u017f\u212a\u03a9\u03c9\u4e2d\u3042\u30a2\u0663\u2028\u3000\ud800\udfff\ufdd0\ufdd1\U0001f600"
_P: Any = re._parser  # type: ignore[attr-defined]
_CATEGORIES = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w", "NOT_DIGIT": r"\D", "NOT_SPACE": r"\S", "NOT_WORD": r"\W"}


class Growth(IntEnum):
    LINEAR = 1
    POLYNOMIAL = 2
    EXPONENTIAL = 3


@dataclass(frozen=True)
class Step:
    """A way between states that reads nothing, open where the characters before and behind are among these."""

    target: int
    before: int
    behind: int
    certain: bool


@dataclass(frozen=True)
class Position:
    """About to read one of `chars` by the edge `edge`."""

    edge: int
    chars: int


@dataclass
class Graph:
    arrows: dict[Position, list[tuple[int, Position]]] = field(default_factory=dict)
    """To what follows, each with the characters by which."""
    sure: set[Position] = field(default_factory=set)
    search: Position | None = None


class _Builder:
    """Turns what `re` parsed into states: `steps` read nothing, `edges` read a character."""

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        self.tree = _P.parse(pattern.pattern, pattern.flags)
        self.bytes = isinstance(pattern.pattern, bytes)
        self.flags = pattern.flags
        self.alphabet = [chr(code) for code in range(256)]
        if not self.bytes:
            written = {
                chr(code + by) for code in map(ord, str(pattern.pattern)) for by in (-1, 0, 1) if code + by > 255
            }
            self.alphabet += sorted(written | set(_SAMPLES))
        self.all = (1 << len(self.alphabet)) - 1
        self.steps: dict[int, list[Step]] = {}
        self.edges: list[tuple[int, int]] = []
        self.reads: dict[int, list[int]] = {}
        self.groups: dict[int, Any] = {}
        self.count = 0

    def state(self) -> int:
        self.count += 1
        return self.count

    def step(self, source: int, target: int, before: int = -1, behind: int = -1, *, certain: bool = True) -> None:
        free = certain and before < 0 and behind < 0
        masks = (self.all if mask < 0 else mask for mask in (before, behind))
        self.steps.setdefault(source, []).append(Step(target, *masks, free))

    def mask(self, wanted: Iterable[str]) -> int:
        chosen = set(wanted)
        return sum(1 << at for at, char in enumerate(self.alphabet) if char in chosen)

    def category(self, name: str) -> int:
        text = _CATEGORIES[name]
        expression = re.compile(text.encode() if self.bytes else text, self.flags & re.ASCII)
        held = (char.encode("latin-1") if self.bytes else char for char in self.alphabet)
        return sum(1 << at for at, char in enumerate(held) if expression.match(char))

    def chars(self, op: Any, value: Any, flags: int) -> int | None:
        """The characters that a node of one character's width reads; None for every other node."""
        name = str(op)
        if name == "ANY":
            return self.all if flags & re.DOTALL else self.all & ~self.mask("\n")
        if name == "LITERAL":
            return self.folded({chr(value)}, flags)
        if name == "NOT_LITERAL":
            return self.all & ~self.folded({chr(value)}, flags)
        if name != "IN":
            return None
        found, negated = 0, False
        for kind, what in value:
            match str(kind):
                case "NEGATE":
                    negated = True
                case "LITERAL":
                    found |= self.folded({chr(what)}, flags)
                case "RANGE":
                    inside = {char for char in self.alphabet if what[0] <= ord(char) <= what[1]}
                    found |= self.folded(inside, flags)
                case "CATEGORY":
                    found |= self.category(str(what).removeprefix("CATEGORY_"))
                case _:
                    raise NotImplementedError(kind)
        return self.all & ~found if negated else found

    def folded(self, chars: set[str], flags: int) -> int:
        if flags & re.IGNORECASE:
            chars = {case for char in chars for case in (char, char.lower(), char.upper())}
        return self.mask(chars)

    def sequence(self, nodes: Any, start: int, flags: int, *, looped: bool, copies: int = 1) -> int:
        for op, value in nodes:
            start = self.node(str(op), op, value, start, flags, looped, copies)
        return start

    def node(self, name: str, op: Any, value: Any, start: int, flags: int, looped: bool, copies: int) -> int:
        end = self.state()
        read = self.chars(op, value, flags)
        if read is not None:
            self.edges.append((read, end))
            self.reads.setdefault(start, []).append(len(self.edges) - 1)
            return end
        match name:
            case "BRANCH":
                for branch in value[1]:
                    first = self.state()
                    self.step(start, first)
                    self.step(self.sequence(branch, first, flags, looped=looped, copies=copies), end)
            case "SUBPATTERN":
                group, added, removed, inner = value
                self.groups[group] = inner
                self.step(self.sequence(inner, start, (flags | added) & ~removed, looped=looped, copies=copies), end)
            case "GROUPREF":
                self.step(self.sequence(self.groups[value], start, flags, looped=looped, copies=copies), end)
            case "ATOMIC_GROUP":
                nodes = [("POSSESSIVE_REPEAT", node[1]) if str(node[0]) == "MAX_REPEAT" else node for node in value]
                nodes = nodes if len(nodes) == 1 else value
                self.step(self.sequence(nodes, start, flags, looped=looped, copies=copies), end)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, inner = value
                last = self.repeat(low, high, inner, start, flags, looped, copies)
                one = self.chars(*inner[0], flags) if len(inner) == 1 else None
                given_back = name != "POSSESSIVE_REPEAT" or one is None or high != _P.MAXREPEAT
                self.step(last, end, behind=-1 if given_back else self.all & ~(one or 0))
            case "AT":
                self.place(str(value), start, end, flags)
            case "ASSERT" | "ASSERT_NOT":
                self.around(name == "ASSERT", *value, start, end, flags, looped)
            case _:
                raise NotImplementedError(name)
        return end

    def repeat(self, low: int, high: int, inner: Any, start: int, flags: int, looped: bool, copies: int) -> int:
        endless = high == _P.MAXREPEAT or (high > FEW and (looped or high * copies > MANY))
        if not endless:
            copies *= max(int(high), 1)
        if high > FEW:
            low, high = min(low, 2), 2
        for _ in range(low - 1 if endless else low):
            start = self.sequence(inner, start, flags, looped=looped or endless, copies=copies)
        if endless:
            begin, end = self.state(), self.state()
            self.step(start, begin)
            last = self.sequence(inner, begin, flags, looped=True)
            self.step(last, begin)
            self.step(last, end)
            if low == 0:
                self.step(start, end)
            return end
        end = self.state()
        for _ in range(high - low):
            self.step(start, end)
            start = self.sequence(inner, start, flags, looped=looped, copies=copies)
        self.step(start, end)
        return end

    def place(self, where: str, start: int, end: int, flags: int) -> None:
        lines = self.mask("\n")
        word = self.category("WORD")
        match where.removeprefix("AT_"):
            case "BEGINNING":
                self.step(start, end, before=lines if flags & re.MULTILINE else 0)
            case "BEGINNING_STRING":
                self.step(start, end, before=0)
            case "END":
                self.step(start, end, behind=lines)
            case "END_STRING":
                self.step(start, end, behind=0)
            case "BOUNDARY" | "NON_BOUNDARY" as kind:
                other = self.all & ~word
                sides = ((word, other), (other, word)) if kind == "BOUNDARY" else ((word, word), (other, other))
                for before, behind in sides:
                    self.step(start, end, before, behind)
            case _:
                raise NotImplementedError(where)

    def around(
        self, positive: bool, direction: int, inner: Any, start: int, end: int, flags: int, looped: bool
    ) -> None:
        one = self.chars(*inner[0], flags) if len(inner) == 1 else None
        if one is None:
            last = self.chars(*inner[len(inner) - 1], flags) if positive and direction < 0 else None
            self.step(start, end, before=-1 if last is None else last, certain=False)
            if direction > 0:
                self.sequence(inner, start, flags, looped=looped)  # its end leads nowhere
            return
        allowed = one if positive else self.all & ~one
        if direction > 0:
            self.step(start, end, behind=allowed)
        else:
            self.step(start, end, before=allowed)

    def ways(
        self, state: int, accept: int, passed: tuple[int, ...] = ()
    ) -> Iterator[tuple[int, int, int | None, bool]]:
        """Yield every way that reads nothing: characters allowed before and behind, the edge it ends at (None: the
        pattern's end), and whether nothing can close it."""
        if state == accept:
            yield self.all, self.all, None, True
        for edge in self.reads.get(state, ()):
            yield self.all, self.all, edge, True
        for step in self.steps.get(state, ()):
            if step.target in passed:
                continue
            for before, behind, edge, certain in self.ways(step.target, accept, (*passed, state)):
                yield before & step.before, behind & step.behind, edge, certain and step.certain


def graph_of(pattern: re.Pattern[Any], method: str) -> Graph:
    """The positions of `pattern` as `method` of re.Pattern uses it."""
    builder, graph = _Builder(pattern), Graph()
    start = builder.state()
    accept = builder.sequence(builder.tree, start, pattern.flags, looped=False)
    ways = cache(lambda state: list(builder.ways(state, accept)))
    open_ends: list[Position] = []

    def follow(position: Position, state: int) -> Iterator[tuple[int, Position]]:
        for before, behind, edge, certain in ways(state):
            by = position.chars & before
            if edge is None:
                if certain and method != "fullmatch":
                    graph.sure.add(position)
            elif by and (chars := builder.edges[edge][0] & behind):
                target = Position(edge, chars)
                open_ends.append(target)
                yield by, target

    for _, behind, edge, _ in ways(start):
        if edge is not None and (chars := builder.edges[edge][0] & behind):
            open_ends.append(Position(edge, chars))
    if method not in ANCHORED:
        graph.search = Position(-1, builder.all)
        graph.arrows[graph.search] = [(builder.all, graph.search), *follow(graph.search, start)]
        graph.sure.discard(graph.search)
    while open_ends:
        position = open_ends.pop()
        if position not in graph.arrows:
            graph.arrows[position] = []
            graph.arrows[position] = list(follow(position, builder.edges[position.edge][1]))
    return graph


def _reach(arrows: dict[Position, list[tuple[int, Position]]], begin: Position) -> set[Position]:
    seen: set[Position] = set()
    todo = [begin]
    while todo:
        for _, target in arrows[todo.pop()]:
            if target not in seen:
                seen.add(target)
                todo.append(target)
    return seen


def growth_of(pattern: re.Pattern[Any], method: str = "search") -> Growth:
    """How the steps of `pattern.method(text)` grow with the length of the worst text."""
    graph = graph_of(pattern, method)
    loose = {
        position: [(by, target) for by, target in arrows if target not in graph.sure]
        for position, arrows in graph.arrows.items()
        if position not in graph.sure
    }
    reach = {position: _reach(loose, position) for position in loose}
    loops = {p: {q for q in reach[p] if p in reach[q]} for p in loose if p in reach[p]}
    if any(_doubles(loose, loop) for loop in {frozenset(loop) for loop in loops.values()}):
        return Growth.EXPONENTIAL
    passing = graph.arrows if method in ITERATING else loose
    for p in loops:
        for q in _reach(passing, p) & loops.keys() - {p}:
            if _grows(loose, passing, p, q, loops):
                return Growth.POLYNOMIAL
    return Growth.LINEAR


def _doubles(arrows: dict[Position, list[tuple[int, Position]]], loop: frozenset[Position]) -> bool:
    """Whether two ways lead from a position of the loop back to it by one text."""
    inside = {p: [(by, q) for by, q in arrows[p] if q in loop] for p in loop}
    for out in inside.values():
        if any(a[0] & b[0] and a[1] == b[1] for at, a in enumerate(out) for b in out[at + 1 :]):
            return True
    pairs: dict[tuple[Position, Position], set[tuple[Position, Position]]] = {}
    todo = [(p, p) for p in loop]
    while todo:
        pair = todo.pop()
        if pair in pairs:
            continue
        one, other = pair
        pairs[pair] = {
            (a, b) for by, a in inside[one] for with_, b in inside[other] if by & with_ & one.chars & other.chars
        }
        todo += pairs[pair]
    parted = {pair for pair in pairs if pair[0] != pair[1]}
    back = {pair for pair in parted if any(a == b for a, b in pairs[pair])}
    while more := {pair for pair in parted - back if pairs[pair] & back}:
        back |= more
    return bool(back)


def _grows(
    loose: dict[Position, list[tuple[int, Position]]],
    passing: dict[Position, list[tuple[int, Position]]],
    p: Position,
    q: Position,
    loops: dict[Position, set[Position]],
) -> bool:
    """Whether one text leads from p to p, from p to q, and from q to q."""
    seen: set[tuple[Position, Position, Position]] = set()
    todo = [(p, p, q)]
    while todo:
        a, b, c = todo.pop()
        for by_a, next_a in loose[a]:
            if next_a not in loops[p]:
                continue
            for by_c, next_c in loose[c]:
                if next_c not in loops[q] or not by_a & by_c:
                    continue
                for by_b, next_b in passing[b]:
                    trio = (next_a, next_b, next_c)
                    if by_a & by_b & by_c and trio not in seen:
                        if trio == (p, q, q):
                            return True
                        seen.add(trio)
                        todo.append(trio)
    return False
