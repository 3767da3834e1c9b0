"""Rich Text Format: text, headings by outline level or style, lists, tables, links, notes, and what pictures say."""

from __future__ import annotations

from collections.abc import Iterator

from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.rtf_reader import rtf_blocks
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task

_PART_BYTES = 1 << 20


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the document in parts of about a megabyte. Raises PermanentError when it is nested too deeply."""
    out, pictures = Markdown(task.limits), Pictures(task)
    for block in rtf_blocks(task, task.path.read_bytes(), pictures):
        out.block(block)
        for data in pictures.taken():
            out.picture(data)
        if out.size_bytes > _PART_BYTES or pictures.tiring():
            yield out.take()
    yield out.take()
