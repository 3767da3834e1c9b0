"""The blocks of LaTeX: sections by their commands, environments whole. Nothing is executed, and no other file is read."""

from __future__ import annotations

import re

from typing_extensions import override

from syncd.pipeline.chunk.markdown_blocks import Block
from syncd.pipeline.chunk.scan import TITLE_BYTES, Ends, Scan, without_markup

_LEVELS = {
    name: level
    for level, name in enumerate(
        (b"title", b"part", b"chapter", b"section", b"subsection", b"subsubsection", b"paragraph", b"subparagraph")
    )
}
_FRAME_LEVEL = len(_LEVELS)
_SECTION = re.compile(
    rb"[ \t]*\\(title|part|chapter|section|subsection|subsubsection|paragraph|subparagraph)\*?[ \t]*(?=[\[{])"
)
_FRAME = re.compile(rb"[ \t]*\\begin\{frame\}(?:<[^>\n]{0,40}>)?(?:\[[^\]\n]{0,200}\])?[ \t]*(?=\{)")
_BEGIN = re.compile(rb"[ \t]*\\begin\{([^{}\n]{1,60})\}")
_EDGE = re.compile(rb"\\(begin|end)\{([^{}\n]{1,60})\}")
_TRANSPARENT = frozenset((b"document", b"frame", b"abstract", b"appendices", b"multicols", b"landscape"))
"""Environments that hold a document's text rather than one thing."""
_VERBATIM = frozenset((b"verbatim", b"verbatim*", b"Verbatim", b"lstlisting", b"minted", b"comment", b"filecontents"))
_TITLE_LINES = 8
_COMMAND = re.compile(rb"\\(?:label|index|footnote|thanks|texorpdfstring)\{[^{}]{0,200}\}|\\[A-Za-z]{1,40}\*?|\\\\")


def blocks_of(data: bytes) -> list[Block]:
    """Return the blocks in order; never fails."""
    return _Latex(data).blocks()


class _Latex(Scan):
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._closing = _closing(self.lines)
        self._sections = Ends(
            (b"", at) for at, line in enumerate(self.lines) if line.lstrip().startswith(b"\\") and _SECTION.match(line)
        )

    @override
    def take(self, at: int) -> int:
        line = self.lines[at]
        if found := _SECTION.match(line):
            return self.add("heading", at, at + 1, _LEVELS[found[1]], self._title(at, found.end()))
        if found := _FRAME.match(line):
            return self.add("heading", at, at + 1, _FRAME_LEVEL, self._title(at, found.end()))
        after = self._closed(at)
        return self.add("fence", at, after) if after else self.paragraph(at)

    @override
    def interrupts(self, at: int) -> bool:
        line = self.lines[at]
        if not line.lstrip().startswith(b"\\"):
            return False
        return bool(_SECTION.match(line) or _FRAME.match(line)) or self._closed(at) > 0

    def _closed(self, at: int) -> int:
        """Return the line behind the environment that begins at a line, 0 where none does that is one thing."""
        begin = _BEGIN.match(self.lines[at])
        if begin is None or begin[1] in _TRANSPARENT:
            return 0
        end = self._closing.get(at, -1)
        section = self._sections.after(b"", at)
        return 0 if end < 0 or (0 <= section < end and begin[1] not in _VERBATIM) else end + 1

    def _title(self, at: int, start: int) -> str:
        """Return what the braces of a command hold, which may go on over some lines; its short form in brackets is passed."""
        text = b"".join(self.lines[at : at + _TITLE_LINES])[start : start + 2 * TITLE_BYTES]
        if text.startswith(b"["):
            text = text[text.find(b"]") + 1 :].lstrip()
        return without_markup(_COMMAND.sub(b" ", text[1 : _brace_end(text)]).replace(b"~", b" "), "{}$\\")


def _brace_end(text: bytes) -> int:
    """Return where the brace closes with which a text begins."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign == 0x7B) - (sign == 0x7D)
        if depth <= 0:
            return at
    return len(text)


def _closing(lines: list[bytes]) -> dict[int, int]:
    """Return for the line of each environment's beginning that of its end; what stands in verbatim text begins nothing."""
    found: dict[int, int] = {}
    begun: dict[bytes, list[int]] = {}
    verbatim = b""
    for at, line in enumerate(lines):
        for edge in _EDGE.finditer(line) if b"\\" in line else ():
            is_begin, name = edge[1] == b"begin", edge[2]
            if verbatim and (is_begin or name != verbatim):
                continue
            if is_begin:
                begun.setdefault(name, []).append(at)
                verbatim = name if name in _VERBATIM else b""
            else:
                verbatim = b""
                if outer := begun.get(name):
                    begin = outer.pop()
                    found[begin] = max(at, found.get(begin, at))
    return found
