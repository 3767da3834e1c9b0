"""How well search finds what people looked for: recall@10 and nDCG@10 of dense (all-MiniLM-L6-v2), sparse and hybrid.

`python -m tests.benchmarks.retrieval DOCUMENTS QUERIES` with JSON lines, gzipped or not: documents {path, text}, queries
{query, path, start, end} or {query, path, ranges: [[start, end], …]}, in bytes of the text. A chunk that overlaps a range
answers the query. Rankings are exact (no approximate index); `--k` and `--weights` vary the fusion.
"""

import argparse
import asyncio
import gzip
import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np

from syncd.model import Chunking, Part
from syncd.pipeline.chunk import chunk_document
from syncd.pipeline.chunk.languages import SUFFIXES
from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.embedder import open_embedder
from syncd.pipeline.sparse.bm25 import chroma_bm25, code_bm25
from syncd.search.fuse import fuse
from syncd.search.lexical import Lexical, best
from syncd.search.query import Fusion

TOP = 10
POOL = 300


def read(path):
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return [json.loads(line) for line in text.decode().splitlines()]


def chunks_of(documents):
    """Return (path, chunk) of all documents."""
    found = []
    for document in documents:
        suffix = Path(document["path"]).suffix
        kind = "markdown" if suffix in (".md", ".mdx") else "code" if suffix in SUFFIXES else "text"
        parts = [Part(document["text"], kind)]
        found += [(document["path"], chunk) for chunk in chunk_document(parts, document["path"], Chunking())]
    return found


async def vectors_of(texts, role):
    """Return the vectors of texts, remembered in the temporary folder."""
    digest = hashlib.sha256("\0".join([role, *texts]).encode()).hexdigest()[:16]
    file = Path(tempfile.gettempdir()) / f"retrieval-{digest}.npy"
    if not file.exists():
        with tempfile.TemporaryDirectory() as folder:
            async with open_embedder(Catalog().find(MINILM), Path(folder)) as embedder:
                rows = [
                    (await embedder.embed(texts[start : start + 64], role)).vectors
                    for start in range(0, len(texts), 64)
                ]
        np.save(file, np.concatenate(rows))
    return np.load(file)


def answers(query, chunks):
    """Return which chunks answer the query, and which it was taken from and may not count."""
    ranges = query.get("ranges") or [[query["start"], query["end"]]]
    good, out = set(), set()
    for number, (path, chunk) in enumerate(chunks):
        if path == query["path"] and any(a < chunk.span.end_byte and b > chunk.span.start_byte for a, b in ranges):
            good.add(number)
        if (
            path == query.get("src_path")
            and query["src_start"] < chunk.span.end_byte
            and query["src_end"] > chunk.span.start_byte
        ):
            out.add(number)
    return good - out, out


def lists_of(vectors):
    lexical = Lexical()
    ids = np.arange(len(vectors))
    lexical.add(
        ids,
        ids,
        np.array([len(v.indices) for v in vectors]),
        np.concatenate([v.indices for v in vectors]),
        np.concatenate([v.values for v in vectors]).astype(np.float32),
    )
    return lexical


def measures(ranking, good):
    top = ranking[:TOP]
    gains = [1 / np.log2(place + 2) for place, number in enumerate(top) if number in good]
    ideal = sum(1 / np.log2(place + 2) for place in range(min(len(good), TOP)))
    return len(set(top) & good) / min(len(good), TOP), sum(gains) / ideal


def mean(scores):
    return " ".join(f"{value:.4f}" for value in np.mean(scores, axis=0))


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("documents", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--k", type=int, nargs="*", default=[60])
    parser.add_argument("--weights", type=float, nargs="*", default=[1.0], help="of sparse, that of dense being 1")
    given = parser.parse_args()
    chunks, queries = chunks_of(read(given.documents)), read(given.queries)
    judged = [(query, *found) for query in queries if (found := answers(query, chunks))[0]]
    texts = [chunk.embedded_text for _, chunk in chunks]
    asked = [query["query"] for query, *_ in judged]
    matrix, wanted = await vectors_of(texts, "document"), await vectors_of(asked, "query")
    print(f"{len(chunks)} chunks, {len(judged)} queries; recall@{TOP} nDCG@{TOP}")
    dense = [
        [n for n in np.argsort(-(matrix @ vector), kind="stable").tolist() if n not in out][:POOL]
        for vector, (_, _, out) in zip(wanted, judged, strict=True)
    ]
    print("dense                  ", mean([measures(r, good) for r, (_, good, _) in zip(dense, judged, strict=True)]))
    for encoder in (chroma_bm25(), code_bm25()):
        lexical = lists_of(encoder.vectors(texts))
        sparse = [
            [n for n in best(lexical.scores(vector, rarity=True), POOL * 2).tolist() if n not in out][:POOL]
            for vector, (_, _, out) in zip(encoder.vectors(asked), judged, strict=True)
        ]
        print(f"{encoder.model:23}", mean([measures(r, good) for r, (_, good, _) in zip(sparse, judged, strict=True)]))
        for k in given.k:
            for weight in given.weights:
                fused = [
                    measures(
                        [int(hit.id) for hit in fuse(list(map(str, d)), list(map(str, s)), Fusion(1.0, weight, k))], g
                    )
                    for d, s, (_, g, _) in zip(dense, sparse, judged, strict=True)
                ]
                print(f"  hybrid k={k:<3} w={weight:<4}   ", mean(fused))


if __name__ == "__main__":
    asyncio.run(main())
