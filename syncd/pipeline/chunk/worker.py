"""The chunker's own process: parts in, chunks out. A parser that crashes or hangs costs this process, not the daemon."""

from __future__ import annotations

import gc

from pydantic import TypeAdapter

from syncd.model import Chunk, Chunking, Part
from syncd.pipeline.chunk import split_segment
from syncd.runtime.child import open_channel
from syncd.runtime.frames import Frame

PARTS: TypeAdapter[list[Part]] = TypeAdapter(list[Part])
CHUNKS: TypeAdapter[list[Chunk]] = TypeAdapter(list[Chunk])


def split(request: Frame) -> Frame:
    """Answer one request: parts as JSON in its payload; path, chunking, open headings and whether to parse in its header."""
    header = request.header
    chunking = Chunking(**header["chunking"])
    parts, open_headings = PARTS.validate_json(request.payload), [(level, text) for level, text in header["headings"]]
    found = split_segment(parts, header["path"], chunking, header["parse"], open_headings)
    return Frame({"headings": found.open_headings}, CHUNKS.dump_json(list(found.chunks)))


def settle() -> None:
    """Let the garbage collector leave alone what stays, and look less often: nodes are many and never in cycles."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


if __name__ == "__main__":
    settle()
    open_channel().serve(split)
