"""The chunker's own process: parts in, chunks out. A parser that crashes or hangs costs this process, not the daemon."""

from __future__ import annotations

from pydantic import TypeAdapter

from syncd.model import Chunk, Chunking, Part
from syncd.pipeline.chunk import chunk_document
from syncd.runtime.child import open_channel
from syncd.runtime.frames import Frame

PARTS: TypeAdapter[list[Part]] = TypeAdapter(list[Part])
CHUNKS: TypeAdapter[list[Chunk]] = TypeAdapter(list[Chunk])


def split(request: Frame) -> Frame:
    """Answer one request: parts as JSON in its payload, path, chunking and whether to parse in its header."""
    header = request.header
    chunking = Chunking(**header["chunking"])
    chunks = chunk_document(PARTS.validate_json(request.payload), header["path"], chunking, header["parse"])
    return Frame({}, CHUNKS.dump_json(list(chunks)))


if __name__ == "__main__":
    open_channel().serve(split)
