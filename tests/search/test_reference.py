"""Search by words ranks real texts as two others do: chromadb's own vectors, and the BM25 of rank-bm25."""

import math
from pathlib import Path

import chromadb
import numpy as np
import pytest
from chromadb.utils.embedding_functions.chroma_bm25_embedding_function import ChromaBm25EmbeddingFunction
from chromadb.utils.embedding_functions.schemas.bm25_tokenizer import Bm25Tokenizer, get_english_stemmer
from rank_bm25 import BM25Okapi

from syncd.pipeline.sparse.bm25 import chroma_bm25
from syncd.search.lexical import InvertedIndex, best
from tests.search.test_lexical import put

THEIRS = ChromaBm25EmbeddingFunction()
QUERIES = [
    "get or create a collection",
    "embedding function configuration",
    "HNSW index space cosine",
    "delete records where metadata matches",
    "telemetry disabled settings",
    "async client tenant database",
    "persist directory sqlite migrations",
    "getOrCreateCollection",
]


@pytest.fixture(scope="module")
def texts():
    """Pieces of an installed package's sources, each of about a chunk."""
    files = sorted(Path(chromadb.__file__).parent.rglob("*.py"))[::7]
    sources = [file.read_text("utf-8") for file in files]
    return [source[start : start + 1500] for source in sources for start in range(0, len(source), 1500)]


@pytest.fixture(scope="module")
def ours(texts):
    lexical = InvertedIndex()
    put(lexical, dict(enumerate(chroma_bm25().vectors(texts))))
    return lambda query: lexical.scores(chroma_bm25().vectors([query])[0], uses_idf=True)


def assert_same_ranking(ours, reference):
    """Compare scores, and the order of all texts; scores kept as float32 may swap what differs by less."""
    scale = ours.max() / reference.max()
    np.testing.assert_allclose(ours, reference * scale, rtol=1e-5, atol=1e-9)
    ranked = reference[best(ours, len(ours))]
    assert len(ranked) == np.count_nonzero(reference) > 5
    assert (np.diff(ranked) <= 1e-5 * ranked[:-1]).all()


def test_it_is_the_ranking_of_chromadbs_vectors(texts, ours):
    vectors = [dict(zip(v.indices, v.values, strict=True)) for v in THEIRS(texts)]
    for query in QUERIES[:-1]:
        (asked,) = THEIRS.embed_query([query])
        scores = np.zeros(len(texts))
        for term, weight in zip(asked.indices, asked.values, strict=True):
            column = np.array([vector.get(term, 0.0) for vector in vectors])
            frequency = np.count_nonzero(column)
            scores += weight * column * math.log(1 + (len(texts) - frequency + 0.5) / (frequency + 0.5))
        assert_same_ranking(ours(query), scores)


class Lucene(BM25Okapi):
    """rank-bm25 with the idf that Lucene and Chroma have, and Chroma's fixed average length."""

    def _calc_idf(self, nd):
        self.avgdl = 256.0
        self.idf = {w: math.log(1 + (self.corpus_size - n + 0.5) / (n + 0.5)) for w, n in nd.items()}


def test_it_is_the_ranking_of_an_independent_bm25(texts, ours):
    tokenizer = Bm25Tokenizer(get_english_stemmer(), THEIRS._stopword_list, THEIRS.token_max_length)
    reference = Lucene([tokenizer.tokenize(text) for text in texts], k1=1.2, b=0.75)
    for query in QUERIES[:-1]:
        assert_same_ranking(ours(query), reference.get_scores(tokenizer.tokenize(query)))
    assert ours(QUERIES[-1]).max() == 0, "Chroma's BM25 does not look into identifiers; syncd/Code-BM25 does"
