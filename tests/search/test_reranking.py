"""Searches of prose reranked by a real server over HTTP: its order, its failures, and what is left alone."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import anyio
import pytest
from aiohttp import web

from syncd.errors import PermanentError
from syncd.pipeline.rerank.reranker import Reranker
from syncd.pipeline.rerank.servers import RerankServer, open_server
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.runtime.retry import Backoff
from syncd.search import Query, Search, SearchOptions
from syncd.search.reranking import RERANKED
from tests.pipeline.parts import write
from tests.pipeline.rerank.shared_words import COHERE
from tests.processes import wait_until
from tests.serving import serve

FILES = {
    "lamp.md": "A lamp keeper, a lamp keeper, a lamp keeper, in evenings.\n",
    "keeper.md": "The keepers light all lamps when evening comes, as others before them did for a hundred years.\n",
    "fox.md": "Foxes run at night.\n",
}
CODE = {"a.py": "def keeper():\n    return 'lamp'\n", "b.py": "def lights_lamp(keeper):\n    return 'lamp lamp lamp'\n"}
QUESTION = "lamps keepers evening"
"""By words, stems that is, the first one is ahead; the server counts the words as they stand."""


class Ranker:
    """What a server does: a test sets it."""

    def __init__(self):
        self.status = 200
        self.is_silent = False
        self.is_constant = False
        self.queries = []

    async def answer(self, request):
        body = await request.json()
        self.queries.append(body["query"])
        if self.is_silent:
            await asyncio.sleep(600)
        answer = COHERE.answer(body)
        if self.is_constant:
            answer = {"results": [{**one, "relevance_score": 0.5} for one in answer["results"]]}
        return web.json_response(answer, status=self.status)


@pytest.fixture
def reranking(parts, target):
    """Yield what searches, and the server that reranks."""

    async def embedder(_name):
        return parts.embedder

    @asynccontextmanager
    async def opened(ranker=None, **options):
        ranker = ranker or Ranker()
        with serve(ranker.answer) as url:
            made = {"limit_s": 30.0, "backoff": Backoff(base_s=0.01, cap_s=0.01), **options}
            reranker = Reranker(lambda: open_server(RerankServer(url)), "ranker", **made)
            search = Search(
                parts.store,
                parts.chroma,
                embedder,
                SparseModels(),
                parts.index.damaged,
                SearchOptions(reranker=reranker),
            )

            async def find(text=QUESTION, **given):
                return await search.search(Query(**{"target": target, "text": text, "mode": "sparse", **given}))

            async def settled(trouble):
                await wait_until(lambda: trouble in reranker.trouble and bool(trouble) == bool(reranker.trouble))

            async with anyio.create_task_group() as tasks:
                await tasks.start(reranker.run)
                yield SimpleNamespace(find=find, ranker=ranker, settled=settled)
                tasks.cancel_scope.cancel()

    return opened


def keys(answer):
    return [hit.metadata["key"] for hit in answer.hits]


async def test_prose_is_in_the_rerankers_order_on_every_page_and_only_where_it_is_asked_for(
    parts, folder, target, reranking
):
    await parts.sync(folder, target)
    async with reranking() as ready:
        await ready.settled("")
        probes = len(ready.ranker.queries)
        plain = await ready.find()
        assert len(ready.ranker.queries) == probes
        assert keys(plain)[0] == "lamp.md"
        answer = await ready.find(rerank=True)
        assert keys(answer) == ["keeper.md", "lamp.md"]
        assert [hit.score for hit in answer.hits] == [3.0, 0.0]
        assert not answer.notices
        for mode in ("sparse", "dense", "hybrid"):
            whole = keys(await ready.find(mode=mode, rerank=True))
            pages = [await ready.find(mode=mode, rerank=True, limit=1, offset=offset) for offset in range(3)]
            assert [key for page in pages for key in keys(page)] == whole
            assert whole[0] == "keeper.md"
        assert keys(await ready.find("lamp", mode="phrase", rerank=True))
    async with reranking(always=True) as ready:
        await ready.settled("")
        assert keys(await ready.find())[0] == "keeper.md"
        assert keys(await ready.find(rerank=False))[0] == "lamp.md"


async def test_code_stays_as_it_is(parts, folder, target, reranking):
    write(folder, {**dict.fromkeys(FILES), **CODE})
    await parts.sync(folder, target)
    async with reranking() as ready:
        await ready.settled("")
        asked = len(ready.ranker.queries)
        answer = await ready.find(rerank=True)
        assert keys(answer) == keys(await ready.find())
        assert "these hits are code" in answer.notices[0]
        assert len(ready.ranker.queries) == asked


async def test_a_reranker_that_is_away_or_late_costs_a_search_nothing_but_a_notice(parts, folder, target, reranking):
    await parts.sync(folder, target)
    async with reranking(limit_s=0.2) as ready:
        await ready.settled("")
        plain = keys(await ready.find())
        ready.ranker.is_silent = True
        answer = await ready.find(rerank=True)
        assert (keys(answer), len(answer.notices)) == (plain, 1)
        assert "it took longer than 0.2 s (rerank.limit_s)" in answer.notices[0]
    async with reranking() as ready:
        await ready.settled("")
        ready.ranker.status = 503
        answer = await ready.find(rerank=True)
        assert (keys(answer), len(answer.notices)) == (plain, 1)
        assert "answers 503" in answer.notices[0]
        ready.ranker.status = 200
        await ready.settled("")


async def test_one_that_does_not_rank_is_not_used(parts, folder, target, reranking):
    await parts.sync(folder, target)
    ranker = Ranker()
    ranker.is_constant = True
    async with reranking(ranker) as ready:
        await ready.settled("it does not rank")
        answer = await ready.find(rerank=True)
        assert keys(answer) == keys(await ready.find())
        assert "it does not rank" in answer.notices[0]


async def test_who_asks_for_a_reranker_that_is_not_configured_is_told(parts, folder, target):
    await parts.sync(folder, target)
    search = Search(parts.store, parts.chroma, None, SparseModels(), parts.index.damaged)
    with pytest.raises(PermanentError, match=r"no reranker is configured: set rerank\.url or rerank\.path"):
        await search.search(Query(target, "lamp", "sparse", rerank=True))


async def test_only_the_first_hits_are_reranked(parts, folder, target, reranking):
    write(
        folder,
        {f"{number:03}.md": f"The lamp{' lamp' * (number % 7)}, number {number}.\n" for number in range(RERANKED + 9)},
    )
    await parts.sync(folder, target)
    async with reranking() as ready:
        await ready.settled("")
        plain, answer = [keys(await ready.find("lamp", limit=100, rerank=rerank)) for rerank in (False, True)]
        assert plain[RERANKED:] == answer[RERANKED:]
        assert sorted(plain) == sorted(answer)
