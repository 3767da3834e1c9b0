"""The blocks of AsciiDoc (docs.asciidoctor.org/asciidoc): titles by their equal signs, delimited blocks, tables, lists."""

from __future__ import annotations

import re

from typing_extensions import override

from syncd.pipeline.chunk.markdown_blocks import Block
from syncd.pipeline.chunk.scan import Ends, Scan, without_markup

_TITLE = re.compile(rb"(={1,6}|#{1,6})[ \t]+(?=\S)")
_UNDERLINES = b"=-~^+"
"""Signs of underlined titles, by level."""
_DELIMITER = re.compile(rb"(?:-{4,}|\.{4,}|={4,}|\*{4,}|_{4,}|\+{4,}|/{4,}|~{4,}|--|[|,:!]={3,}|(`{3,})[^`]*)$")
_LEAD = re.compile(rb"\[[^\n]*\][ \t]*\r?\n?$|\.[^\s.]")
_HEADER = re.compile(rb"%header|options=[\"']?[^\]]{0,100}header")
_ITEM = re.compile(rb"[ \t]*(\*{1,5}|-|\.{1,5}|\d{1,9}\.|[A-Za-z]\.|<(?:\d{1,3}|\.)>)[ \t]+\S")
_NUMBER = re.compile(rb"\d{1,9}|[A-Za-z](?=\.)")
_TABLES = b"|,:!"


def blocks_of(data: bytes) -> list[Block]:
    """Return the blocks in order; never fails."""
    return _AsciiDoc(data).blocks()


class _AsciiDoc(Scan):
    keeps_lead = True

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        lines = enumerate(self.lines)
        self._ends = Ends((line.rstrip(), at) for at, line in lines if _DELIMITER.match(line.rstrip()))

    @override
    def take(self, at: int) -> int:
        line = self.lines[at]
        if found := _TITLE.match(line):
            return self.add("heading", at, at + 1, len(found[1]) - 1, without_markup(line[found.end() :], "`"))
        if level := self._underlined(at):
            return self.add("heading", at, at + 2, level - 1, without_markup(line, "`"))
        if after := self._closed(at):
            return self._table(at, after) if line[0] in _TABLES else self.add("fence", at, after)
        if _LEAD.match(line):
            return self.lead(at, at + 1)
        if marker := self._marker(at):
            return self.add("item", at, self._item_end(at, marker), level=len(marker))
        return self.paragraph(at)

    @override
    def interrupts(self, at: int) -> bool:
        return self._closed(at) > 0 or _LEAD.match(self.lines[at]) is not None

    def _underlined(self, at: int) -> int:
        """Return 1 more than the level of a title whose next line is as long and of one sign, 0 for none."""
        under = self.lines[at + 1].rstrip() if at + 1 < len(self.lines) else b""
        if len(under) < 2 or under[0] not in _UNDERLINES or under.strip(under[:1]):
            return 0
        words = self.lines[at].rstrip().decode("utf-8", "ignore")
        return _UNDERLINES.index(under[0]) + 1 if words[:1].isalnum() and abs(len(words) - len(under)) < 2 else 0

    def _closed(self, at: int) -> int:
        """Return the line behind the delimited block that begins at a line, 0 when none does or nothing ends it."""
        found = _DELIMITER.match(line := self.lines[at].rstrip())
        return self._ends.after(found[1] or line, at) + 1 if found else 0

    def _table(self, at: int, after: int) -> int:
        """Add a table; its first row is a header where it says so or a blank line follows it."""
        is_headed = self.is_blank(at + 2) or (at > 0 and _HEADER.search(self.lines[at - 1][:1000]) is not None)
        is_headed = is_headed and after > at + 3
        return self.add("table", at, after, head=(at + 1, at + 2) if is_headed else (-1, -1))

    def _marker(self, at: int) -> bytes:
        """Return by what a line begins an item, the same for all numbers; '::' for a described term, '' for other lines."""
        line = self.lines[at]
        if found := _ITEM.match(line):
            return _NUMBER.sub(b"1", found[1])
        return b"::" if b":: " in line or line.rstrip().endswith((b"::", b";;")) else b""

    def _item_end(self, at: int, marker: bytes) -> int:
        """Return the line behind an item: with nested lists, and with blocks that a line with a plus sign attaches."""
        after = at + 1
        while after < len(self.lines):
            if self.lines[after].strip() == b"+":
                after = self._attached(after + 1)
            elif self.is_blank(after):
                following = after + 1
                if self.is_blank(following) or self._is_outside(following, marker):
                    break
                after = following
            elif self._marker(after) == marker or self.interrupts(after):
                break
            else:
                after += 1
        return after

    def _is_outside(self, at: int, marker: bytes) -> bool:
        """Return whether a line behind a blank one is not part of an item: no other kind of item, and not indented."""
        own = self._marker(at)
        return own == marker if own else not self.indent(at) and self.lines[at].strip() != b"+"

    def _attached(self, at: int) -> int:
        while at < len(self.lines) and _LEAD.match(self.lines[at]):
            at += 1
        return max(self._closed(at), at + 1) if at < len(self.lines) else at
