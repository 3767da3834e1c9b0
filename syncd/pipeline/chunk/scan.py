"""One pass over the lines of a text whose blocks its lines tell, as those of light markup languages do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

from syncd.pipeline.chunk.lines import LINE, LONG_LINE_BYTES
from syncd.pipeline.chunk.markdown_blocks import Block, BlockKind

TITLE_BYTES = 512


class Ends:
    """Where lines are that may end a block, by what they say: asked instead of looked for, so that unclosed blocks cost nothing."""

    def __init__(self, found: Iterable[tuple[bytes, int]]) -> None:
        self._lines: dict[bytes, list[int]] = {}
        for key, at in found:
            self._lines.setdefault(key, []).append(at)

    def after(self, key: bytes, at: int) -> int:
        """Return the first such line behind line `at`, -1 when there is none."""
        lines = self._lines.get(key, [])
        index = bisect_right(lines, at)
        return lines[index] if index < len(lines) else -1


class Scan(ABC):
    """The blocks of `data`. A language says by `take` what begins at a line that is not blank, and by `interrupts` which lines
    end a paragraph without a blank line before them.
    """

    keeps_lead = False
    """Whether blank lines may stand between what leads to a block, as its anchor does, and the block."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.lines: list[bytes] = LINE.findall(data)
        self._starts = array("q", accumulate(map(len, self.lines), initial=0))
        self._blocks: list[Block] = []
        self._lead = -1
        self._taken = 0

    def blocks(self) -> list[Block]:
        """Return the blocks in order; blank lines belong to the block before them. Never fails: any bytes are some text."""
        at = 0
        while at < len(self.lines):
            if self.is_blank(at):
                if self._lead >= 0 and not self.keeps_lead:
                    self.add("paragraph", self._lead, at)
                at += 1
            else:
                at = self.take(at)
        if self._lead >= 0:
            self.add("paragraph", self._lead, at)
        return self._blocks

    @abstractmethod
    def take(self, at: int) -> int:
        """Add the block that begins at line `at`; return the line behind it."""

    @abstractmethod
    def interrupts(self, at: int) -> bool:
        """Return whether line `at` begins a block even without a blank line before it."""

    def add(
        self, kind: BlockKind, first: int, after: int, level: int = 0, title: str = "", head: tuple[int, int] = (-1, -1)
    ) -> int:
        """Add a block of the lines from `first` to before `after`, with what leads to it; return `after`.

        `head` are the first line of a table's header, and the line behind it.
        """
        begin = self._lead if self._lead >= 0 else first
        starts, self._lead = self._starts, -1
        block = Block(kind, starts[begin], starts[after], level, title)
        if kind != "heading":
            block.lines = list(starts[begin + 1 : after])
        if head[0] >= 0:
            block.head_start, block.head_end = starts[head[0]], starts[head[1]]
        before = self.lines[self._taken - 1].rstrip() if self._taken else b""
        block.lead_in = before.endswith(b":") and kind in ("fence", "item", "table")
        self._blocks.append(block)
        self._taken = after
        return after

    def lead(self, at: int, after: int) -> int:
        """Keep the lines from `at` to before `after` together with the block that comes next; return `after`."""
        if self._lead < 0:
            self._lead = at
        return after

    def paragraph(self, at: int) -> int:
        """Add a paragraph: to a blank line, to another block, or to the end of a line too long to be a wrapped one."""
        after = at + 1
        while (
            after < len(self.lines)
            and not self.is_blank(after)
            and len(self.lines[after - 1]) <= LONG_LINE_BYTES
            and not self.interrupts(after)
        ):
            after += 1
        return self.add("paragraph", at, after)

    def is_blank(self, at: int) -> bool:
        """Return whether line `at` is blank or behind the last one."""
        return at >= len(self.lines) or self.lines[at].isspace()

    def indent(self, at: int) -> int:
        """Return by how many blanks line `at` is indented."""
        return len(self.lines[at]) - len(self.lines[at].lstrip(b" \t"))

    def indented_after(self, at: int, margin: int) -> int:
        """Return the line behind those from `at` on that are indented by more than `margin`, without blank ones at the end."""
        after = at
        while at < len(self.lines) and (self.is_blank(at) or self.indent(at) > margin):
            at += 1
            if not self.is_blank(at - 1):
                after = at
        return after


def without_markup(text: bytes, dropped: str = "") -> str:
    """Return the text of a heading on one line, without the signs in `dropped`."""
    words = text[:TITLE_BYTES].decode("utf-8", "ignore")
    return " ".join("".join(sign for sign in words if sign not in dropped).split())
