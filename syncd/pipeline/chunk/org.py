"""The blocks of Org documents (orgmode.org/worg/org-syntax.html): headlines by their stars, blocks, drawers, tables, lists."""

from __future__ import annotations

import re

from typing_extensions import override

from syncd.pipeline.chunk.markdown_blocks import Block
from syncd.pipeline.chunk.scan import Ends, Scan, without_markup

_HEADLINE = re.compile(rb"(\*+)[ \t]+(?=\S)")
_STATE = re.compile(rb"(?:TODO|DONE|NEXT|WAITING|CANCELLED|COMMENT)[ \t]+|\[#[A-Za-z0-9]\][ \t]*")
_TAGS = re.compile(rb"[ \t]:[\w@#%:]{1,200}:[ \t]*$")
_TITLE = re.compile(rb"#\+title:[ \t]*(?=\S)", re.IGNORECASE)
_KEYWORD = re.compile(rb"[ \t]*#\+[\w-]{1,40}(?:\[[^\]\n]{0,200}\])?:", re.IGNORECASE)
_BEGIN = re.compile(rb"[ \t]*#\+begin_(\S{1,60})", re.IGNORECASE)
_END = re.compile(rb"[ \t]*#\+end_(\S{1,60})[ \t]*\r?\n?$", re.IGNORECASE)
_DRAWER = re.compile(rb"[ \t]*:[\w-]{1,60}:[ \t]*\r?\n?$")
_DRAWER_END = b":end:"
_ITEM = re.compile(rb"(?:[ \t]*(?:[-+]|(?:\d{1,9}|[A-Za-z])[.)])|[ \t]+\*)(?:[ \t]+\S|[ \t]*\r?\n?$)")
_HEADLINES = b"*"


def blocks_of(data: bytes) -> list[Block]:
    """Return the blocks in order; never fails."""
    return _Org(data).blocks()


class _Org(Scan):
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        found: list[tuple[bytes, int]] = []
        for at, line in enumerate(self.lines):
            if line.startswith(b"*") and _HEADLINE.match(line):
                found.append((_HEADLINES, at))
            elif line.lstrip().startswith(b"#+") and (end := _END.match(line)):
                found.append((end[1].lower(), at))
            elif line.strip().lower() == _DRAWER_END:
                found.append((_DRAWER_END, at))
        self._ends = Ends(found)

    @override
    def take(self, at: int) -> int:
        line = self.lines[at]
        if found := _HEADLINE.match(line):
            return self.add("heading", at, at + 1, len(found[1]), _title(line[found.end() :]))
        if found := _TITLE.match(line):
            return self.add("heading", at, at + 1, 0, without_markup(line[found.end() :]))
        if after := self._closed(at):
            return self.add("fence", at, after)
        if _KEYWORD.match(line):
            return self.lead(at, at + 1)
        if line.lstrip().startswith(b"|"):
            return self._table(at)
        if _ITEM.match(line):
            return self.add("item", at, self._item_end(at), level=self.indent(at))
        return self.paragraph(at)

    @override
    def interrupts(self, at: int) -> bool:
        line = self.lines[at]
        lead = line.lstrip()[:1]
        if lead in b"*#:":
            return bool(_HEADLINE.match(line) or _KEYWORD.match(line)) or self._closed(at) > 0
        return lead == b"|" or _ITEM.match(line) is not None

    def _closed(self, at: int) -> int:
        """Return the line behind the block or drawer that begins at a line, 0 when none does: a headline ends everything."""
        begin = _BEGIN.match(self.lines[at])
        if begin is None and not _DRAWER.match(self.lines[at]):
            return 0
        end = self._ends.after(begin[1].lower() if begin else _DRAWER_END, at)
        headline = self._ends.after(_HEADLINES, at)
        return end + 1 if end >= 0 and not 0 <= headline < end else 0

    def _table(self, at: int) -> int:
        after = at + 1
        while after < len(self.lines) and self.lines[after].lstrip().startswith(b"|"):
            after += 1
        is_headed = after > at + 1 and self.lines[at + 1].lstrip().startswith(b"|-")
        return self.add("table", at, after, head=(at, at + 2) if is_headed else (-1, -1))

    def _item_end(self, at: int) -> int:
        """Return the line behind an item: everything that is indented more than its bullet. Two blank lines end it."""
        margin, after = self.indent(at), at + 1
        while after < len(self.lines):
            if self.is_blank(after):
                if self.is_blank(after + 1) or self.indent(after + 1) <= margin:
                    break
            elif self.indent(after) <= margin:
                break
            after += 1
        return after


def _title(text: bytes) -> str:
    """Return a headline without its state, priority and tags."""
    text = _TAGS.sub(b"", text[:1000].rstrip())
    for _ in range(3):
        found = _STATE.match(text)
        text = text[found.end() :] if found else text
    return without_markup(text)
