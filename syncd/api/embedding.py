"""The embedding protocols that Chroma's clients speak, so that any of them can query a synced collection by text.

Below `/embed/{database}/{collection}` texts are embedded as queries of that collection, whatever model a request names. At
the root a request names the model; Ollama's and OpenAI's protocols have no roles, so there too texts are embedded as queries,
because only the daemon embeds documents. Without a token, only callers on this machine are served; `models` decides which
models callers may use.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
from aiohttp import web

from syncd.api.errors import RefusedError
from syncd.api.models import require_collection, require_model
from syncd.api.requests import read_json
from syncd.api.route import Access, Route, RouteHandler
from syncd.api.schema_embed import (
    CloudRequest,
    CloudResponse,
    CloudSparseRequest,
    CloudSparseResponse,
    OllamaRequest,
    OllamaResponse,
    OpenAiRequest,
    OpenAiResponse,
    OpenAiUsage,
    OpenAiVector,
    SparseView,
)
from syncd.api.services import SERVICES
from syncd.errors import ConfigError
from syncd.model import Embedded, EmbeddingTask, Target, Vectors, cut_to

MODEL_HEADER = "x-chroma-embedding-model"


async def ollama(request: web.Request) -> web.Response:
    """Embed queries in the format of Ollama's `/api/embed`."""
    wanted = await read_json(request, OllamaRequest)
    embedded = await _queries(request, as_list(wanted.input), wanted.model)
    return _answer(
        OllamaResponse(model=wanted.model, embeddings=embedded.vectors.tolist(), prompt_eval_count=embedded.tokens)
    )


async def openai(request: web.Request) -> web.Response:
    """Embed queries, or texts that have their prompts already, in the format of OpenAI's `/v1/embeddings`."""
    wanted = await read_json(request, OpenAiRequest)
    embed = _queries if wanted.input_type == "query" else _prompted
    embedded = await embed(request, as_list(wanted.input), wanted.model)
    vectors = _shortened(request, wanted, embedded.vectors)
    packed = wanted.encoding_format == "base64"
    data = [
        OpenAiVector(index=index, embedding=as_base64(row) if packed else row.tolist())
        for index, row in enumerate(vectors)
    ]
    usage = OpenAiUsage(prompt_tokens=embedded.tokens, total_tokens=embedded.tokens)
    return _answer(OpenAiResponse(data=data, model=wanted.model, usage=usage))


async def cloud(request: web.Request) -> web.Response:
    """Embed texts in the format of Chroma Cloud's embedding service, which clients find through CHROMA_EMBED_URL."""
    wanted, model = await read_json(request, CloudRequest), _named_model(request)
    await require_model(request, model)
    if not wanted.texts:
        return _answer(CloudResponse(embeddings=[]))
    task = EmbeddingTask("", query_prompt=wanted.instructions) if wanted.instructions else None
    role = "query" if wanted.instructions else "document"
    embedded = await request.app[SERVICES].embed_with(model, wanted.texts, role, task)
    return _answer(CloudResponse(embeddings=embedded.vectors.tolist()))


async def cloud_sparse(request: web.Request) -> web.Response:
    """Encode texts in the format of Chroma Cloud's sparse embedding service, with any sparse model of this daemon."""
    wanted, model = await read_json(request, CloudSparseRequest), _named_model(request)
    await require_model(request, model)
    vectors = await request.app[SERVICES].embed_sparse(model, wanted.texts)
    views = [SparseView(indices=vector.indices.tolist(), values=vector.values.tolist()) for vector in vectors]
    return _answer(CloudSparseResponse(embeddings=views))


async def _queries(request: web.Request, texts: Sequence[str], model: str) -> Embedded:
    """Embed texts as queries, with the model of the collection in the path, or else with the named one."""
    services = request.app[SERVICES]
    target = Target(request.match_info.get("database", ""), request.match_info.get("collection", ""))
    await (require_collection(request, target) if target.collection else require_model(request, model))
    if not texts:
        return Embedded(np.empty((0, 0), np.float32), 0)
    if not target.collection:
        return await services.embed_with(model, texts, "query", None)
    return Embedded(await services.embed_query(target, texts), 0)


async def _prompted(request: web.Request, texts: Sequence[str], model: str) -> Embedded:
    """Embed texts as they are, with a model by name."""
    if "collection" in request.match_info:
        raise RefusedError(400, "texts that have their prompts are embedded below /v1, not below a collection")
    await require_model(request, model)
    if not texts:
        return Embedded(np.empty((0, 0), np.float32), 0)
    return await request.app[SERVICES].embed_with(
        model, texts, "document", EmbeddingTask("", document_prompt="", query_prompt="")
    )


def _shortened(request: web.Request, wanted: OpenAiRequest, vectors: Vectors) -> Vectors:
    """Return vectors of the dimensions asked for. Below a collection only those it holds can be had."""
    has = vectors.shape[1]
    if wanted.dimensions in (None, has) or not len(vectors):
        return vectors
    if "collection" in request.match_info:
        raise RefusedError(400, f"this collection's vectors have {has} dimensions only; omit dimensions")
    try:
        request.app[SERVICES].check_dimensions(wanted.model, wanted.dimensions)
    except ConfigError as error:
        raise RefusedError(400, str(error)) from error
    return cut_to(vectors, wanted.dimensions)


def _named_model(request: web.Request) -> str:
    name = request.headers.get(MODEL_HEADER, "")
    if not name:
        raise RefusedError(400, f"name the model in the header {MODEL_HEADER}")
    return name


def as_list(texts: str | list[str]) -> list[str]:
    """Return `texts` as a list, a single text as a list of one."""
    return [texts] if isinstance(texts, str) else texts


def as_base64(vector: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> str:
    """Return a vector as OpenAI's base64: little-endian float32."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


def _answer(
    body: OllamaResponse | OpenAiResponse | CloudResponse | CloudSparseResponse,
) -> web.Response:
    return web.json_response(text=body.model_dump_json())


def _routes(path: str, name: str, handle: RouteHandler, body: type, answer: type, summary: str) -> tuple[Route, Route]:
    """Return two routes: the one below a collection, and the one at the root."""
    return (
        Route("POST", "/embed/{database}/{collection}" + path, handle, f"{name}_collection", "Embedding",
              f"{summary}, with the collection's model", {200: answer}, body=body, access=Access.LOCAL, only_reads=True),
        Route("POST", path, handle, name, "Embedding", f"{summary}, with the named model",
              {200: answer}, body=body, access=Access.LOCAL, only_reads=True),
    )  # fmt: skip


ROUTES = (
    *_routes("/api/embed", "embed_ollama", ollama, OllamaRequest, OllamaResponse, "Embed queries (Ollama protocol)"),
    *_routes(
        "/v1/embeddings", "embed_openai", openai, OpenAiRequest, OpenAiResponse, "Embed queries (OpenAI protocol)"
    ),
    Route(
        "POST",
        "/",
        cloud,
        "embed_cloud",
        "Embedding",
        "Embed texts (Chroma Cloud protocol, CHROMA_EMBED_URL)",
        {200: CloudResponse},
        body=CloudRequest,
        access=Access.LOCAL,
        only_reads=True,
    ),
    Route(
        "POST",
        "/embed_sparse",
        cloud_sparse,
        "embed_cloud_sparse",
        "Embedding",
        "Encode texts as sparse vectors (Chroma Cloud protocol, CHROMA_EMBED_URL)",
        {200: CloudSparseResponse},
        body=CloudSparseRequest,
        access=Access.LOCAL,
        only_reads=True,
    ),
)
