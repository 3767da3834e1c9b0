"""SPLADE from the configuration to a hit: loaded as the daemon loads it, vectors for what is there, search by them."""

import anyio
import pytest

from syncd.app.models import sparse_loaders, splade_folder
from syncd.config import Config
from syncd.errors import PermanentError, RetryableError
from syncd.index.sparse_backfill import SparseBackfill
from syncd.model import Target
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.pipeline.sparse.splade_files import MODEL_FILE, SPLADE, RemoteFile
from syncd.runtime.supervisor import Supervisor
from syncd.search import Query, Search
from tests.models import in_its_own_task
from tests.pipeline.parts import running, write
from tests.pipeline.sparse.test_splade import made

FILES = {
    "lamp.md": "# Lamp\n\nThe keeper's lamp.\n",
    "fox.md": "# Fox\n\nA fox.\n",
    "other.md": "# Other\n\nNothing known.\n",
}


@pytest.fixture
async def supervisor():
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def supervised():
        models = Supervisor("models")
        async with anyio.create_task_group() as group:
            await group.start(models.run)
            yield models
            group.cancel_scope.cancel()

    async with in_its_own_task(supervised()) as models:
        yield models


def configured(folder):
    return Config.model_validate(
        {"search": {"splade_dir": str(folder), "sparse_default": SPLADE}, "embedding": {"threads": 1}}
    )


async def test_a_learned_model_is_loaded_when_it_is_first_asked_for_and_finds(
    supervisor, tmp_path, chroma_server, fresh_name
):
    (tmp_path / "splade").mkdir()
    config = configured(made(tmp_path / "splade"))
    models = SparseModels(config.search.sparse_default, sparse_loaders(config, tmp_path, supervisor))
    assert supervisor.status() == []
    target = Target("default_database", fresh_name)
    async with in_its_own_task(running(tmp_path / "state", chroma_server)) as parts:
        write(tmp_path / "folder", FILES)
        await parts.sync(tmp_path / "folder", target)
        assert await SparseBackfill(parts.store, models.of, parts.index.flush).fill_all()

        async def embedder(_name):
            return parts.embedder

        hits = (
            await Search(parts.store, parts.chroma, embedder, models, parts.index.damaged).search(
                Query(target, "fox", "sparse")
            )
        ).hits
        assert hits[0].metadata["key"] == "fox.md"
        assert "fox" in {hits[0].text[start:end].lower() for start, end in hits[0].highlights}
    assert [child.name for child in supervisor.status()] == [f"sparse {SPLADE}"]


async def test_files_that_are_no_model_are_refused_before_they_can_crash_anything(supervisor, tmp_path):
    made(tmp_path)
    (tmp_path / MODEL_FILE).write_bytes(b"no model")
    models = SparseModels(SPLADE, sparse_loaders(configured(tmp_path), tmp_path, supervisor))
    for _ in range(2):
        with pytest.raises(PermanentError, match="cannot be loaded"):
            await models.get(SPLADE)
    assert supervisor.status() == []


async def test_without_a_hub_it_says_what_to_place_in_the_models_folder(supervisor, tmp_path, monkeypatch):
    from syncd.pipeline.sparse import splade_files

    unreachable = {
        n: RemoteFile("http://127.0.0.1:9/" + n, f.sha256, f.size_bytes) for n, f in splade_files.PUBLISHED.items()
    }
    monkeypatch.setattr(splade_files.published_files, "__defaults__", (None, unreachable))
    config = Config.model_validate({})
    models = SparseModels("none", sparse_loaders(config, tmp_path, supervisor))
    with pytest.raises(RetryableError, match="place it at") as caught:
        await models.get(SPLADE)
    assert str(splade_folder(config, tmp_path)) in str(caught.value)
