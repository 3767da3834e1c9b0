"""The text of a tagged page by its marked-content ids, and what of it the structure tree does not mention."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.pdfium_structure import Element
from syncd.pipeline.parse.pdfium_text import ARTIFACT, UNTAGGED, CharacterRun

_SPACE = re.compile(r"\s+")
_WIDE = r"[\u3040-\u30ff\u3400-\u9fff\uff00-\uffef]"
_BETWEEN_WIDE = re.compile(rf"(?<={_WIDE})[^\S\n]*\n\s*(?={_WIDE})")
_HEADINGS = ("Title", "H", "H1", "H2", "H3", "H4", "H5", "H6", "H7", "H8", "H9")
_GROUPS = ("Sect", "Part", "Art", "BlockQuote", "Note", "FENote", "TOC", "TOCI")
BLOCK_TYPES = frozenset((*_HEADINGS, *_GROUPS, "P", "Caption", "L", "LI", "LBody", "Table", "TR"))


@dataclass(slots=True)
class RunningHeads:
    """What pages repeat at their edges and say is no content: kept where it is first met."""

    _met: set[bytes] = field(default_factory=set[bytes])

    def new(self, text: str) -> bool:
        """Say whether a running head is met first; page numbers make no difference."""
        key = hashlib.sha256(re.sub(r"\d+", "0", " ".join(text.split())).encode("utf-8", "replace")).digest()
        known = key in self._met
        self._met.add(key)
        return not known


@dataclass(frozen=True, slots=True)
class PlacedText:
    """Text and the places of its ends on the page: pieces are joined as they stand there."""

    text: str
    start: int
    end: int
    link: str = ""


class ClaimedText:
    """What is left to be read of a page: each piece is taken once."""

    def __init__(self, runs: Sequence[CharacterRun], leaves: Mapping[int, int], heads: RunningHeads) -> None:
        self._pieces: dict[int, list[PlacedText]] = {}
        self._unclaimed: dict[int, list[str]] = {}
        self._place(runs, leaves, heads)

    def _place(self, runs: Sequence[CharacterRun], leaves: Mapping[int, int], heads: RunningHeads) -> None:
        """Give each marked content its text. Text of nobody goes with what is around it, or behind what is before it."""
        following: list[int] = []
        after = UNTAGGED
        for run in reversed(runs):
            following.append(after)
            after = run.owner if run.owner in leaves else after
        before = UNTAGGED
        for run, after in zip(runs, reversed(following), strict=True):
            owner = run.owner
            if owner in leaves:
                before = owner
            elif owner != ARTIFACT and before != UNTAGGED and leaves[before] == leaves.get(after):
                owner = before
            else:
                if any(map(str.isalnum, run.text)) and (owner != ARTIFACT or heads.new(run.text)):
                    self._unclaimed.setdefault(before, []).append(run.text)
                continue
            self._pieces.setdefault(owner, []).append(PlacedText(run.text, run.start, run.end, run.link))

    def __contains__(self, identity: int) -> bool:
        return identity in self._pieces

    def take(self, identity: int) -> Sequence[PlacedText]:
        """Return the pieces of a marked content; none when they were taken before."""
        return self._pieces.pop(identity, ())

    def unclaimed_behind(self, owners: Iterable[int]) -> Iterator[str]:
        """Yield, as paragraphs, the text of nobody that stands behind these marked contents."""
        for owner in owners:
            for text in self._unclaimed.pop(owner, ()):
                yield gfm.paragraph("\n".join(text.split("\r\n")))


def is_block(element: Element) -> bool:
    """Say whether an element is a block or holds one."""
    return element.kind in BLOCK_TYPES or any(map(is_block, inner_elements(element)))


def inner_elements(element: Element) -> Iterator[Element]:
    """Yield the elements in an element."""
    return (child for child in element.children if isinstance(child, Element))


def block_of_content(elements: Iterable[Element]) -> dict[int, int]:
    """Return each marked-content id that elements mention with what stands for the innermost block around it."""
    return {identity: leaf for element in elements for identity, leaf in _within(element, id(element))}


def _within(element: Element, leaf: int) -> Iterator[tuple[int, int]]:
    """Yield each marked-content id with what stands for the innermost block around it."""
    for child in element.children:
        if isinstance(child, int):
            yield child, leaf
        else:
            inner = child.kind in BLOCK_TYPES or child.kind in ("TD", "TH")
            yield from _within(child, id(child) if inner else leaf)


def joined_texts(pieces: Sequence[PlacedText]) -> PlacedText:
    """Return pieces as one: those that do not follow each other on the page with a space between."""
    out: list[str] = []
    end = None
    for piece in pieces:
        if end is not None and piece.start != end and out[-1][-1:].strip() and piece.text[:1].strip():
            out.append(" ")
        out.append(piece.text)
        end = piece.end
    return PlacedText("".join(out), pieces[0].start if pieces else 0, end or 0)


def in_one_line(text: str) -> str:
    """Return text without its line ends: a space for each, nothing between characters of scripts that write none."""
    return _SPACE.sub(" ", _BETWEEN_WIDE.sub("", text)).strip()


def marked_as(text: str, mark: str) -> str:
    """Return text between marks; as it is when it is blank or has such marks of its own."""
    inner = in_one_line(text)
    return _inside_its_spaces(text, f"{mark}{inner}{mark}") if inner and mark[0] not in inner else text


def as_link(text: str, address: str) -> str:
    """Return text as a link to `address`; as it is when either is blank."""
    inner = in_one_line(text)
    return _inside_its_spaces(text, gfm.link(inner, address)) if inner and address else text


def _inside_its_spaces(text: str, new: str) -> str:
    before = text[: len(text) - len(text.lstrip())]
    return before + new + text[len(text.rstrip()) :]
