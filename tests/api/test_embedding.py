"""Chroma's embedding functions, and the clients behind them, against the live API."""

import asyncio

import httpx
import numpy as np
import ollama
import openai
import pytest
from chromadb.utils.embedding_functions.chroma_bm25_embedding_function import ChromaBm25EmbeddingFunction
from chromadb.utils.embedding_functions.chroma_cloud_qwen_embedding_function import (
    CHROMA_CLOUD_QWEN_DEFAULT_INSTRUCTIONS,
    ChromaCloudQwenEmbeddingFunction,
    ChromaCloudQwenEmbeddingModel,
)
from chromadb.utils.embedding_functions.chroma_cloud_splade_embedding_function import ChromaCloudSpladeEmbeddingFunction
from chromadb.utils.embedding_functions.huggingface_embedding_function import HuggingFaceEmbeddingServer
from chromadb.utils.embedding_functions.ollama_embedding_function import OllamaEmbeddingFunction
from chromadb.utils.embedding_functions.openai_embedding_function import OpenAIEmbeddingFunction

from syncd.model import Embedding, Target
from tests.api.conftest import MINILM, QWEN, SPLADE

COLLECTION = "/embed/api-tests/docs"


@pytest.fixture
async def local(api_with):
    """The API on loopback, where these routes need no token for what there is."""
    async with api_with(loopback=True) as api:
        await written(api)
        yield api


async def written(api):
    """Have collections that syncd has written, one with each model."""
    for name, model in (("docs", QWEN), ("notes", MINILM), ("not-here", "acme/own-model")):
        await api.store.collections.open(Target(api.database, name), Embedding(model))


@pytest.fixture
def ask():
    """Call blocking clients beside the server that answers them."""
    return asyncio.to_thread


async def test_a_recorded_tei_function_embeds_queries(local, ask):
    function = HuggingFaceEmbeddingServer(url=f"{local.url}{COLLECTION}/query")
    assert np.array(await ask(function, ["a", "b"])).tolist() == [[1, 0, 0], [0, 1, 0]]


async def test_ollamas_client_and_function_embed_queries_of_a_collection(local, ask):
    function = OllamaEmbeddingFunction(url=local.url + COLLECTION, model_name="docs")
    assert np.array(await ask(function, ["a", "b"])).tolist() == [[1, 0, 0], [0, 1, 0]]
    answer = await ollama.AsyncClient(host=local.url).embed(model=MINILM, input="four")
    assert (answer.embeddings, answer.model, answer.prompt_eval_count) == ([[4, 1, 0]], MINILM, 3)


async def test_openais_client_and_function_embed_queries_of_a_collection(local, ask, monkeypatch):
    monkeypatch.setenv("ANY_KEY", "x")
    function = OpenAIEmbeddingFunction(
        api_base=local.url + COLLECTION + "/v1", model_name="docs", api_key_env_var="ANY_KEY"
    )
    assert np.array(await ask(function, ["a", "b"])).tolist() == [[1, 0, 0], [0, 1, 0]]
    async with openai.AsyncOpenAI(base_url=local.url + "/v1", api_key="x") as client:
        for encoding in ("base64", "float"):
            answer = await client.embeddings.create(model=MINILM, input=["four", "fives"], encoding_format=encoding)
            vectors = [item.embedding for item in answer.data]
            if encoding == "base64":
                vectors = [v if isinstance(v, list) else decoded(v) for v in vectors]
            assert vectors == [[4, 1, 0], [5, 1, 0]]
            assert (answer.model, answer.usage.prompt_tokens) == (MINILM, 6)


def decoded(text):
    import base64

    return np.frombuffer(base64.b64decode(text), "<f4").tolist()


async def test_chroma_clouds_dense_function_embeds_documents_and_instructed_queries(local, ask, monkeypatch):
    monkeypatch.setenv("CHROMA_EMBED_URL", local.url)
    monkeypatch.setenv("CHROMA_API_KEY", "x")
    function = ChromaCloudQwenEmbeddingFunction(ChromaCloudQwenEmbeddingModel.QWEN3_EMBEDDING_0p6B, task="nl_to_code")
    (document,) = await ask(function, ["four"])
    (query,) = await ask(function.embed_query, ["four"])
    prompt = next(text for text in CHROMA_CLOUD_QWEN_DEFAULT_INSTRUCTIONS["nl_to_code"].values() if text)
    assert document.tolist() == [4, 0, 0]
    assert query.tolist() == [4, 1, len(prompt)]


async def test_chroma_clouds_sparse_function_gets_sparse_vectors(local, ask, monkeypatch):
    monkeypatch.setenv("CHROMA_EMBED_URL", local.url)
    monkeypatch.setenv("CHROMA_API_KEY", "x")
    function = ChromaCloudSpladeEmbeddingFunction()
    function._session.headers["x-chroma-embedding-model"] = "Chroma/BM25"
    texts = ["quick foxes run", "getOrCreateCollection"]
    assert await ask(function, texts) == ChromaBm25EmbeddingFunction()(texts)


async def test_errors_are_readable_where_the_function_looks_for_them(local, ask, monkeypatch):
    monkeypatch.setenv("CHROMA_EMBED_URL", local.url)
    monkeypatch.setenv("CHROMA_API_KEY", "x")
    function = ChromaCloudQwenEmbeddingFunction(ChromaCloudQwenEmbeddingModel.QWEN3_EMBEDDING_0p6B, task=None)
    function._session.headers["x-chroma-embedding-model"] = "other"
    with pytest.raises(RuntimeError, match="not_found"):
        await ask(function, ["a"])
    with pytest.raises(openai.NotFoundError):
        await openai.AsyncOpenAI(base_url=local.url + "/v1", api_key="x").embeddings.create(model="other", input="a")


async def test_texts_of_another_syncd_get_no_prompt_of_ours(api):
    asked = {"model": QWEN, "input": ["four"]}
    for more, as_query in (({}, 1), ({"input_type": "prompted"}, 0)):
        status, answer = await api.post("/v1/embeddings", {**asked, **more})
        assert (status, answer["data"][0]["embedding"]) == (200, [4, as_query, 0])
    assert (await api.post(f"{COLLECTION}/v1/embeddings", {**asked, "input_type": "prompted"}))[0] == 400


@pytest.mark.parametrize("path", ["/api/embed", "/v1/embeddings", "/", "/embed_sparse", COLLECTION + "/api/embed"])
async def test_elsewhere_than_on_loopback_a_token_is_needed(api, path):
    header = {"x-chroma-embedding-model": QWEN}
    body = {"model": QWEN, "input": "a", "texts": ["a"]}
    assert (await api.post(path, body, token=None, headers=header))[0] == 401
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {api.token}", **header}) as client:
        answer = await client.post(api.url + path, json=body)
    assert answer.status_code == (200 if path != "/embed_sparse" else 404)


ROOT_PATHS = ["/api/embed", "/v1/embeddings", "/", "/embed_sparse"]
PATHS = ["/query", "/api/embed", "/v1/embeddings"]


def everything(model):
    """A body that every protocol takes, and the header some want."""
    return {"model": model, "input": "a", "inputs": "a", "texts": ["a"]}, {"x-chroma-embedding-model": model}


@pytest.mark.parametrize("path", PATHS)
async def test_without_a_token_what_is_not_there_and_what_cannot_be_computed_here_look_alike(local, path):
    body, _ = everything(QWEN)
    answers = []
    for place in ("api-tests/not-here", "api-tests/nothing", "no-such-database/docs"):
        status, answer = await local.post(f"/embed/{place}{path}", body, token=None)
        answers.append((status, answer["message"].replace(place, "")))
    assert answers[0][0] == 404
    assert len(set(answers)) == 1
    assert (await local.post(f"/embed/api-tests/docs{path}", body, token=None))[0] == 200


@pytest.mark.parametrize("path", ROOT_PATHS)
async def test_without_a_token_no_model_starts_that_no_collection_has_and_none_is_fetched(api_with, path):
    asked = []

    async def asked_for(model, *_):
        asked.append(model)
        raise AssertionError(model)

    async with api_with(loopback=True, embed_with=asked_for, embed_sparse=asked_for) as api:
        answers = set()
        await api.store.collections.open(Target(api.database, "fetched"), Embedding("acme/own-model"))
        await api.store.collections.open(Target(api.database, "sparse"), Embedding("acme/other", sparse_model=SPLADE))
        for model in (MINILM, "acme/own-model", "acme/other", SPLADE, "no-such"):
            body, headers = everything(model)
            for more in ({}, {"texts": [], "input": []}):
                status, answer = await api.post(path, {**body, **more}, token=None, headers=headers)
                answers.add((status, answer["message"].replace(model, "")))
        assert len(answers) == 1
        assert answers.pop()[0] == 404
    assert not asked


async def test_a_token_covers_the_models_and_collections_of_its_databases_only(api):
    await written(api)
    theirs = await api.store.tokens.create("theirs", frozenset({"elsewhere"}))
    ours = await api.store.tokens.create("ours", frozenset({api.database}))
    for path in ROOT_PATHS[:3]:
        body, headers = everything(MINILM)
        assert (await api.post(path, body, token=theirs, headers=headers))[0] == 404
        assert (await api.post(path, body, token=ours, headers=headers))[0] == 200
    for path in PATHS:
        for name in ("docs", "nothing"):
            status, answer = await api.post(f"/embed/api-tests/{name}{path}", everything(QWEN)[0], token=theirs)
            assert (status, "docs" in answer["message"]) == (403, False)
        assert (await api.post(f"/embed/api-tests/docs{path}", everything(QWEN)[0], token=ours))[0] == 200


async def test_on_loopback_a_token_counts_where_one_is_shown(local):
    theirs = await local.store.tokens.create("theirs", frozenset({"elsewhere"}))
    body, headers = everything("acme/own-model")
    assert (await local.post(f"{COLLECTION}/query", {"inputs": "a"}, token=theirs))[0] == 403
    assert (await local.post("/", body, headers=headers))[1]["message"].startswith("unknown model")


async def test_malformed_requests_are_refused(local):
    header = {"x-chroma-embedding-model": QWEN}
    for path in ("/api/embed", "/v1/embeddings"):
        for wrong in (
            {"model": "m"},
            {"model": MINILM, "input": [""]},
            {"input": "a"},
            {"model": MINILM, "input": [1]},
        ):
            assert (await local.post(path, wrong))[0] == 400, wrong
    for dimensions, status in ((2, 400), (3, 200)):
        asked = {"model": MINILM, "input": "a", "dimensions": dimensions}
        assert (await local.post("/v1/embeddings", asked))[0] == status
    for path in ("/", "/embed_sparse"):
        assert (await local.post(path, {"texts": ["a"] * 257}, headers=header))[0] == 400
        assert (await local.post(path, {"texts": ["a"]}))[0] == 400
    assert await local.post("/", {"texts": []}, headers=header) == (200, {"embeddings": []})
