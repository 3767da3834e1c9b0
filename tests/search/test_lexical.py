"""The inverted lists rank as a plain BM25 over all texts does, whatever came and went in between."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.model import SparseVector
from syncd.pipeline.sparse.bm25 import chroma_bm25, code_bm25
from syncd.pipeline.sparse.words import chroma_terms, code_terms, runs
from syncd.search.lexical import InvertedIndex, best

ANALYSERS = {"chroma": (chroma_bm25(), chroma_terms), "code": (code_bm25(), code_terms)}
WORDS = ["lamp", "lampKeeper", "keeper", "light_house", "house", "fox", "runs", "running", "HTTPServer", "server2"]


def reference(texts: list[str], query: str, terms) -> list[float]:
    """BM25 as textbooks have it (idf as in Lucene, average length fixed at 256), over lists of terms."""
    documents = [[term for run in runs(text) for term in terms(run)] for text in texts]
    asked = Counter(term for run in runs(query) for term in terms(run))
    scores = []
    for document in documents:
        score = 0.0
        for term, times in asked.items():
            frequency = sum(term in other for other in documents)
            idf = math.log(1 + (len(documents) - frequency + 0.5) / (frequency + 0.5))
            count = document.count(term)
            saturated = count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(document) / 256))
            length = sum(asked.values())
            score += idf * saturated * (times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / 256)))
        scores.append(score)
    return scores


def put(lexical: InvertedIndex, vectors: dict[int, SparseVector]) -> None:
    ids = np.array(sorted(vectors), np.int64)
    ordered = [vectors[i] for i in sorted(vectors)]
    lexical.add(
        ids,
        ids * 10,
        np.array([len(v.indices) for v in ordered], np.int64),
        np.concatenate([np.empty(0, np.uint32), *(v.indices for v in ordered)]).astype(np.uint32),
        np.concatenate([np.empty(0, np.float32), *(v.values for v in ordered)]).astype(np.float32),
    )


texts_strategy = st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), min_size=1, max_size=6)


@pytest.mark.parametrize("analyser", ANALYSERS)
@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(st.tuples(texts_strategy, st.sets(st.integers(0, 20), max_size=6)), min_size=1, max_size=7),
    query=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join),
)
def test_the_ranking_is_that_of_a_reference_over_what_is_there(analyser, batches, query):
    encoder, terms = ANALYSERS[analyser]
    lexical, alive, made = InvertedIndex(), {}, 0
    for texts, gone in batches:
        vectors = encoder.vectors(texts)
        new = {made + i: text for i, text in enumerate(texts)}
        put(lexical, {made + i: vector for i, vector in enumerate(vectors)})
        made += len(texts)
        alive |= new
        lexical.remove(np.array(sorted(gone), np.int64))
        alive = {i: text for i, text in alive.items() if i not in gone}
        lexical.tidy()
    (asked,) = encoder.vectors([query])
    scores = lexical.scores(asked, uses_idf=True)
    expected = reference(list(alive.values()), query, terms)
    ours = {int(i): score for i, score in zip(lexical.ids, scores, strict=True) if i in alive}
    assert len(lexical) == len(alive)
    np.testing.assert_allclose([ours[i] for i in alive], expected, rtol=1e-6, atol=1e-9)
    assert all(score == 0 for i, score in zip(lexical.ids, scores, strict=True) if i not in alive)
    order = [int(lexical.ids[row]) for row in best(scores, 1000)]
    wanted = sorted((i for i, s in zip(alive, expected, strict=True) if s > 0), key=lambda i: -ours[i])
    assert order == wanted


def test_learned_vectors_are_compared_by_plain_dot_products():
    lexical = InvertedIndex()
    put(lexical, {1: SparseVector(np.array([1, 2], np.uint32), np.array([0.5, 2.0]))})
    asked = SparseVector(np.array([2, 3], np.uint32), np.array([3.0, 9.0]))
    assert lexical.scores(asked, uses_idf=False).tolist() == [6.0]


def test_equal_scores_stay_in_their_order_and_the_limit_cuts():
    scores = np.array([0.0, 2.0, 1.0, 2.0, 0.0, 2.0])
    assert best(scores, 2).tolist() == [1, 3]
    assert best(scores, 10).tolist() == [1, 3, 5, 2]
    assert best(np.zeros(3), 5).tolist() == []


def test_lists_shrink_when_much_is_gone():
    lexical, (vector,) = InvertedIndex(), chroma_bm25().vectors(["lamp keeper house"])
    for start in range(0, 400, 40):
        put(lexical, dict.fromkeys(range(start, start + 40), vector))
        lexical.tidy()
    full_bytes = lexical.size_bytes
    lexical.remove(np.arange(0, 399))
    lexical.tidy()
    assert lexical.ids.tolist() == [399]
    assert lexical.size_bytes < full_bytes / 20
