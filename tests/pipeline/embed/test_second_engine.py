"""Which engine is picked: the second one where it is installed, faster and right. PyTorch itself is not needed."""

from pathlib import Path

import pytest

from syncd.errors import ConfigError
from syncd.pipeline.embed import probe
from syncd.pipeline.embed.engine import Engine
from syncd.pipeline.embed.probe import Probe
from syncd.pipeline.embed.variant import RunSettings
from tests.benchmarks.make_qwen3_shape import Shape, Vocabulary, write
from tests.pipeline.embed.second_engine_worker import FASTER, SLOWER, WRONG

SHAPE = Shape(layers=2, width=64, inner=128, heads=2, kv_heads=1, head_width=32, context=1024)
WORKER = "tests.pipeline.embed.second_engine_worker"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("qwen3") / "tiny.gguf"
    write(path, Vocabulary.of_bytes(), SHAPE, kind="F16")
    return RunSettings(path, "last", 512)


@pytest.fixture
def choose(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setattr(Engine, "version", lambda _: "2")

    async def choose(second_engine, runtime="auto"):
        monkeypatch.setenv("LC_ALL", second_engine)
        variant, _ = await Probe("m", settings, worker=WORKER).choose(second_engine, tmp_path, runtime)
        return variant.runtime

    return choose


@pytest.mark.parametrize(("second_engine", "picked"), [(FASTER, "torch"), (SLOWER, "llama"), (WRONG, "llama")])
async def test_the_second_engine_is_picked_where_it_is_faster_and_right(choose, second_engine, picked):
    assert await choose(second_engine) == picked


async def test_it_is_not_tried_where_it_is_not_installed_or_not_wanted(choose, monkeypatch):
    assert await choose(FASTER, runtime="llama") == "llama"
    monkeypatch.setattr(Engine, "version", lambda _: "")
    assert await choose(FASTER) == "llama"


async def test_an_outcome_is_kept_until_speed_is_measured_in_another_way(settings, choose, tmp_path, monkeypatch):
    assert await choose(FASTER) == "torch"
    monkeypatch.setenv("LC_ALL", SLOWER)
    kept, _ = await Probe("m", settings, worker=WORKER).choose(FASTER, tmp_path, "auto")
    monkeypatch.setattr(probe, "_METHOD", "another")
    anew, _ = await Probe("m", settings, worker=WORKER).choose(FASTER, tmp_path, "auto")
    assert (kept.runtime, anew.runtime) == ("torch", "llama")


async def test_demanded_it_is_taken_though_it_is_slower_and_refused_when_it_is_wrong(choose):
    assert await choose(SLOWER, runtime="torch") == "torch"
    with pytest.raises(ConfigError, match="does not work here"):
        await choose(WRONG, runtime="torch")
