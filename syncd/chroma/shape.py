"""What a collection is made with beside its name: cosine space, who embeds its queries, and a sparse index. Pure: JSON values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import quote, urlsplit

from syncd.model import Target

Protocol = Literal["huggingface", "ollama", "openai"]

ANY_KEY = "SYNCD_TOKEN"
"""The variable whose value OpenAI's clients send as their key; they insist on one, on this machine anything will do."""
OLLAMA_TIMEOUT_S = 60
SPACE = "cosine"
_REFUSED = re.compile(r"sparse vector.{0,300}not (enabled|supported)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class QueryFunction:
    """The embedding function a collection records: `protocol` spoken at `url`, which embeds queries of that collection.

    `huggingface` needs nothing more in Python; `ollama` one package in Python or JavaScript; `openai` one and a key
    variable. `key_variable`: the client's environment variable that holds a token, where one is needed.
    """

    protocol: Protocol
    url: str
    model: str = ""
    key_variable: str | None = None


@dataclass(frozen=True, slots=True)
class SparseIndex:
    """Sparse vectors of `model` under the metadata key `key`."""

    key: str
    model: str


@dataclass(frozen=True, slots=True)
class Shape:
    """What a new collection is to have; a server without sparse indexes makes it without."""

    queries: QueryFunction | None = None
    sparse: SparseIndex | None = None


def queries_path(target: Target) -> str:
    """Return the path below which the daemon embeds queries of a collection."""
    return f"/embed/{quote(target.database, safe='')}/{quote(target.collection, safe='')}"


def function_of(queries: QueryFunction) -> dict[str, Any]:
    """Return the function as Chroma records it (the `get_config` of chromadb 1.5.9's embedding functions)."""
    if queries.protocol == "huggingface":
        config = {"url": f"{queries.url}/query", "api_key_env_var": queries.key_variable}
        return {"type": "known", "name": "huggingface_server", "config": config}
    if queries.protocol == "ollama":
        config = {"url": queries.url, "model_name": queries.model, "timeout": OLLAMA_TIMEOUT_S}
        return {"type": "known", "name": "ollama", "config": config}
    unused = ("organization_id", "api_type", "api_version", "deployment_id", "default_headers", "dimensions")
    config: dict[str, Any] = {
        "api_key_env_var": queries.key_variable or ANY_KEY,
        "model_name": queries.model,
        "api_base": f"{queries.url}/v1",
        **dict.fromkeys(unused),
    }
    return {"type": "known", "name": "openai", "config": config}


def configuration_of(shape: Shape) -> dict[str, Any]:
    """Return a new collection's configuration."""
    function = {"type": "legacy"} if shape.queries is None else function_of(shape.queries)
    return {"hnsw": {"space": SPACE}, "spann": None, "embedding_function": function}


def schema_of(shape: Shape, sparse: SparseIndex, plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return a new collection's schema: `plain` (as chromadb serialises an empty one) with our vector and sparse index."""
    vectors: dict[str, Any] = {"space": SPACE}
    if shape.queries is not None:
        vectors["embedding_function"] = function_of(shape.queries)
    index: dict[str, Any] = {"embedding_function": sparse_function_of(sparse.model), "bm25": is_bm25(sparse.model)}
    keys = dict(cast("Mapping[str, Any]", plain["keys"]))
    keys["#embedding"] = {
        "float_list": {"vector_index": {"enabled": True, "config": {**vectors, "source_key": "#document"}}}
    }
    keys[sparse.key] = {"sparse_vector": {"sparse_vector_index": {"enabled": True, "config": index}}}
    return {"defaults": plain["defaults"], "keys": keys}


def sparse_function_of(model: str) -> dict[str, Any]:
    """Return the function that makes a client's sparse query vectors, where Chroma's clients know the model."""
    if model == "Chroma/BM25":
        config = {"k": 1.2, "b": 0.75, "avg_doc_length": 256.0, "token_max_length": 40, "include_tokens": False}
        return {"type": "known", "name": "chroma_bm25", "config": config}
    if model == "prithivida/Splade_PP_en_v1":
        config = {"api_key_env_var": "CHROMA_API_KEY", "model": model, "include_tokens": False}
        return {"type": "known", "name": "chroma-cloud-splade", "config": config}
    return {"type": "unknown"}


def is_bm25(model: str) -> bool:
    """Return whether the index has to weigh terms by how rare they are when it is asked."""
    return model.endswith("BM25")


def has_sparse_index(schema: Mapping[str, Any] | None, key: str) -> bool:
    """Return whether a collection with this schema indexes sparse vectors under `key`."""
    try:
        return bool((schema or {})["keys"][key]["sparse_vector"]["sparse_vector_index"]["enabled"])
    except (KeyError, TypeError):
        return False


def refuses_sparse(message: str) -> bool:
    """Return whether this is how a server says that it has no sparse indexes (single-node Chroma 1.5.9)."""
    return _REFUSED.search(message) is not None


def is_outdated(recorded: Mapping[str, Any] | None, queries: QueryFunction, target: Target) -> bool:
    """Return whether a recorded function is to be replaced: none, Chroma's default, or ours at another address.

    Somebody else's choice stays.
    """
    if not recorded or recorded.get("type") != "known" or recorded.get("name") == "default":
        return True
    config = cast("Mapping[str, Any]", recorded.get("config") or {})
    path = urlsplit(str(config.get("url") or config.get("api_base") or "")).path
    is_ours = queries_path(target) in path
    return is_ours and dict(recorded) != function_of(queries)
