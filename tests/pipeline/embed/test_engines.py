"""An engine is one module and one row: a toy one embeds through everything that a real one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import numpy as np
import pytest

from syncd.config import Config
from syncd.errors import PermanentError
from syncd.pipeline.embed import engines
from syncd.pipeline.embed.catalog import MINILM, QWEN3, Catalog
from syncd.pipeline.embed.engine import EngineOptions
from syncd.pipeline.embed.fleet import Embedders
from syncd.runtime.supervisor import Supervisor
from tests.daemon import Daemon
from tests.pipeline.embed.hash_engine import ENGINE, FINGERPRINT, hashed
from tests.runtime.running import running

PROGRAM = "tests.pipeline.embed.hash_engine"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def with_the_toy(monkeypatch):
    monkeypatch.setattr(engines, "ENGINES", (*engines.ENGINES, ENGINE))


def embedders(folder, runtime, supervisor):
    return Embedders(Catalog(), folder, lambda _: EngineOptions(runtime=runtime), supervisor)


async def test_an_engine_that_the_runtime_names_computes_the_model(with_the_toy, tmp_path):
    supervisor = Supervisor("models")
    async with running(supervisor):
        embedder = await embedders(tmp_path, "hash", supervisor).get(MINILM)
        embedded = await embedder.embed(["a lamp", "a door"], "document")
    assert (embedder.fingerprint, embedder.dimensions) == (FINGERPRINT, 384)
    assert np.array_equal(embedded.vectors, [hashed(text, 384) for text in ("a lamp", "a door")])
    assert list(tmp_path.iterdir()) == []


async def test_a_model_starts_even_if_whoever_needed_it_first_waits_no_longer(with_the_toy, tmp_path):
    supervisor = Supervisor("models")
    async with running(supervisor):
        fleet = embedders(tmp_path, "hash", supervisor)
        with anyio.move_on_after(0):
            await fleet.get(MINILM)
        with anyio.fail_after(120):
            while not fleet.running():  # noqa: ASYNC110 - it sets no event of ours
                await anyio.sleep(0.001)


async def test_it_says_which_models_it_cannot_compute(with_the_toy, tmp_path):
    with pytest.raises(PermanentError, match=r"runtime = 'hash'.*hashes of texts: hashes have the pooling 'mean'"):
        await embedders(tmp_path, "hash", Supervisor("models")).get(QWEN3)


async def test_one_that_is_not_installed_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "ENGINES", (engines.Engine("t", "T", "nowhere", package="syncd-has-no-such"),))
    with pytest.raises(PermanentError, match=r"T: install syncd\[syncd-has-no-such\]"):
        await embedders(tmp_path, "t", Supervisor("models")).get(MINILM)


def test_the_configuration_takes_the_engines_of_the_table(with_the_toy):
    assert Config.model_validate({"embedding": {"runtime": "hash"}}).embedding.runtime == "hash"
    with pytest.raises(ValueError, match="'auto' or 'llama' or 'torch' or 'hash'"):
        Config.model_validate({"embedding": {"runtime": "servers"}})


def test_a_daemon_with_it_syncs_and_searches(tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "note.md").write_text("The lamp is lit at dusk.\n")
    daemon = Daemon(
        tmp_path / "daemon",
        f"""
[api]
port = 0
[embedding]
default_model = "{MINILM}"
runtime = "hash"
[[sources]]
name = "notes"
type = "folder"
path = "{notes}"
collection = "notes"
""",
        program=(PROGRAM,),
        environment={"PYTHONPATH": str(ROOT)},
    ).start()
    try:
        file = str(daemon.folder / "syncd.toml")
        told(daemon, "sync", "notes", "--config", file)
        ((vector, text),) = daemon.rows(
            "SELECT vector, context || text FROM vectors JOIN chunks ON vector_key = vectors.key"
        )
        row = np.frombuffer(vector, dtype=np.float32)
        assert np.allclose(row, hashed(text, len(row)))
        search = ("search", "--json", "--mode", "dense", "--collection", "notes", "lamp", "--config", file)
        assert [json.loads(line)["metadata"]["key"] for line in told(daemon, *search)] == ["note.md"]
    finally:
        assert daemon.stop() == 0


def told(daemon, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=True)
    return done.stdout.splitlines()
