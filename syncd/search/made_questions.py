"""Questions made of a collection's own texts, for want of people's: what links call documents, what docstrings say of definitions, and
headings.

What they measure. A link's words stand in another document, which does not count as a hit: they are others' words for what is looked for, as a
question's are. Docstrings and headings stand in their answers word for word, which favours words over vectors and
makes them easy: they show what a change breaks, not how well questions are understood.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from urllib.parse import unquote

from syncd.errors import NotFoundError
from syncd.model import Target
from syncd.search.judged import JudgedQuestion, TextPlace
from syncd.search.reading import no_collection
from syncd.store import Store
from syncd.store.texts import TextChunk

EXAMINED_DOCUMENTS = 2000
KINDS = ("link", "docstring", "heading")
MIN_WORDS, MAX_WORDS = 3, 25
_LINK = re.compile(r"\[([^\[\]\n]{8,160})\]\(([^()\s]{1,300})\)")
_DOCSTRING = re.compile(
    r"\"\"\"([^\"\n]{12,300})|/\*\*[ \t]{0,8}(?:\n[ \t]{0,40}\*)?([^*\n]{12,300})|(?m:^)[ \t]{0,40}//[/!]?([^\n]{12,300})"
)
_HEADING = re.compile(r"(?m)^#{1,6} ([^\n]{8,160})$")
_MARKS = re.compile(r"[`*_]")
_WORD = re.compile(r"\w+")


async def made_questions(store: Store, target: Target, count: int) -> list[JudgedQuestion]:
    """Return at most `count` questions about a collection, of each kind as many as of the others where it has them; the same as long
    as its texts are. At most EXAMINED_DOCUMENTS documents are read, chosen by the hashes of their keys. Raises NotFoundError.
    """
    record = await store.collections.find(target)
    if record is None:
        raise await no_collection(store, target)
    documents = await store.chunks.matching(record.id)
    keys = frozenset(documents.keys)
    pairs = sorted(zip(documents.keys, documents.ids.tolist(), strict=True), key=lambda pair: _order(pair[0]))
    found: list[JudgedQuestion] = []
    for key, document_id in pairs[:EXAMINED_DOCUMENTS]:
        for chunk in await store.texts.chunks(document_id):
            found += made_of(chunk, key, keys)
    if not found:
        raise NotFoundError(
            f"nothing in collection {target.collection!r} makes a question: it has no links, docstrings or headings; give questions of yours"
        )
    return in_turns(found, count)


def made_of(chunk: TextChunk, key: str, keys: frozenset[str]) -> Iterator[JudgedQuestion]:
    """Yield the questions that a chunk makes; `keys`: those of all documents, which links may lead to."""
    if chunk.metadata.get("stage") == "code":
        match = _DOCSTRING.search(chunk.text) if chunk.metadata.get("symbol") else None
        said = next((group for group in match.groups() if group), "") if match else ""
        if match:
            yield from _question(said.partition(". ")[0].rstrip(".*/ "), _lines(chunk, key, match), "docstring")
        return
    for match in _LINK.finditer(chunk.text):
        linked = posixpath.normpath(posixpath.join(posixpath.dirname(key), unquote(match.group(2).partition("#")[0])))
        if linked in keys and linked != key:
            yield from _question(match.group(1), TextPlace(linked), "link", frozenset([key]))
    for match in _HEADING.finditer(chunk.text):
        yield from _question(match.group(1).strip("# "), _lines(chunk, key, match), "heading")


def _lines(chunk: TextChunk, key: str, match: re.Match[str]) -> TextPlace:
    """Return the lines of a match, whatever chunk they are in: another chunking is asked for the same. Those of the whole chunk, where
    its text is not its lines as they stand.
    """
    first, last = chunk.metadata.get("start_line"), chunk.metadata.get("end_line")
    if (
        first is None
        or last is None
        or last - first + 1
        not in (
            len(chunk.text.splitlines()),
            len(chunk.text.rstrip("\n").splitlines()),
        )
    ):
        return TextPlace(key, first, last)
    start = first + chunk.text.count("\n", 0, match.start())
    return TextPlace(key, start, start + match.group().strip("\n").count("\n"))


def in_turns(questions: Sequence[JudgedQuestion], count: int) -> list[JudgedQuestion]:
    """Return questions of which no two are the same text, kinds in turns, in the order of hashes; what several places answer asks for none."""
    places = Counter((one.text.casefold(), one.answers[0].key) for one in questions)
    several = Counter(text for text, _ in places)
    single = {one.text.casefold(): one for one in questions if several[one.text.casefold()] == 1}
    ordered = sorted(single.values(), key=lambda one: _order(one.text))
    turns = Counter[str]()
    numbered: list[tuple[int, int, JudgedQuestion]] = []
    for one in ordered:
        numbered.append((turns[one.kind], KINDS.index(one.kind), one))
        turns[one.kind] += 1
    return [one for *_, one in sorted(numbered, key=lambda some: some[:2])][:count]


def _question(
    text: str, answer: TextPlace, kind: str, made_from: frozenset[str] = frozenset()
) -> Iterator[JudgedQuestion]:
    words = _MARKS.sub("", text).strip()
    if MIN_WORDS <= len(_WORD.findall(words)) <= MAX_WORDS:
        yield JudgedQuestion(words, [answer], kind, made_from)


def _order(text: str) -> bytes:
    return sha256(text.encode()).digest()
