"""The blocks of reStructuredText: titles by their lines of signs, directives and comments by indentation, tables, lists."""

from __future__ import annotations

import re

from typing_extensions import override

from syncd.pipeline.chunk.markdown_blocks import Block
from syncd.pipeline.chunk.scan import Ends, Scan, without_markup

_SIGNS = frozenset(b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_EXPLICIT = re.compile(rb"\.\.(?:[ \t]|\r?\n?$)|__[ \t]")
_ANCHOR = re.compile(rb"\.\. (?:_[^\r\n]*:[ \t]*\r?\n?$|(?:index|class|rst-class|highlight)::)")
_ITEM = re.compile(rb"[ \t]*(?:[-*+]|\xe2\x80\xa2|\(?(?:\d{1,9}|#|[A-Za-z]|[ivxlcdmIVXLCDM]{1,12})[.)])[ \t]+\S")
_GRID = re.compile(rb"[ \t]*\+[-=+]*-\+[ \t]*\r?\n?$")
_GRID_LINE = re.compile(rb"[ \t]*[+|]")
_SIMPLE = re.compile(rb"[ \t]*=+ [= ]*=[ \t]*\r?\n?$")
_ROLE = re.compile(rb":[A-Za-z][\w:.+-]{0,60}:`")


def blocks_of(data: bytes) -> list[Block]:
    """Return the blocks in order; never fails."""
    return _Rst(data).blocks()


class _Rst(Scan):
    keeps_lead = True

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._styles: list[tuple[bytes, bool]] = []
        """How titles are marked, outermost first: a document decides by the order in which it uses them."""
        self._ends = Ends(
            (b"simple", at)
            for at, line in enumerate(self.lines)
            if line.lstrip().startswith(b"=") and _SIMPLE.match(line) and self.is_blank(at + 1)
        )

    @override
    def take(self, at: int) -> int:
        line = self.lines[at]
        if after := self._title(at) or self._table(at):
            return after
        if _EXPLICIT.match(line):
            after = self.indented_after(at + 1, 0)
            return self.lead(at, after) if _ANCHOR.match(line) else self.add("fence", at, max(after, at + 1))
        if _ITEM.match(line):
            return self.add("item", at, self._item_end(at), level=self.indent(at))
        after = self.paragraph(at)
        return self._literal(after, self.indent(at)) if self.lines[after - 1].rstrip().endswith(b"::") else after

    @override
    def interrupts(self, at: int) -> bool:
        return False

    def _title(self, at: int) -> int:
        """Add the title that begins at a line; return the line behind it, 0 when there is none."""
        over = self._signs(at)
        text = at + 1 if over else at
        under = self._signs(text + 1)
        if self.is_blank(text) or not under or (over and over[:1] != under[:1]) or (not over and self.indent(text)):
            return 0
        words = self.lines[text].strip()
        width = len(words.decode("utf-8", "ignore"))
        if len(under) < min(width, 4) or (over and len(over) < min(width, 4)):
            return 0
        style = under[:1], bool(over)
        if style not in self._styles:
            self._styles.append(style)
        title = without_markup(_ROLE.sub(b"", words), "`\\")
        return self.add("heading", at, text + 2, self._styles.index(style) + 1, title)

    def _signs(self, at: int) -> bytes:
        """Return a line that repeats one sign, '' for another line."""
        line = self.lines[at].rstrip() if at < len(self.lines) else b""
        return line if line and line[0] in _SIGNS and not line.strip(line[:1]) else b""

    def _table(self, at: int) -> int:
        """Add the table that begins at a line; return the line behind it, 0 when there is none."""
        if _GRID.match(self.lines[at]):
            after = at + 1
            while after < len(self.lines) and _GRID_LINE.match(self.lines[after]):
                after += 1
            rule = next((row for row in range(at + 1, after) if b"=" in self.lines[row] and self._is_grid(row)), 0)
        elif _SIMPLE.match(self.lines[at]):
            last = self._ends.after(b"simple", at)
            if last < 0:
                return 0
            after = last + 1
            rule = next((row for row in range(at + 1, last) if _SIMPLE.match(self.lines[row])), 0)
        else:
            return 0
        return self.add("table", at, after, head=(at + 1, rule + 1) if rule else (-1, -1))

    def _is_grid(self, at: int) -> bool:
        return _GRID.match(self.lines[at].replace(b"=", b"-")) is not None

    def _literal(self, at: int, margin: int) -> int:
        """Add the literal block that follows a paragraph which ends with two colons."""
        begin = at
        while begin < len(self.lines) and self.is_blank(begin):
            begin += 1
        after = self.indented_after(begin, margin)
        return self.add("fence", begin, after) if after > begin else at

    def _item_end(self, at: int) -> int:
        """Return the line behind an item: what is indented with it, and lines that go on without a blank one before."""
        margin, after = self.indent(at), at + 1
        while not self.is_blank(after) and not (_ITEM.match(self.lines[after]) and self.indent(after) <= margin):
            after += 1
        return max(self.indented_after(after, margin), after)
