"""Chroma/BM25 is chromadb's own, to the bit; Code-BM25 finds identifiers by their words and words by their identifiers."""

from pathlib import Path

import chromadb
import numpy as np
import pytest
from chromadb.utils.embedding_functions.chroma_bm25_embedding_function import ChromaBm25EmbeddingFunction
from hypothesis import example, given
from hypothesis import strategies as st

from syncd.pipeline.sparse.bm25 import chroma_bm25, code_bm25

THEIRS = ChromaBm25EmbeddingFunction()
OURS = chroma_bm25()
CODE = code_bm25()


def assert_same(text: str) -> None:
    (theirs,), (ours,) = THEIRS([text]), OURS.vectors([text])
    assert ours.indices.tolist() == theirs.indices
    assert ours.values.tolist() == theirs.values


def real_texts() -> list[str]:
    """Return the sources of an installed package, in pieces of about a chunk."""
    files = sorted(Path(chromadb.__file__).parent.rglob("*.py"))[::2]
    texts = [file.read_text("utf-8") for file in files]
    return [text[start : start + 1500] for text in texts for start in range(0, len(text), 1500)]


def test_real_texts_have_the_vectors_of_chromadb():
    texts = real_texts()
    assert len(texts) > 500
    for text, theirs, ours in zip(texts, THEIRS(texts), OURS.vectors(texts), strict=True):
        assert ours.indices.tolist() == theirs.indices, text
        assert ours.values.tolist() == theirs.values, text


@given(st.text(max_size=300))
@example("don't İstanbul ΟΔΟΣ, ΟΔΟΣ. straße\u00adx 日本語のテキスト e\u0301 a\x1cb\u2028c 1_000")
@example("x" * 41 + " " + "x" * 40)
@example("running runs run RUN 'run' the a an and")
def test_any_text_has_the_vector_of_chromadb(text):
    assert_same(text)


async def test_queries_are_encoded_like_documents():
    (query,), (document,) = await OURS.encode(["fast foxes"], "query"), await OURS.encode(["fast foxes"], "document")
    assert query.indices.tolist() == document.indices.tolist() == THEIRS.embed_query(["fast foxes"])[0].indices


async def test_a_text_without_words_has_an_empty_vector():
    for text in ("", "\u00ad", "!?"):
        (vector,) = await CODE.encode([text], "document")
        assert len(vector.indices) == len(vector.values) == 0


def shared(document: str, query: str) -> set[int]:
    one, other = CODE.vectors([document, query])
    return set(one.indices.tolist()) & set(other.indices.tolist())


@pytest.mark.parametrize(
    ("document", "query"),
    [
        ("def getOrCreateCollection(): ...", "get or create collection"),
        ("you can get or create a collection", "getOrCreateCollection"),
        ("get_or_create_collection(name)", "getOrCreateCollection"),
        ("class HTTPServerError(Exception)", "http server error"),
        ("sha256_hexdigest", "sha 256"),
        ("MAX_RETRY_COUNT = 3", "max retry counts"),
        ("self.parseXMLDocument2()", "parse xml documents"),
        ("日本語の検索", "日本語"),
    ],
)
def test_identifiers_are_found_by_their_words_and_words_by_identifiers(document, query):
    wanted = {term for run in query.split() for term in CODE.vectors([run])[0].indices.tolist()}
    found = shared(document, query)
    words = 1 if " " not in query and query.islower() else 2
    assert len(found & wanted) >= words, found


def test_the_spelling_of_an_identifier_does_not_matter_but_the_whole_counts():
    spellings = [
        "getOrCreateCollection",
        "get_or_create_collection",
        "GetOrCreateCollection",
        "GET_OR_CREATE_COLLECTION",
    ]
    assert len({tuple(v.indices.tolist()) for v in CODE.vectors(spellings)}) == 1
    whole, parts = CODE.vectors(["getOrCreateCollection", "get create collection"])
    assert set(parts.indices.tolist()) < set(whole.indices.tolist())


def test_plain_words_have_the_terms_of_chromas_bm25_and_stop_words_come_beside_them():
    text = "Seven quick foxes were running past lazily sleeping dogs"
    (code,), (chroma,) = CODE.vectors([text]), OURS.vectors([text])
    weights = dict(zip(code.indices.tolist(), code.values.tolist(), strict=True))
    assert weights.items() > dict(zip(chroma.indices.tolist(), chroma.values.tolist(), strict=True)).items()
    assert len(weights) == len(chroma.indices) + 1


@pytest.mark.parametrize("encoder", [OURS, CODE])
def test_spans_are_the_words_of_the_query(encoder):
    text = "Foxes: the quick fox-run,\nran; FOX é fox"
    (query,) = encoder.vectors(["a fox runs"], "query")
    assert [text[start:end] for start, end in encoder.spans(text, query)] == ["Foxes", "fox", "run", "FOX", "fox"]


def test_a_part_of_an_identifier_highlights_all_of_it():
    text = "x = client.getOrCreateCollection(name)"
    (query,) = CODE.vectors(["create"])
    assert [text[start:end] for start, end in CODE.spans(text, query)] == ["getOrCreateCollection"]


@given(st.text(max_size=200))
def test_terms_ascend_and_are_distinct(text):
    for encoder in (OURS, CODE):
        (vector,) = encoder.vectors([text])
        assert (np.diff(vector.indices.astype(np.int64)) > 0).all()
        assert (vector.values > 0).all()
