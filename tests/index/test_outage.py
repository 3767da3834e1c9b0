"""A collection is opened when the vector store is there again, however long that takes."""

import anyio
import pytest

from tests.chroma.failing_proxy import FailingProxy
from tests.pipeline.parts import MODEL

FILES = {"a.md": "# A\n"}


@pytest.fixture
def vector_server(chroma_server):
    with FailingProxy(chroma_server).running() as proxy:
        yield proxy


async def test_opening_waits_out_an_outage(parts, target, vector_server):
    vector_server.fails = lambda _method, _path, _body: 503
    opened = []

    async def open_collection():
        opened.append(await parts.index.open(target, MODEL))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(open_collection)
            while vector_server.failed < 4:  # noqa: ASYNC110 - another thread counts
                await anyio.sleep(0.01)
            assert not opened
            vector_server.fails = lambda _method, _path, _body: None
    assert [record.target for record in opened] == [target]
