"""The real all-MiniLM-L6-v2 for tests, converted once per test process. In a conftest.py:

from tests.models import minilm, minilm_folder

__all__ = ["minilm", "minilm_folder"]
"""

import asyncio
from contextlib import asynccontextmanager

import pytest

from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.files import find_file
from syncd.pipeline.embed.local import open_embedder


@pytest.fixture(scope="session")
def minilm_folder(tmp_path_factory):
    """A model folder where `open_embedder(Catalog().find(MINILM), minilm_folder)` finds everything ready."""
    folder = tmp_path_factory.mktemp("models")
    model = Catalog().find(MINILM)
    asyncio.run(find_file(model, model.file(), folder))
    return folder


@pytest.fixture
async def minilm(minilm_folder):
    """An Embedder of the real model, in its own process."""
    async with in_its_own_task(open_embedder(Catalog().find(MINILM), minilm_folder)) as embedder:
        yield embedder


@asynccontextmanager
async def in_its_own_task(manager):
    """Enter and leave `manager` in one task: pytest runs the two halves of a fixture in different ones."""
    opened, leave = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def hold():
        try:
            async with manager as value:
                opened.set_result(value)
                await leave.wait()
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    task = asyncio.create_task(hold())
    try:
        yield await opened
    finally:
        leave.set()
        await task
