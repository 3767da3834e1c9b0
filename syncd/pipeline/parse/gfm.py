"""Markdown as written by our own readers: tables, headings, lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from textwrap import dedent

_BREAK = re.compile(r"(?<!\s)\s*\n\s*")
_BLOCK_START = re.compile(r"^(\s*\d{0,9})([#>]|[-+*](?=\s)|(?<=\d)[.)](?=\s))")
_HEADING = re.compile(r"#{1,6} ")
_NUMBER = re.compile(r"\d{1,9}\.?")
_BOXES = (("☐", "[ ]"), ("☑", "[x]"), ("☒", "[x]"))


def cell(text: str) -> str:
    """Return `text` fit for one table cell: bars escaped, line ends as <br>."""
    return _BREAK.sub("<br>", text.strip()).replace("|", "\\|")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a GFM table whose first row is the header; short rows are padded. '' for no cells."""
    width = max((len(row) for row in rows), default=0)
    if not width:
        return ""
    lines = ["| " + " | ".join([*map(cell, row), *[""] * (width - len(row))]) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * width)
    return "\n".join(lines)


def heading(level: int, text: str) -> str:
    """Return an ATX heading of level 1 to 6 on one line; '' for blank text."""
    text = " ".join(text.split())
    return f"{'#' * min(max(level, 1), 6)} {text}" if text else ""


def paragraph(text: str) -> str:
    """Return `text` as a paragraph that no Markdown reader takes for another block."""
    return _BLOCK_START.sub(r"\1\\\2", text.strip())


def ticked(text: str) -> str:
    """Return the text of a list item, a box drawn at its start as that of a task list."""
    return next((tick + text[1:] for box, tick in _BOXES if text.startswith(box + " ")), text)


def item(text: str, depth: int, number: int | None) -> str:
    """Return one list item at `depth` (0 outermost); `number` None is a bullet. Its other lines are indented with it."""
    marker = "-" if number is None else f"{number}."
    indent = "    " * depth
    body = ticked(text.strip()).replace("\n", "\n" + indent + " " * (len(marker) + 1))
    return f"{indent}{marker} {body}"


def labelled_item(text: str, depth: int, label: str) -> str:
    """Return one list item with a number as its document writes it: Markdown's own where it is one, '' for a bullet."""
    if _NUMBER.fullmatch(label):
        return item(text, depth, int(label.rstrip(".")))
    return item(f"{label} {ticked(text.strip())}" if label else text, depth, None)


def items(lines: Iterable[str]) -> str:
    """Return list items as one block that begins at the margin: elsewhere Markdown takes them for code."""
    return dedent("\n".join(lines)).lstrip(" ")


def link(text: str, address: str) -> str:
    """Return a link; an address that says what its text says is enough by itself."""
    address = "".join(address.split()).replace("(", "%28").replace(")", "%29").replace("<", "%3C").replace(">", "%3E")
    if not address or address.removeprefix("mailto:") == text.strip():
        return text
    return f"[{text.replace('[', '(').replace(']', ')')}]({address})"


def linked(blocks: Iterable[str], address: str) -> list[str]:
    """Return blocks that lead to `address` together: as a link where they are one line of text, else with it behind them."""
    found = [block for block in blocks if block.strip()]
    if not address:
        return found
    mark = _HEADING.match(found[0]) if len(found) == 1 else None
    begin = mark.end() if mark else 0
    if len(found) == 1 and "\n" not in found[0] and not (_BLOCK_START.match(found[0][begin:]) or "](" in found[0]):
        return [found[0][:begin] + link(found[0][begin:], address)]
    return [*found, f"<{''.join(address.split())}>"]


def picture(alt: str) -> str:
    """Return the placeholder of a picture: its words only, since the picture itself is not stored."""
    alt = " ".join(alt.split()).replace("[", "(").replace("]", ")")
    return f"![{alt}]()" if alt else ""
