"""How well search finds what people looked for: recall@10 and nDCG@10 of dense (all-MiniLM-L6-v2), sparse and hybrid.

`python -m tests.benchmarks.retrieval DOCUMENTS QUERIES [DOCUMENTS QUERIES …]` with JSON lines, gzipped or not: documents {path,
text}, queries {query, path, start, end} or {query, path, ranges: [[start, end], …]}, in bytes of the text. A chunk that overlaps
a range answers the query. All documents make one collection. Every figure is given for the half of the queries on which the
fusion was chosen, for the other half, and for all; `--k` and `--weights` vary the fusion. Rankings are exact (no approximate
index), and fused as the search fuses them.
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
from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.local import open_embedder
from syncd.pipeline.sparse.bm25 import chroma_bm25, code_bm25
from syncd.search.fuse import Fusion, fuse
from syncd.search.lexical import InvertedIndex, best
from tests.pipeline.chunking import chunks_of_document

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
        parts = [Part(document["text"], "text")]
        found += [(document["path"], chunk) for chunk in chunks_of_document(parts, document["path"], Chunking())]
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
    lexical = InvertedIndex()
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


def halves(query):
    """Return which figures a query counts for."""
    return ("chosen on", "all") if hashlib.sha256(query.encode()).digest()[-1] % 2 == 0 else ("held out", "all")


def show(name, sets, rankings):
    """Print recall and nDCG of every set's rankings, by halves."""
    cells = []
    for (_, judged), ranked in zip(sets, rankings, strict=True):
        scores = {"chosen on": [], "held out": [], "all": []}
        for (query, good, _), ranking in zip(judged, ranked, strict=True):
            for half in halves(query["query"]):
                scores[half].append(measures(ranking, good))
        cells.append(" ".join("{:.4f}/{:.4f}".format(*np.mean(found, axis=0)) for found in scores.values()))
    print(f"{name:24}" + " | ".join(cells), flush=True)


def without(order, out):
    return [number for number in order if number not in out][:POOL]


def read_sets(files):
    """Return each set's (name, judged queries) and the texts of all documents."""
    sets, texts = [], []
    for documents, queries in zip(files[::2], files[1::2], strict=True):
        chunks = chunks_of(read(documents))
        found = [(query, *answers(query, chunks)) for query in read(queries)]
        first = sum(map(len, texts))
        judged = [(q, {first + n for n in good}, {first + n for n in out}) for q, good, out in found if good]
        sets.append((documents.name.split(".")[0], judged))
        texts.append([chunk.embedded_text for _, chunk in chunks])
    return sets, texts


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="DOCUMENTS QUERIES, as often as there are sets")
    parser.add_argument("--k", type=int, nargs="*", default=[Fusion().k])
    parser.add_argument("--weights", type=float, nargs="*", default=[Fusion().sparse], help="of sparse, dense being 1")
    given = parser.parse_args()
    sets, texts = read_sets(given.files)
    matrix = np.concatenate([await vectors_of(some, "document") for some in texts])
    texts = [text for some in texts for text in some]
    print(f"{len(texts)} chunks; " + ", ".join(f"{name}: {len(judged)} queries" for name, judged in sets))
    print(f"recall@{TOP}/nDCG@{TOP}; columns: half it was chosen on, half held out, all")
    dense = []
    for _, judged in sets:
        asked = await vectors_of([query["query"] for query, *_ in judged], "query")
        orders = [np.argsort(-(matrix @ vector), kind="stable").tolist() for vector in asked]
        dense.append([without(order, out) for order, (_, _, out) in zip(orders, judged, strict=True)])
    show("dense", sets, dense)
    for encoder in (chroma_bm25(), code_bm25()):
        lexical, sparse = lists_of(encoder.vectors(texts)), []
        for _, judged in sets:
            asked = encoder.vectors([query["query"] for query, *_ in judged], "query")
            orders = [best(lexical.scores(vector, uses_idf=True), POOL * 2).tolist() for vector in asked]
            sparse.append([without(order, out) for order, (_, _, out) in zip(orders, judged, strict=True)])
        show(encoder.model, sets, sparse)
        for k in given.k:
            for weight in given.weights:
                fused = [
                    [fused_of(d, s, Fusion(1.0, weight, k)) for d, s in zip(*both, strict=True)]
                    for both in zip(dense, sparse, strict=True)
                ]
                show(f"  hybrid k={k} w={weight:g}", sets, fused)


def fused_of(dense, sparse, fusion):
    return [int(hit.id) for hit in fuse(list(map(str, dense)), list(map(str, sparse)), fusion)]


if __name__ == "__main__":
    asyncio.run(main())
