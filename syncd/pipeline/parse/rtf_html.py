"""HTML that Outlook wrapped in RTF (MS-OXRTFEX): its tags stand in groups of their own, beside what RTF readers show instead."""

from __future__ import annotations

from dataclasses import dataclass, replace

from syncd.pipeline.parse.rtf_state import SIGNS, SYMBOLS, Fonts
from syncd.pipeline.parse.rtf_tokens import RtfToken, rtf_tokens

_HEAD_BYTES = 4096
_MAX_DEPTH = 4_000
_SKIPPED = frozenset(("colortbl", "stylesheet", "info", "pntext", "listtext", "pict"))


@dataclass(slots=True)
class _Group:
    into: str = "text"
    """'text', 'tag', 'fonttbl' or 'skip'."""
    codec: str = "cp1252"
    fallback: int = 1
    is_for_rtf: bool = False
    """Whether its text is there for readers of RTF only."""


def html_in(data: bytes) -> str:
    """Return the HTML, '' where there is none or groups are nested too deeply."""
    if b"\\fromhtml" not in data[:_HEAD_BYTES]:
        return ""
    wrapped = _Wrapped()
    for token in rtf_tokens(data):
        wrapped.take(token)
        if len(wrapped.groups) > _MAX_DEPTH:
            return ""
    wrapped.end_bytes()
    return "".join(wrapped.out)


class _Wrapped:
    def __init__(self) -> None:
        self.out: list[str] = []
        self.groups: list[_Group] = []
        self._group = _Group()
        self._fonts = Fonts()
        self._bytes = bytearray()
        self._ignored = 0
        self._is_starred = False

    def take(self, token: RtfToken) -> None:
        if token.kind == "text":
            ignored = min(self._ignored, len(token.data))
            self._ignored -= ignored
            self._bytes += token.data[ignored:]
            return
        self.end_bytes()
        if token.kind == "symbol":
            self._symbol(token.name)
            return
        self._ignored = 0
        if token.kind == "word":
            self._word(token.name, token.number)
        elif token.kind == "{":
            self.groups.append(self._group)
            self._group = replace(self._group)
        else:
            self._group = self.groups.pop() if self.groups else _Group()
        self._is_starred = False

    def end_bytes(self) -> None:
        if self._bytes:
            self._say(self._bytes.decode(self._group.codec, "replace"))
            self._bytes.clear()

    def _say(self, text: str) -> None:
        group = self._group
        if group.into == "tag" or (group.into == "text" and not group.is_for_rtf):
            self.out.append(text)

    def _symbol(self, name: str) -> None:
        if self._ignored:
            self._ignored -= 1
        elif name == "*":
            self._is_starred = True
        elif name in SYMBOLS:
            self._say("&nbsp;" if name == "~" else SYMBOLS[name])

    def _word(self, name: str, number: int | None) -> None:
        group, is_starred = self._group, self._is_starred
        if group.into == "skip":
            return
        if is_starred or name in _SKIPPED:
            group.into = "tag" if name == "htmltag" else "skip"
        elif name == "fonttbl" or group.into == "fonttbl":
            group.into = "fonttbl"
            self._fonts.define(name, number or 0)
        elif name == "htmlrtf":
            group.is_for_rtf = number != 0
        elif name in ("f", "plain", "ansicpg"):
            group.codec = self._fonts.codec(name, number or 0)
        elif name == "uc":
            group.fallback = min(max(number or 0, 0), 8)
        elif name == "u":
            self._say(chr((number or 0) % 0x10000))
            self._ignored = group.fallback
        elif name in ("par", "line"):
            self._say("\n")
        else:
            self._say(SIGNS.get(name, ""))
