"""What the quick start asks: about syncd in its own checkout, elsewhere by the headings and names of the files that are there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

OWN = (
    "how are private GitHub repositories given access?",
    "how are deleted documents removed from the collection?",
    "how do I run it on a GPU?",
)
QUESTIONS = 3
ENOUGH_FILES = 2000
"""Looking at more would be a silent wait."""
BEGINNING_BYTES = 20_000

_MARKUP = re.compile(r"\]\([^()\s]{0,300}\)|[`*_#<>\[\]{}]|[-_.]\b")
_LEFT_OUT = ("node_modules", "venv", "build", "dist", "target", "state")


def questions_about(folder: Path) -> tuple[str, ...]:
    """Return at most three queries that a folder should have hits for; none for an empty one. The same each time. Blocks for as long as
    listing some thousand files and reading the beginnings of some takes.
    """
    if (folder / "syncd" / "cli" / "questions.py").exists():
        return OWN
    files = list(islice(_files(folder), ENOUGH_FILES))
    named = [_words(path.stem) for path in files]
    telling = [title for title in (*_headings(files), *named) if 2 <= len(title.split()) <= 10]
    return tuple(dict.fromkeys(telling + named))[:QUESTIONS]


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT and not name.startswith((".", "__")))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path


def _headings(files: list[Path]) -> Iterator[str]:
    """Yield one heading of each text, the first of several words."""
    for path in files:
        if path.suffix.lower() not in (".md", ".rst", ".txt", ".adoc"):
            continue
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                beginning = file.read(BEGINNING_BYTES)
        except OSError:
            continue
        yield next((title for title in _titles(beginning.splitlines()) if len(title.split()) > 1), "")


def _titles(lines: list[str]) -> Iterator[str]:
    """Yield the headings of Markdown and AsciiDoc, and of reStructuredText, which underlines them."""
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith(("# ", "## ", "### ", "= ", "== ")):
            yield _words(line.strip("#= "))
        elif len(below) >= 4 and below[0] in "=-~" and not below.strip(below[0]):
            yield _words(line)


def _words(title: str) -> str:
    """Return a title or a file's name as words, without markup."""
    return " ".join(_MARKUP.sub(" ", title).split())
