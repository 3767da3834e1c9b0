"""What collections record is what chromadb's own classes would write, and can be read back by them."""

import pytest
from chromadb import Schema
from chromadb.api.types import SparseVectorIndexConfig, VectorIndexConfig
from chromadb.utils.embedding_functions.chroma_bm25_embedding_function import ChromaBm25EmbeddingFunction
from chromadb.utils.embedding_functions.chroma_cloud_splade_embedding_function import ChromaCloudSpladeEmbeddingFunction
from chromadb.utils.embedding_functions.huggingface_embedding_function import HuggingFaceEmbeddingServer
from chromadb.utils.embedding_functions.ollama_embedding_function import OllamaEmbeddingFunction
from chromadb.utils.embedding_functions.openai_embedding_function import OpenAIEmbeddingFunction

from syncd.chroma.shape import (
    SparseIndex,
    function_of,
    has_sparse_index,
    is_outdated,
    queries_path,
    refuses_sparse,
    schema_of,
)
from syncd.model import CollectionShape, QueryFunction, Target

TARGET = Target("my data", "docs")
URL = "http://127.0.0.1:8787" + queries_path(TARGET)


@pytest.mark.parametrize(
    ("protocol", "function"),
    [
        ("huggingface", HuggingFaceEmbeddingServer),
        ("ollama", OllamaEmbeddingFunction),
        ("openai", OpenAIEmbeddingFunction),
    ],
)
def test_functions_are_rebuilt_by_chromadb_as_they_were_recorded(protocol, function, monkeypatch):
    monkeypatch.setenv("SYNCD_TOKEN", "t")
    recorded = function_of(QueryFunction(protocol, URL, "a-model", "SYNCD_TOKEN"))
    function.validate_config(recorded["config"])
    built = function.build_from_config(recorded["config"])
    assert {"type": "known", "name": function.name(), "config": built.get_config()} == recorded
    assert URL in str(recorded)


def test_a_schema_is_the_one_chromadb_serialises(monkeypatch):
    monkeypatch.setenv("CHROMA_API_KEY", "k")
    queries = QueryFunction("huggingface", URL)
    vectors = VectorIndexConfig(space="cosine", embedding_function=HuggingFaceEmbeddingServer(url=f"{URL}/query"))
    for model, function, bm25 in (
        ("Chroma/BM25", ChromaBm25EmbeddingFunction(), True),
        ("prithivida/Splade_PP_en_v1", ChromaCloudSpladeEmbeddingFunction(), False),
        ("syncd/Code-BM25", None, True),
    ):
        theirs = Schema().create_index(vectors)
        theirs.create_index(SparseVectorIndexConfig(embedding_function=function, bm25=bm25), key="words")
        sparse = SparseIndex("words", model)
        ours = schema_of(CollectionShape(queries, sparse), sparse, Schema().serialize_to_json())
        assert ours["keys"] == theirs.serialize_to_json()["keys"]
        assert has_sparse_index(ours, "words")
        assert not has_sparse_index(ours, "other")
        read = Schema.deserialize_from_json(ours).keys["words"].sparse_vector.sparse_vector_index.config
        assert type(read.embedding_function) is type(function)
    assert not has_sparse_index(Schema().serialize_to_json(), "#document")
    assert not has_sparse_index(None, "words")


def test_only_what_nobody_chose_is_replaced():
    queries = QueryFunction("huggingface", URL)
    moved = QueryFunction("openai", URL.replace("8787", "9000"))
    own = {"type": "known", "name": "openai", "config": {"api_base": "https://api.openai.com/v1"}}
    for replaced in (None, {"type": "legacy"}, {"type": "known", "name": "default", "config": {}}, function_of(moved)):
        assert is_outdated(replaced, queries, TARGET)
    for kept in (own, function_of(queries), function_of(QueryFunction("ollama", URL.replace("docs", "other")))):
        assert not is_outdated(kept, queries, TARGET)


def test_a_server_without_sparse_indexes_is_known_by_its_words():
    assert refuses_sparse("Invalid schema input: Sparse vector indexing is not enabled in local")
    assert refuses_sparse("Sparse vector is not supported for local chroma: words")
    assert not refuses_sparse("Collection [docs] does not exist")
