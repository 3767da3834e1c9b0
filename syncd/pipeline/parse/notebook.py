"""Jupyter notebooks (nbformat 3 and 4) by their cells: prose as it is, code and what it printed; pictures are not read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from syncd.errors import PermanentError
from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.encoding import decode
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task

_MAX_OUTPUT_CHARACTERS = 4_000
"""Of what one cell printed: logs and data are longer and say less."""


Object = Mapping[str, Any]
"""A part of a notebook, taken as nbformat describes it; where it is otherwise, `read` turns the error into words."""


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the notebook. Raises PermanentError when it is none."""
    try:
        book: Object = json.loads(decode(task, task.path.read_bytes()))
        language = _language(book)
        sheets: list[Object] = book.get("worksheets", [book])
        cells: list[Object] = [cell for sheet in sheets for cell in sheet["cells"]]
        out = Markdown(task.limits)
        for cell in cells:
            out.blocks(_blocks(cell, language, task))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PermanentError(f"{task.name} is damaged: it is no notebook ({type(error).__name__}: {error})") from error
    yield out.take()


def _language(book: Object) -> str:
    metadata: Object = book.get("metadata") or {}
    info: Object = metadata.get("language_info") or {}
    kernel: Object = metadata.get("kernelspec") or {}
    named = info.get("name") or kernel.get("language")
    return "".join(sign for sign in str(named or "python").lower() if sign.isalnum() or sign in "+#-")[:30]


def _blocks(cell: Object, language: str, task: Task) -> Iterator[str]:
    text = _joined(cell.get("source", cell.get("input", "")))
    if cell.get("cell_type") == "heading":
        yield gfm.heading(int(cell.get("level") or 1), text)
        return
    if cell.get("cell_type") != "code":
        yield text
        return
    yield _fenced(text, str(cell.get("language") or language))
    for output in cell.get("outputs") or ():
        printed = _printed(output, task)
        if len(printed) > _MAX_OUTPUT_CHARACTERS:
            task.warn("unread_content", "what a cell printed is long and was cut")
            printed = printed[:_MAX_OUTPUT_CHARACTERS] + "…"
        yield _fenced(printed, "")


def _printed(output: Object, task: Task) -> str:
    """Return what an output says in text; that it has a picture is only said."""
    if output.get("output_type") in ("pyerr", "error"):
        return f"{output.get('ename', '')}: {output.get('evalue', '')}"
    data: Object = output.get("data") or {}
    if any(str(kind).startswith("image/") for kind in data) or not {"png", "jpeg", "svg"}.isdisjoint(output):
        task.warn("picture_unread", "pictures that cells made were not read")
        return ""
    return _joined(output.get("text") or data.get("text/markdown") or data.get("text/plain") or "")


def _joined(lines: str | Sequence[str]) -> str:
    return lines if isinstance(lines, str) else "".join(lines)


def _fenced(text: str, language: str) -> str:
    """Return a block of code, in a fence longer than any in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}" if text.strip() else ""
