"""Chunks JSON lines {path, text} from standard input to JSON lines {path, chunks} on standard output, for scorers.

    python -m tests.benchmarks.chunking [--max-bytes N] [--target-bytes N] [--no-breadcrumb] [--strip-first-folder]

Each chunk has `text`, `start_byte`, `end_byte`, `embed_text`, `stage`. The last line on standard error is
`CHUNK_SECONDS s CHUNK_BYTES n`: the CPU time of chunking alone, and the bytes it chunked.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from syncd.model import Chunking, Part
from syncd.pipeline.prepare.worker import tune_garbage_collector
from tests.pipeline.chunking import chunks_of_document


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--max-bytes", type=int, default=8192)
    options.add_argument("--target-bytes", type=int, default=1500)
    options.add_argument("--no-breadcrumb", action="store_true")
    options.add_argument("--strip-first-folder", action="store_true", help="paths begin with a repository's name")
    given = options.parse_args()
    chunking = Chunking(
        max_size_bytes=given.max_bytes,
        target_size_bytes=min(given.target_bytes, given.max_bytes),
        breadcrumb=not given.no_breadcrumb,
    )
    tune_garbage_collector()
    seconds = size = 0
    for line in sys.stdin:
        document = json.loads(line)
        path, text = document["path"], document["text"]
        name = path.split("/", 1)[-1] if given.strip_first_folder else path
        started = time.process_time()
        chunks = chunks_of_document([Part(text, "text")], name, chunking)
        seconds += time.process_time() - started
        size += len(text.encode())
        rows = [
            {
                "text": chunk.text,
                "start_byte": chunk.span.start_byte,
                "end_byte": chunk.span.end_byte,
                "embed_text": chunk.embedded_text,
                "stage": chunk.stage,
            }
            for chunk in chunks
        ]
        sys.stdout.write(json.dumps({"path": path, "chunks": rows}) + "\n")
    sys.stderr.write(f"CHUNK_SECONDS {seconds:.4f} CHUNK_BYTES {size}\n")


if __name__ == "__main__":
    main()
