"""Embedding on a real Ray cluster: by workers that compute what this machine does, and by nobody else; through deaths of any part."""

import random
from pathlib import Path

import anyio
import numpy as np
import pytest

from syncd.chroma.server import free_port
from syncd.errors import PermanentError
from syncd.pipeline.embed.catalog import Catalog, EmbeddingModel, ModelFile
from syncd.pipeline.embed.engine import Cluster, EngineOptions, ModelRequest
from syncd.pipeline.embed.front import running
from syncd.pipeline.embed.local import LocalEmbedder, prepare
from syncd.pipeline.ray import workers
from syncd.pipeline.ray.embedder import RayEmbedder, make_embedder
from syncd.runtime.retry import Backoff
from tests.app.test_daemon import configuration, request, syncd, until
from tests.daemon import MINILM, Daemon, held
from tests.ray_cluster import IMPATIENCE, address_of, kill_worker, ray_running

MODEL = EmbeddingModel("own/model", (ModelFile("own", "own.gguf"),), "mean", 384, 256, document_prompt="passage: ")
FAULTY = "tests.pipeline.embed.faulty_worker"
TEXTS = [f"Keeper {number} lights the lamp in the tower at dusk. " * (number % 5 + 1) for number in range(40)]
NOTES = 50


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        with ray_running() as cluster:
            cluster.add_node(1)
            yield cluster


async def reached(condition):
    with anyio.fail_after(120):
        while not condition():  # noqa: ASYNC110 - it comes from other processes
            await anyio.sleep(0.05)


@pytest.fixture
def files(tmp_path, minilm_folder):
    """The model's file here, and another one on the workers."""
    mine, theirs = tmp_path / "mine" / "own.gguf", tmp_path / "theirs" / "own.gguf"
    weights = next(minilm_folder.glob("*F16.gguf")).read_bytes()
    for path, content in ((mine, weights), (theirs, weights + b"\0")):
        path.parent.mkdir()
        path.write_bytes(content)
    return mine, theirs


async def test_workers_with_another_runtime_or_file_are_refused_and_those_with_the_same_compute_the_same(
    cluster, files, monkeypatch
):
    mine, theirs = files
    options = EngineOptions(worker=FAULTY, cluster=Cluster(cluster.address, 1, models_dir=theirs.parent))
    request = ModelRequest(MODEL, mine.parent, options)
    local = LocalEmbedder(await prepare(MODEL, mine.parent, options))
    embedder = RayEmbedder(local, request, options.cluster, Backoff(cap_s=0.1))
    monkeypatch.setattr(workers, "runtime_versions", lambda: {"syncd": "0.0.1"})
    async with running(embedder):
        await reached(lambda: "it has syncd" in embedder.shortfall)
        assert "this daemon syncd 0.0.1; install the same there; this machine computes alone" in embedder.shortfall
        monkeypatch.undo()
        await reached(lambda: "another file of the model" in embedder.shortfall)
        assert not embedder.elsewhere
        alone = await embedder.embed(TEXTS, "document")
        theirs.write_bytes(mine.read_bytes())
        await reached(lambda: embedder.elsewhere)
        assert embedder.shortfall == embedder.trouble == ""
        monkeypatch.delattr(LocalEmbedder, "embed")
        by_worker = await embedder.embed(TEXTS, "document")
        assert np.array_equal(by_worker.vectors, alone.vectors)
        assert by_worker.tokens == alone.tokens
        with pytest.raises(PermanentError, match=r"text 3: .* not finite"):
            await embedder.embed([*TEXTS[:2], "zero"], "document")


def note(number: int) -> str:
    return f"# Note {number}\n\n" + f"The keeper of lamp {number} climbs the tower, trims the wick, and waits. " * 6


def made(folder: Path, models: Path, notes: Path, more: str) -> Daemon:
    source = f'[[sources]]\nname = "notes"\ntype = "folder"\npath = "{notes}"\ncollection = "notes"\n'
    return Daemon(folder, configuration(models, more + source), environment=IMPATIENCE).start()


def all_held(daemon: Daemon):
    until(lambda: indexed(daemon) == NOTES and daemon.unsettled() == 0)
    chroma = daemon.announced()["chroma"]
    return held(chroma["host"], chroma["port"], "notes")


def indexed(daemon: Daemon) -> int:
    return daemon.rows("SELECT count(*) FROM documents WHERE state = 'indexed'")[0][0]


def test_a_daemon_whose_cluster_grows_and_loses_workers_and_its_head_holds_what_an_undisturbed_one_does(
    cluster, minilm_folder, tmp_path
):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "0.md").write_text(note(0))
    disturbed = made(tmp_path / "disturbed", minilm_folder, notes, f'[workers]\nray = "{cluster.address}"\n')
    undisturbed = None
    try:

        def workers_now() -> list[str]:
            return request(disturbed, "GET", "/api/v1/status")["models_elsewhere"].get(MINILM, [])

        until(lambda: len(workers_now()) == 1)
        cluster.add_node(1)
        names = until(lambda: len(found := workers_now()) == 2 and found)
        assert f"{MINILM} is computed by: {names[0]}; {names[1]}" in syncd(disturbed, "status").stdout
        assert request(disturbed, "GET", "/health")["status"] == "ok"
        for number in range(1, NOTES):
            (notes / f"{number}.md").write_text(note(number))
        assert syncd(disturbed, "sync", "notes", "--no-wait").returncode == 0
        until(lambda: indexed(disturbed) > NOTES // 4)
        kill_worker(names[0])
        until(lambda: names[0] not in workers_now())
        until(lambda: indexed(disturbed) > NOTES // 2)
        cluster.kill_head()
        found = all_held(disturbed)
        until(lambda: "this machine computes alone" in syncd(disturbed, "status").stdout)
        health = request(disturbed, "GET", "/health")
        assert health["status"] == "ok"
        assert "this machine computes alone" in health["degraded"][0]
        undisturbed = made(tmp_path / "undisturbed", minilm_folder, notes, "")
        found.assert_equals(all_held(undisturbed))
    finally:
        assert [daemon.stop() for daemon in (disturbed, undisturbed) if daemon] == [0] * (1 + bool(undisturbed))


@pytest.mark.soak
async def test_hundreds_of_deaths_of_workers_and_heads_lose_and_mix_nothing(minilm_folder, monkeypatch):
    """20 heads at one address, ten workers of each, all killed in the middle of texts."""
    for name, value in IMPATIENCE.items():
        monkeypatch.setenv(name, value)
    port, chance = free_port(), random.Random(19)
    options = EngineOptions(cluster=Cluster(address_of(port)))
    embedder = await make_embedder(ModelRequest(Catalog().find(MINILM), minilm_folder, options))
    async with running(embedder):
        undisturbed = await embedder.local.embed(TEXTS, "document")

        async def embedded_through(death):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(after, chance.random(), death)
                found = await embedder.embed(TEXTS, "document")
            assert np.array_equal(found.vectors, undisturbed.vectors)

        for _ in range(20):
            with ray_running(port) as cluster:
                cluster.add_node(2)
                for _ in range(10):
                    await reached(lambda: embedder.elsewhere)
                    await embedded_through(lambda: kill_worker(embedder.elsewhere[0]))
                await reached(lambda: embedder.elsewhere)
                await embedded_through(cluster.kill_head)
                await reached(lambda: not embedder.elsewhere)


async def after(delay_s, death):
    await anyio.sleep(delay_s)
    death()
