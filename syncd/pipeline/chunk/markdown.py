"""Where Markdown and its kin may be cut: between blocks, and inside those that are too large. No heading is cut from its body."""

from __future__ import annotations

from dataclasses import dataclass

from syncd.pipeline.chunk.lines import PARAGRAPH_COST, add_sentences
from syncd.pipeline.chunk.markdown_blocks import ITEM, Block
from syncd.pipeline.chunk.solver import ChunkLimits, Cuts

HEADING_COST = 0.75
HEADING_LEVEL_COST = 0.25
MARKDOWN_ITEM_COST = 8.0
WRAPPED_LINE_COST = 16.0
ROW_COST = 12.0
LEAD_IN_COST = 14.0
"""Between a line that ends with a colon and the list, table or fence it announces."""
HEADING_BODY_COST = 300.0


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading at `start`, its level and its text."""

    start: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class MarkdownTable:
    """A table from `start` to `end`; its header and delimiter rows are data[head_start:head_end]."""

    start: int
    end: int
    head_end: int
    head_start: int


@dataclass(frozen=True, slots=True)
class Outline:
    """What a scan found: allowed cuts, headings and tables in document order."""

    cuts: Cuts
    headings: list[Heading]
    tables: list[MarkdownTable]


def outline(data: bytes, blocks: list[Block], limits: ChunkLimits) -> Outline:
    """Return the cuts, headings and tables of a text with these blocks."""
    cuts = _cuts(data, blocks, limits)
    headings = [Heading(b.start, b.level, b.title) for b in blocks if b.kind == "heading"]
    tables = [
        MarkdownTable(b.start, b.end, b.head_end, max(b.start, b.head_start)) for b in blocks if b.kind == "table"
    ]
    return Outline(cuts, headings, tables)


def _cuts(data: bytes, blocks: list[Block], limits: ChunkLimits) -> Cuts:
    """Return the cuts between blocks, and inside those over the limit; sections that fit get none inside."""
    cuts: Cuts = {}
    index = chain = 0
    while index < len(blocks):
        after = index + 1
        while after < len(blocks) and blocks[after].kind != "heading":
            after += 1
        end = blocks[after].start if after < len(blocks) else len(data)
        section = blocks[index:after]
        first = section[0]
        if first.kind == "heading":
            joined = index > 0 and blocks[index - 1].kind == "heading"
            cuts[first.start] = HEADING_BODY_COST if joined else HEADING_COST + HEADING_LEVEL_COST * first.level
            chain = chain if joined else first.start
        if first.kind != "heading" or end - chain > limits.maximum_bytes:
            _open_section(cuts, data, section, limits)
        index = after
    return cuts


def _open_section(cuts: Cuts, data: bytes, section: list[Block], limits: ChunkLimits) -> None:
    """Add the cuts between the blocks of a section, and inside those that do not fit."""
    before = ""
    for block in section:
        if before == "heading":
            cuts[block.start] = HEADING_BODY_COST
        elif block.kind != "heading":
            cuts[block.start] = MARKDOWN_ITEM_COST + block.level / 2 if block.kind == "item" else PARAGRAPH_COST
            if block.lead_in:
                cuts[block.start] += LEAD_IN_COST
        size = block.end - block.start
        if size > limits.maximum_bytes or (block.kind == "paragraph" and size > limits.target_bytes):
            _open_block(cuts, data, block)
        before = block.kind


def _open_block(cuts: Cuts, data: bytes, block: Block) -> None:
    """Add the cuts inside a block over the limit: rows, nested items, lines of code, wrapped lines and sentences."""
    for line in block.lines:
        if block.kind == "table":
            if line > block.head_end:
                cuts[line] = ROW_COST
        elif block.kind == "fence":
            cuts[line] = ROW_COST if data[line - 2 : line] != b"\n\n" else PARAGRAPH_COST
        else:
            cuts[line] = MARKDOWN_ITEM_COST + 2 if ITEM.match(data, line) else WRAPPED_LINE_COST
    if block.kind in ("paragraph", "item"):
        add_sentences(cuts, data, block.start, block.end)
