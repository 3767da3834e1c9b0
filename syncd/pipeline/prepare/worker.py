"""The preparing process: `python -m syncd.pipeline.prepare.worker SCRATCH MEMORY_BYTES [READABLE]`, one document at a time, jailed.

Request: a `PrepareRequest` header. The frames of the reply are described in `syncd.pipeline.prepare.request`.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from syncd.runtime.child import Channel, open_channel
from syncd.runtime.frames import Frame
from syncd.runtime.jail import Jail, JailLimits, confine, limit_cpu

if TYPE_CHECKING:
    from syncd.model import Part
    from syncd.pipeline.prepare.request import PrepareRequest

_FILE_BYTES = 1 << 30

Batches = Callable[["Iterator[Part]", "PrepareRequest"], Iterator[Frame]]
"""Makes frames of a document's parts."""


def chunked(parts: Iterator[Part], request: PrepareRequest) -> Iterator[Frame]:
    """Yield the document's chunks, a frame for each segment."""
    from syncd.pipeline.chunk import chunk_document
    from syncd.pipeline.prepare.request import batch_frame

    for chunks in chunk_document(parts, request.path, request.chunking, request.parsed_segments):
        yield batch_frame(chunks)


def main(arguments: list[str], batches: Batches = chunked) -> None:
    """Serve until the daemon closes the pipe."""
    channel = open_channel()
    # Opened outside the jail, which has no /proc.
    status = os.open("/proc/self/status", os.O_RDONLY)
    scratch, memory_bytes, *readable = arguments
    lacks = confine(Jail(limits=JailLimits(int(memory_bytes), _FILE_BYTES), writable=[scratch], readable=readable))
    tune_garbage_collector()
    channel.serve(lambda request: _prepare(channel, status, batches, request), {"jail_lacks": lacks})


def tune_garbage_collector() -> None:
    """Let the garbage collector leave alone what stays, and look less often: syntax nodes are many and never in cycles."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def _prepare(channel: Channel, status: int, batches: Batches, header: Frame) -> Frame:
    # imported inside the jail: libraries start threads, which Landlock would not bind afterwards
    from syncd.model.warnings import warning_values
    from syncd.pipeline.parse.readers import ConversionNeededError
    from syncd.pipeline.parse.task import OUT_OF_MEMORY
    from syncd.pipeline.prepare.request import PrepareRequest

    legacy = ""
    request = PrepareRequest.from_header(header.header)
    try:
        limit_cpu(request.step_limit_s)
        for frame in batches(_parts(channel, request), request):
            channel.send(frame)
            limit_cpu(request.step_limit_s)
    except ConversionNeededError as needed:
        legacy = needed.suffix
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    warnings = warning_values(request.task.warnings.all())
    return Frame({"legacy": legacy, "memory_bytes": _peak_bytes(status), "warnings": warnings})


def _parts(channel: Channel, request: PrepareRequest) -> Iterator[Part]:
    """Yield the document's parts, with what the daemon's vision model says of their pictures."""
    from syncd.pipeline.parse.readers import read
    from syncd.pipeline.parse.vision import with_descriptions
    from syncd.pipeline.prepare.request import READ, pictures_frame
    from syncd.pipeline.prepare.secret_text import without_secrets

    for piece in read(request.task):
        # Text is read in no time, and costs so little that another frame would show.
        if not request.task.format.is_text:
            channel.send(READ)
            limit_cpu(request.step_limit_s)
        part = piece.part
        if piece.pictures and request.task.pictures:
            words = channel.ask(pictures_frame(piece.pictures)).header["words"]
            part = with_descriptions(
                part, [(picture.at_byte, text) for picture, text in zip(piece.pictures, words, strict=True)]
            )
        yield part if request.secrets == "index" else without_secrets(part, request.task)


def _peak_bytes(status: int) -> int:
    """Return the most memory this process has had (proc(5), VmHWM); getrusage's maximum starts at what its parent had."""
    fields = dict(line.split(":", 1) for line in os.pread(status, 8192, 0).decode().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


if __name__ == "__main__":
    main(sys.argv[1:])
