"""The real server on a free port, the real store in a temporary folder, a real Chroma beside them."""

import asyncio
import dataclasses
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import aiohttp
import anyio
import numpy as np
import pytest

from syncd.api import ApiServer, Services, create_app
from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.errors import NotFoundError
from syncd.index.verify import Drift
from syncd.model import Embedded, Embedding, EmbeddingTask
from syncd.pipeline.embed.catalog import Catalog
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.runtime.sockets import bound
from syncd.schema import Table
from syncd.search import Answer, SearchHit
from syncd.search.several import search_several
from syncd.sources.factories import SourceFactories
from syncd.sources.factory import Machine
from syncd.sources.folder.settings import FolderSection
from syncd.sources.registry import TYPES
from syncd.sources.upload.files import upload_folder
from syncd.store import Store

QWEN = "Qwen/Qwen3-Embedding-0.6B"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
SPLADE = "prithivida/Splade_PP_en_v1"


class Api:
    """A running API and a client of it; `token` may do everything in the tests' database."""

    def __init__(self, services, sockets, session, token, database):
        self.services = services
        self.address = sockets.address
        self.url = sockets.url
        self.store = services.store
        self.database = database
        self.token = token
        self._session = session
        self.woken = 0
        self._sources = 0

    async def call(self, method, path, token="own", headers=None, **options):
        """Return the status and the body: parsed where it is JSON, None when empty."""
        token = self.token if token == "own" else token
        headers = {**({"x-chroma-token": token} if token else {}), **(headers or {})}
        async with self._session.request(method, self.url + path, headers=headers, **options) as answer:
            parsed = answer.json if answer.content_type == "application/json" else answer.text
            return answer.status, await parsed() if await answer.read() else None

    async def get(self, path, **options):
        return await self.call("GET", path, **options)

    async def post(self, path, json=None, **options):
        return await self.call("POST", path, **({} if json is None else {"json": json}), **options)

    async def make_source(self, database=None, **settings):
        self._sources += 1
        repository = "octo/cat" if self._sources == 1 else f"octo/cat-{self._sources}"
        body = {"database_name": database or self.database, **(settings or {"github": {"repository": repository}})}
        status, answer = await self.post("/api/v1/sources", body)
        assert status == 201, answer
        return answer["source_id"]

    async def make_invocation(self, source_id=None, **body):
        source_id = source_id or await self.make_source()
        asked = {"target_collection_name": "docs", **body}
        status, answer = await self.post(f"/api/v1/sources/{source_id}/invocations", asked)
        assert status == 201, answer
        return answer["invocation_id"]


def services_for(store, chroma, folder: Path, wake, *more: Table):
    async def healthy():
        return None

    async def status():
        return {"version": "test", "mailboxes": {}, "queues": [], "lags": [], "chroma": {"host": "h", "port": 8000}}

    async def search(wanted):
        if wanted.target.collection == "missing":
            raise NotFoundError("collection 'missing' does not exist; sync something into it first")
        hits = [SearchHit(id="a-0", score=0.5, text=wanted.text, metadata={"key": "a"})][: wanted.limit]
        return Answer(hits, ["half of it"], 0.5)

    async def related(wanted, chunk_id):
        return Answer([SearchHit(id="b-0", score=0.5, text=chunk_id, metadata={"key": "b"})], ["by words"])

    async def embed_query(target, texts):
        return np.eye(len(texts), 3, dtype=np.float32)

    async def verify(target, repair, portion):
        if target.collection == "missing":
            raise NotFoundError("syncd never wrote a collection 'missing'")
        return Drift(7, missing=1)

    async def explain(record, chunk_id):
        return None

    async def rebuild(target):
        if target.collection == "missing":
            raise NotFoundError("syncd never wrote a collection 'missing'")
        return 7

    async def change_places(target):
        if target.collection == "missing":
            raise NotFoundError("collection 'missing' has no shadow")

    async def embed_with(model, texts, role, task):
        if model not in (QWEN, MINILM):
            raise NotFoundError(f"unknown model {model!r}")
        prompt = task.query_prompt if task else ""
        rows = [[len(text), role == "query", len(prompt)] for text in texts]
        return Embedded(np.array(rows, np.float32), 3 * len(texts))

    async def embed_sparse(model, texts):
        return await (await SparseModels().get(model)).encode(texts, "document")

    sections = {type(table): table for table in (FolderSection(allowed_roots=(folder / "allowed",)), *more)}
    uploads = upload_folder(folder / "state")
    uploads.mkdir(exist_ok=True)
    return Services(
        store=store,
        sources=SourceFactories(TYPES, Machine(folder / "state", store, sections)),
        chroma=chroma,
        upload_dir=uploads,
        wake=wake,
        health=healthy,
        status=status,
        progress=lambda _: None,
        search=search,
        search_several=partial(search_several, search, store.texts),
        related=related,
        rebuild=rebuild,
        switch=change_places,
        discard=change_places,
        rollback=change_places,
        verify=verify,
        explain=explain,
        embed_query=embed_query,
        embed_with=embed_with,
        embed_sparse=embed_sparse,
        check_dimensions=Catalog().check_dimensions,
        at_hand=lambda model: model in (QWEN, MINILM),
        models=frozenset({QWEN, MINILM}),
        sparse_models=frozenset({"Chroma/BM25", SPLADE}),
        default_embedding=Embedding(QWEN),
        upload_embedding=Embedding(QWEN, EmbeddingTask("generic_retrieval"), SPLADE),
        max_uploads=2,
    )


class Started(asyncio.Event):
    """The part of anyio's TaskStatus that an actor uses."""

    def started(self, value=None):
        self.set()


def serving(services, limits=None):
    """Run the API actor; yield its sockets once it listens."""
    return running_server(lambda sockets: ApiServer(create_app(services), sockets, limits))


@asynccontextmanager
async def running_server(make):
    """Run the server that `make` returns for its sockets; yield these once it listens."""
    async with bound("127.0.0.1", 0) as sockets:
        server = make(sockets)
        status = Started()
        task = asyncio.create_task(server.run(task_status=status))
        await asyncio.wait({task, waiting := asyncio.create_task(status.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            waiting.cancel()
            await task
        try:
            yield sockets
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture(scope="session")
def database(chroma_server):
    """A database that exists in Chroma."""

    async def make():
        async with Chroma(ChromaSettings(port=chroma_server.port)) as chroma:
            await chroma.create_database("api-tests")

    anyio.run(make)
    return "api-tests"


@pytest.fixture
async def chroma(chroma_server):
    async with Chroma(ChromaSettings(port=chroma_server.port)) as client:
        yield client


@pytest.fixture
async def store(tmp_path):
    store = await Store.open(tmp_path / "state", TYPES)
    yield store
    await store.close()


@pytest.fixture
async def api_with(store, chroma, tmp_path, database):
    """Start the API with changed services: `async with api_with(max_uploads=1) as api`."""

    @asynccontextmanager
    async def start(limits=None, sections=(), **changes):
        def wake():
            api.woken += 1

        services = dataclasses.replace(services_for(store, chroma, tmp_path, wake, *sections), **changes)
        token = await store.tokens.create("tests")
        async with serving(services, limits) as sockets, aiohttp.ClientSession() as session:
            api = Api(services, sockets, session, token, database)
            yield api

    return start


@pytest.fixture
async def api(api_with):
    async with api_with() as api:
        yield api
