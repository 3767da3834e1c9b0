"""What a collection is made with beside its name: cosine space, who embeds its queries, and a sparse index. Pure: JSON values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from syncd.json_types import is_object
from syncd.model import CollectionShape, QueryFunction, SparseIndex, Target

ANY_KEY = "SYNCD_TOKEN"
"""The variable whose value OpenAI's clients send as their key; they require one, but on loopback any value will do."""
OLLAMA_TIMEOUT_S = 60
ChromaJson = dict[str, object]
VECTOR_SPACE = "cosine"
_REFUSED = re.compile(r"sparse vector.{0,300}not (enabled|supported)", re.IGNORECASE)


def part(value: object, *names: str) -> Mapping[str, object]:
    """Return the JSON object at this path of names; an empty one if there is none."""
    for name in names:
        value = part(value).get(name)
    return value if is_object(value) else {}


def queries_path(target: Target) -> str:
    """Return the path below which the daemon embeds queries of a collection."""
    return f"/embed/{quote(target.database, safe='')}/{quote(target.collection, safe='')}"


def function_of(queries: QueryFunction) -> ChromaJson:
    """Return the function as Chroma records it (the `get_config` of chromadb 1.5.9's embedding functions)."""
    if queries.protocol == "huggingface":
        config = {"url": f"{queries.url}/query", "api_key_env_var": queries.key_variable}
        return {"type": "known", "name": "huggingface_server", "config": config}
    if queries.protocol == "ollama":
        config = {"url": queries.url, "model_name": queries.model, "timeout": OLLAMA_TIMEOUT_S}
        return {"type": "known", "name": "ollama", "config": config}
    unused = ("organization_id", "api_type", "api_version", "deployment_id", "default_headers", "dimensions")
    config: ChromaJson = {
        "api_key_env_var": queries.key_variable or ANY_KEY,
        "model_name": queries.model,
        "api_base": f"{queries.url}/v1",
        **dict.fromkeys(unused),
    }
    return {"type": "known", "name": "openai", "config": config}


def configuration_of(shape: CollectionShape) -> ChromaJson:
    """Return a new collection's configuration."""
    function = {"type": "legacy"} if shape.queries is None else function_of(shape.queries)
    return {"hnsw": {"space": VECTOR_SPACE}, "spann": None, "embedding_function": function}


def schema_of(shape: CollectionShape, sparse: SparseIndex, plain: Mapping[str, object]) -> ChromaJson:
    """Return a new collection's schema: `plain` (as chromadb serialises an empty one) with our vector and sparse index."""
    vectors: ChromaJson = {"space": VECTOR_SPACE}
    if shape.queries is not None:
        vectors["embedding_function"] = function_of(shape.queries)
    index: ChromaJson = {"embedding_function": sparse_function_of(sparse.model), "bm25": is_bm25(sparse.model)}
    keys = dict(part(plain, "keys"))
    keys["#embedding"] = {
        "float_list": {"vector_index": {"enabled": True, "config": {**vectors, "source_key": "#document"}}}
    }
    keys[sparse.key] = {"sparse_vector": {"sparse_vector_index": {"enabled": True, "config": index}}}
    return {"defaults": plain["defaults"], "keys": keys}


def sparse_function_of(model: str) -> ChromaJson:
    """Return the function that makes a client's sparse query vectors, where Chroma's clients know the model."""
    if model == "Chroma/BM25":
        config = {"k": 1.2, "b": 0.75, "avg_doc_length": 256.0, "token_max_length": 40, "include_tokens": False}
        return {"type": "known", "name": "chroma_bm25", "config": config}
    if model == "prithivida/Splade_PP_en_v1":
        config = {"api_key_env_var": "CHROMA_API_KEY", "model": model, "include_tokens": False}
        return {"type": "known", "name": "chroma-cloud-splade", "config": config}
    return {"type": "unknown"}


def is_bm25(model: str) -> bool:
    """Return whether the index has to apply BM25's idf at query time."""
    return model.endswith("BM25")


def has_sparse_index(schema: Mapping[str, object] | None, key: str) -> bool:
    """Return whether a collection with this schema indexes sparse vectors under `key`."""
    return bool(part(schema, "keys", key, "sparse_vector", "sparse_vector_index").get("enabled"))


def refuses_sparse(message: str) -> bool:
    """Return whether an error says that the server has no sparse indexes (wording of single-node Chroma 1.5.9)."""
    return _REFUSED.search(message) is not None


def is_outdated(recorded: Mapping[str, object] | None, queries: QueryFunction, target: Target) -> bool:
    """Return whether a recorded function is to be replaced: none, Chroma's default, or ours at another address.

    A function chosen by somebody else stays.
    """
    if not recorded or recorded.get("type") != "known" or recorded.get("name") == "default":
        return True
    config = part(recorded, "config")
    path = urlsplit(str(config.get("url") or config.get("api_base") or "")).path
    is_ours = queries_path(target) in path
    return is_ours and dict(recorded) != function_of(queries)
