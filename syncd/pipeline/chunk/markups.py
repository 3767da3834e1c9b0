"""The languages whose texts are cut along headings and blocks, and what finds these."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from syncd.pipeline.chunk import asciidoc, latex, markdown_blocks, org, rst
from syncd.pipeline.chunk.languages import ASCIIDOC, MARKDOWN_GRAMMAR
from syncd.pipeline.chunk.markdown_blocks import Block

MARKUPS: Mapping[str, Callable[[bytes], list[Block]]] = {
    MARKDOWN_GRAMMAR: markdown_blocks.blocks_of,
    ASCIIDOC: asciidoc.blocks_of,
    "latex": latex.blocks_of,
    "org": org.blocks_of,
    "rst": rst.blocks_of,
}
"""Scanners instead of grammars, as for Markdown: they are faster, do not crash, and know lists, tables and listings as one thing."""
