"""Reranking servers on this machine, over real HTTP: both protocols, and what servers do wrong."""

from contextlib import contextmanager

import pytest
from aiohttp import web

from syncd.errors import RetryableError
from syncd.pipeline.rerank.scorer import prove
from syncd.pipeline.rerank.servers import RerankServer, open_server
from tests.pipeline.rerank.shared_words import COHERE, TEI, shared_words
from tests.serving import serve

TEXTS = ["a lamp", "a fox", "the keeper lights the lamp"]


@contextmanager
def serving(protocol, status=200, change=lambda answer: answer):
    async def answer(request):
        asked.append((request.path, request.headers.get("Authorization"), await request.json()))
        return web.json_response(change(protocol.answer(asked[-1][2])), status=status)

    asked = []
    with serve(answer) as url:
        yield RerankServer(f"{url}/v1", protocol.kind, "ranker", {"Authorization": "Bearer key"}), asked


@pytest.mark.parametrize("protocol", [COHERE, TEI])
async def test_a_servers_scores_are_those_of_the_texts_in_their_order(protocol):
    with serving(protocol) as (server, asked):
        async with open_server(server) as scorer:
            assert await scorer.scores("who lights a lamp", TEXTS) == shared_words("who lights a lamp", TEXTS)
            await prove(scorer)
    assert asked[0][:2] == ("/v1/rerank", "Bearer key")


async def test_text_embeddings_inference_is_asked_for_as_many_texts_as_it_takes():
    with serving(TEI) as (server, asked):
        async with open_server(server) as scorer:
            assert len(await scorer.scores("a", ["a b"] * 50)) == 50
    assert [len(body["texts"]) for _, _, body in asked] == [32, 18]


@pytest.mark.parametrize(
    ("status", "change", "said"),
    [
        (503, lambda answer: answer, "answers 503"),
        (200, lambda answer: {"results": answer["results"][1:]}, "returned no scores"),
        (200, lambda answer: {"results": [{**one, "relevance_score": None} for one in answer["results"]]}, "no scores"),
        (200, lambda answer: {"results": [{**one, "relevance_score": 1e999} for one in answer["results"]]}, "finite"),
        (200, lambda _: [], "is it a cohere server"),
    ],
)
async def test_what_is_no_score_for_each_text_is_not_taken_for_one(status, change, said):
    with serving(COHERE, status, change) as (server, _):
        async with open_server(server) as scorer:
            with pytest.raises(RetryableError, match=said):
                await scorer.scores("a lamp", TEXTS)


async def test_a_server_that_is_not_there_may_be_later():
    async with open_server(RerankServer("http://127.0.0.1:9")) as scorer:
        with pytest.raises(RetryableError, match="cannot be reached"):
            await scorer.scores("a lamp", TEXTS)
