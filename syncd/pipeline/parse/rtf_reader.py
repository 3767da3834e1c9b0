"""Turns the tokens of Rich Text into blocks: paragraphs, headings by outline level or style, lists, tables, links, notes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from syncd.errors import PermanentError
from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.rtf_blocks import BODY, Blocks, RtfStyles, changed
from syncd.pipeline.parse.rtf_state import (
    HYPERLINK,
    PARAGRAPH_WORDS,
    READ_DESTINATIONS,
    SIGNS,
    SKIPPED,
    STARRED,
    SYMBOLS,
    Fonts,
    Group,
)
from syncd.pipeline.parse.rtf_tokens import RtfToken, rtf_tokens
from syncd.pipeline.parse.task import Task

_MAX_DEPTH = 4_000
_PARAGRAPH_CHARACTERS = 4 << 20


def rtf_blocks(task: Task, data: bytes, pictures: Pictures) -> Iterator[str]:
    """Yield the blocks of an RTF text. Raises PermanentError when it is nested too deeply."""
    return _Reader(task, pictures).blocks(data)


class _Reader:
    def __init__(self, task: Task, pictures: Pictures) -> None:
        self._task = task
        self._pictures = pictures
        self._styles = RtfStyles()
        self._blocks = Blocks(self._styles)
        self._groups: list[Group] = []
        self._group = Group()
        self._fonts = Fonts()
        self._style = 0
        self._outline = 9
        self._paragraph = BODY
        self._texts: dict[str, list[str]] = {}
        """Text by destination, as far as it has come."""
        self._length = 0
        self._bytes = bytearray()
        self._ignored = 0
        self._is_starred = False
        self._label = self._address = self._alt = ""
        self._is_bitmap = False
        self._notes = 0
        self._after: list[str] = []

    def blocks(self, data: bytes) -> Iterator[str]:
        for token in rtf_tokens(data):
            if token.kind == "text":
                self._add_bytes(token.data)
                continue
            if self._bytes:
                self._end_bytes()
            if token.kind == "{":
                self._open()
            elif token.kind == "}":
                self._close()
            elif self._ignored and token.kind == "symbol":
                self._ignored -= 1
            elif token.kind == "symbol":
                yield from self._symbol(token.name)
            else:
                yield from self._word(token)
            if self._length > _PARAGRAPH_CHARACTERS:
                yield from self._end_paragraph()
        self._end_bytes()
        yield from self._end_paragraph()
        yield from self._blocks.end()

    def _open(self) -> None:
        if len(self._groups) > _MAX_DEPTH:
            raise PermanentError(f"{self._task.name} is nested too deeply to be read")
        self._groups.append(self._group)
        self._group = replace(self._group)
        self._ignored, self._is_starred = 0, False
        if self._group.into == "stylesheet":
            self._style, self._outline = 0, 9

    def _close(self) -> None:
        ended, self._group = self._group, self._groups.pop() if self._groups else Group()
        self._ignored, self._is_starred = 0, False
        if ended.result_at != self._group.result_at:
            self._end_link(ended)
        if ended.into == "stylesheet":
            self._styles.add(self._style, self._taken("stylesheet").strip(" ;"), self._outline)
        elif ended.into != self._group.into:
            self._end_destination(ended.into)

    def _end_destination(self, into: str) -> None:
        if into in ("listtext", "pntext"):
            self._label = self._taken(into).strip()
        elif into == "fldinst":
            found = HYPERLINK.search(self._taken(into))
            self._address = found[1] if found else ""
        elif into == "pict":
            self._end_picture()
        elif into == "sv" and self._taken("sn").strip() == "wzDescription":
            self._alt = self._taken("sv").strip()
        elif into == "sv":
            self._taken("sv")
        elif into in ("footnote", "annotation"):
            self._end_note(into)

    def _end_link(self, ended: Group) -> None:
        spans = self._texts.get(ended.into, [])
        if self._address and ended.result_at < len(spans):
            text = "".join(spans[ended.result_at :])
            spans[ended.result_at :] = [gfm.link(text, self._address) if text.strip() else text]
        self._address = ""

    def _end_picture(self) -> None:
        try:
            data = bytes.fromhex(self._taken("pict"))
        except ValueError:
            data = b""
        if self._is_bitmap and data:
            words = self._pictures.words(data, self._alt)
        else:
            self._task.warn(
                "picture_unread", "a picture in it is a drawing of Windows or in no format that is read here"
            )
            words = gfm.picture(self._alt)
        self._is_bitmap, self._alt = False, ""
        self._say(words)

    def _end_note(self, into: str) -> None:
        text = " ".join(self._taken(into).split())
        if into == "annotation":
            self._after.append(f"Comment: {text}" if text else "")
        elif text:
            self._notes += 1
            self._say(f"[^{self._notes}]")
            self._after.append(f"[^{self._notes}]: {text}")

    def _taken(self, into: str) -> str:
        return "".join(self._texts.pop(into, ()))

    def _add_bytes(self, data: bytes) -> None:
        ignored = min(self._ignored, len(data))
        self._ignored -= ignored
        if self._group.into != "skip":
            self._bytes += data[ignored:]

    def _end_bytes(self) -> None:
        """Take the bytes up to here as text: signs of many scripts have two, each escaped by itself."""
        if self._bytes:
            self._say(self._bytes.decode(self._group.codec, "replace"))
            self._bytes.clear()

    def _say(self, text: str) -> None:
        group = self._group
        if group.is_hidden and group.into != "pict":
            self._task.warn("hidden_content", "hidden text in it was left out")
        elif group.into != "skip":
            self._texts.setdefault(group.into, []).append(text)
            self._length += len(text) if group.into == "body" else 0

    def _symbol(self, name: str) -> Iterator[str]:
        if name == "*":
            self._is_starred = True
        elif name in "\r\n":
            yield from self._end_paragraph()
        elif name in SYMBOLS:
            self._say(SYMBOLS[name])

    def _word(self, token: RtfToken) -> Iterator[str]:
        name, group = token.name, self._group
        self._ignored, is_starred, self._is_starred = 0, self._is_starred, False
        if group.into == "skip":
            return
        if name in SKIPPED or (is_starred and name not in STARRED):
            group.into = "skip"
        elif name in READ_DESTINATIONS:
            group.into = name
        elif group.into in ("fonttbl", "stylesheet", "pict"):
            self._define(token)
        elif name == "fldrslt":
            group.result_at = len(self._texts.get(group.into, ()))
        elif group.into not in ("body", "footnote", "annotation", "listtext", "pntext"):
            return
        elif name in ("par", "sect", "cell", "row"):
            yield from self._end(name)
        elif name in PARAGRAPH_WORDS and group.into == "body":
            self._paragraph = changed(self._paragraph, name, token.number)
        else:
            self._sign(name, token.number)

    def _define(self, token: RtfToken) -> None:
        """Take a word of a table of fonts or styles, or of what comes before a picture."""
        name, number = token.name, token.number or 0
        if self._group.into == "fonttbl":
            self._fonts.define(name, number)
        elif name in ("pngblip", "jpegblip"):
            self._is_bitmap = True
        elif name == "s":
            self._style = number
        elif name == "outlinelevel":
            self._outline = min(max(number, 0), 9)

    def _sign(self, name: str, number: int | None) -> None:
        """Take a word that stands for a sign or changes what signs are."""
        group = self._group
        match name:
            case "u":
                self._say(chr((number or 0) % 0x10000))
                self._ignored = group.fallback
            case "uc":
                group.fallback = min(max(number or 0, 0), 8)
            case "f" | "plain" | "ansicpg" | "mac" | "pc" | "pca":
                group.codec = self._fonts.codec(name, number or 0)
                group.is_hidden = group.is_hidden and name != "plain"
            case "v" | "deleted":
                group.is_hidden = number != 0
            case _:
                self._say(SIGNS.get(name, ""))

    def _end(self, name: str) -> Iterator[str]:
        if self._group.into != "body":
            self._say(" ")
        elif name == "cell":
            yield from self._blocks.cell(self._taken_body())
        elif name == "row":
            self._blocks.row()
        else:
            yield from self._end_paragraph()

    def _end_paragraph(self) -> Iterator[str]:
        label, self._label = self._label, ""
        yield from self._blocks.paragraph(self._taken_body(), self._paragraph, label)
        yield from self._after
        self._after = []

    def _taken_body(self) -> str:
        self._length, self._address = 0, ""
        return self._taken("body")
