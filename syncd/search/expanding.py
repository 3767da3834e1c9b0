"""Hits with what stands around them in their documents, from the store: neighbouring lines, or the section or definition around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from syncd.search.passages import HEADING_SEPARATOR, numbered_lines
from syncd.search.query import SECTION, Expand, SearchHit, moved
from syncd.store.texts import DocumentTexts, TextChunk

MAX_AROUND_LINES = 200
"""How far a section reaches before and after its hit: a class may have thousands of lines."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Lines of a document and the places of the hits in them."""

    first: int
    last: int
    places: tuple[int, ...]


async def expanded(texts: DocumentTexts, hits: Sequence[SearchHit], expand: Expand) -> list[SearchHit]:
    """Return the hits with the lines around them: `expand` of them before and after, or the section or definition that a hit is in.

    Hits of one document whose lines touch become one, in the place of the best of them, which names the others in `also`.
    Rows that syncd did not write stay as they are.
    """
    by_document: dict[int, list[int]] = {}
    for place, hit in enumerate(hits):
        if hit.document_id is not None:
            by_document.setdefault(hit.document_id, []).append(place)
    shown: dict[int, SearchHit] = dict(enumerate(hits))
    for document_id, places in by_document.items():
        chunks = await _chunks_around(texts, document_id, [hits[place] for place in places], expand)
        stretches = [Stretch(*_around(hits[place], chunks, expand), (place,)) for place in places]
        for stretch in without_overlaps(stretches):
            best, *others = sorted(stretch.places)
            shown[best] = _with_lines([hits[place] for place in (best, *others)], chunks, stretch)
            for place in others:
                del shown[place]
    return [hit for _, hit in sorted(shown.items())]


def without_overlaps(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Return stretches of one document, those that overlap or touch as one."""
    found: list[Stretch] = []
    for one in sorted(stretches, key=lambda stretch: stretch.first):
        if found and one.first <= found[-1].last + 1:
            before = found.pop()
            one = Stretch(before.first, max(before.last, one.last), (*before.places, *one.places))
        found.append(one)
    return found


def section_around(paths: Sequence[Sequence[str]], place: int) -> tuple[int, int]:
    """Return the first and last of the chunks that make up what the one at `place` is in, by their paths (what encloses each).

    A section or definition begins in the chunk before the first one that is inside it. A chunk that nothing encloses has
    what begins in it.
    """
    path = paths[place]

    def is_inside(other: Sequence[str]) -> bool:
        return list(other[: len(path)]) == list(path) if path else bool(other)

    first = last = place
    while path and first > 0 and is_inside(paths[first - 1]):
        first -= 1
    while last + 1 < len(paths) and is_inside(paths[last + 1]):
        last += 1
    return max(0, first - 1) if path else first, last


def _span(hit: SearchHit) -> tuple[int, int]:
    assert hit.span is not None, "chunks of the store know their lines"
    return hit.span


def _start_byte(hit: SearchHit) -> int:
    start_byte = hit.metadata["start_byte"]
    assert isinstance(start_byte, int), "chunks of the store know their bytes"
    return start_byte


async def _chunks_around(
    texts: DocumentTexts, document_id: int, hits: Sequence[SearchHit], expand: Expand
) -> list[TextChunk]:
    """Return the chunks that hits of a document may be expanded by, in the order of the text."""
    reach = MAX_AROUND_LINES if expand == SECTION else expand
    found: dict[int, TextChunk] = {}
    for first, last in map(_span, hits):
        some = await texts.chunks(document_id, first - reach, last + reach)
        found.update({int(chunk.metadata["chunk_index"]): chunk for chunk in some})
    return [chunk for _, chunk in sorted(found.items())]


def _around(hit: SearchHit, chunks: Sequence[TextChunk], expand: Expand) -> tuple[int, int]:
    """Return the first and last line of a hit with what is wanted around it."""
    first, last = _span(hit)
    if expand != SECTION:
        return max(1, first - expand), last + expand
    index = hit.metadata["chunk_index"]
    place = next((n for n, chunk in enumerate(chunks) if chunk.metadata["chunk_index"] == index), None)
    if place is None:
        return first, last
    begin, end = section_around([_path(chunk) for chunk in chunks], place)
    starts, ends = int(chunks[begin].metadata["start_line"]), int(chunks[end].metadata["end_line"])
    return max(starts, first - MAX_AROUND_LINES), min(ends, last + MAX_AROUND_LINES)


def _path(chunk: TextChunk) -> list[str]:
    path = str(chunk.metadata.get("heading_path") or chunk.metadata.get("scope") or "")
    return path.split(HEADING_SEPARATOR) if path else []


def _with_lines(hits: Sequence[SearchHit], chunks: Sequence[TextChunk], stretch: Stretch) -> SearchHit:
    """Return the first of these hits with the text of a stretch; with its own where the store has that no more."""
    best, *others = hits
    also = [chunk_id for hit in others for chunk_id in (hit.id, *hit.also)]
    if best.metadata["chunk_index"] not in {chunk.metadata["chunk_index"] for chunk in chunks}:
        return replace(best, also=(*best.also, *also))
    lines = [line for chunk in chunks for line in numbered_lines(chunk)]
    lines = [line for line in lines if stretch.first <= line.last and line.first <= stretch.last]
    text = "".join(line.text for line in lines)
    starts = [sum(len(line.text) for line in lines if line.start_byte < _start_byte(hit)) for hit in hits]
    highlights = [moved(hit.highlights, start, len(text)) for hit, start in zip(hits, starts, strict=True)]
    return replace(
        best,
        text=text,
        lines=(lines[0].first, max(line.last for line in lines)),
        own_start=starts[0],
        highlights=tuple(sorted({span for some in highlights for span in some})),
        also=(*best.also, *also),
    )
