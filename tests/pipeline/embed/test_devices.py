"""Devices: chosen by name and number, refused with what to do next. No GPU is needed, and none is used."""

import json
import tomllib
from pathlib import Path

import anyio
import numpy as np
import psutil
import pytest

from syncd.errors import ConfigError, PermanentError
from syncd.pipeline.embed import llama
from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.devices import REBUILD, Gpu, Registry, choose, find_gpu
from syncd.pipeline.embed.llama import LlamaContext, LlamaModel
from syncd.pipeline.embed.local import EngineOptions, LocalEmbedder, prepare
from syncd.pipeline.embed.variant import RunSettings, batch_tokens
from syncd.pipeline.embed.windows import cut
from syncd.pipeline.embed.worker import EmbedWorker, compute
from tests.benchmarks.make_qwen3_shape import Shape, Vocabulary, write
from tests.pipeline.embed.texts import MIXED

ROOT = Path(__file__).parents[3]
SHAPE = Shape(layers=2, width=64, inner=128, heads=2, kv_heads=1, head_width=32, context=4096)


class Machine:
    """What ggml's registry would say on another machine."""

    def __init__(self, backends, *gpus):
        self._backends = backends
        self._gpus = [Gpu(number, f"{backend}{number}", backend, kind, 1 << 30) for number, (backend, kind) in gpus]

    def backends(self):
        return self._backends

    def gpus(self):
        return self._gpus


def machine(*gpus, backends=("CUDA", "Vulkan", "CPU")):
    return Machine(list(backends), *enumerate(gpus, 1))


def names(device, found):
    return [gpu.name for gpu in choose(device, found)]


def test_this_build_computes_on_the_cpu_at_least():
    assert "CPU" in Registry().backends()
    assert find_gpu("cpu", 0) == (None, 0)


def test_auto_takes_the_cards_of_one_backend_and_leaves_the_integrated_one():
    both = machine(("Vulkan", 2), ("CUDA", 1), ("CUDA", 1), ("Vulkan", 1))
    assert names("auto", both) == ["CUDA2", "CUDA3"]
    assert names("auto", machine(("Vulkan", 2))) == ["Vulkan1"]
    assert names("auto", machine()) == []


def test_a_named_device_is_taken_alone():
    both = machine(("Vulkan", 1), ("CUDA", 1), ("MTL", 1), backends=("CUDA", "Vulkan", "MTL"))
    assert names("cuda", both) == ["CUDA2"]
    assert names("vulkan", both) == ["Vulkan1"]
    assert names("metal", both) == ["MTL3"]
    assert names("cpu", both) == []


def test_a_device_this_build_lacks_is_refused_with_the_documented_build_command():
    with pytest.raises(ConfigError, match="was built without it") as raised:
        choose("cuda", machine(backends=("CPU",)))
    assert REBUILD.format("CUDA") in str(raised.value)
    assert REBUILD.format("CUDA").replace(" pip ", " .venv/bin/pip ") in (ROOT / "README.md").read_text()
    pinned = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert REBUILD.split()[-1] in pinned


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="finds no such device"):
        choose("cuda", machine(("Vulkan", 1)))


async def test_the_error_of_a_missing_device_reaches_the_one_who_asked(minilm_folder):
    if any(name.startswith("Vulkan") for name in Registry().backends()):
        pytest.skip("this llama.cpp can use Vulkan")
    with pytest.raises(PermanentError, match="GGML_VULKAN=on"):
        await prepare(Catalog().find(MINILM), minilm_folder, EngineOptions(device="vulkan"))


def test_batches_are_as_large_as_the_device_likes_and_its_memory_holds():
    settings = RunSettings(Path("model.gguf"), "last", 512)
    assert batch_tokens(settings, 4096) == 4096
    assert batch_tokens(settings, 4096, room_tokens=100_000) == 4096
    assert batch_tokens(settings, 4096, room_tokens=1000) == 1000
    wanted = RunSettings(Path("model.gguf"), "last", 512, batch_tokens=8192)
    assert batch_tokens(wanted, 4096, room_tokens=100_000) == 8192
    with pytest.raises(PermanentError, match="max_tokens is 512"):
        batch_tokens(settings, 4096, room_tokens=400)


@pytest.fixture
def card(monkeypatch):
    """The processor, named to llama.cpp as a card would be: everything but the kernels is what a GPU gets."""
    registry = Registry()
    pointer = registry._ggml.ggml_backend_dev_get(0)
    monkeypatch.setattr(llama, "find_gpu", lambda *_: (registry.device(pointer), 1))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("qwen3") / "tiny.gguf"
    write(path, Vocabulary.of_bytes(), SHAPE, kind="F16")
    return path


def embedded(path):
    model = LlamaModel(RunSettings(path, "last", 512))
    context = LlamaContext(model, tap=True)
    windows = [window for text in MIXED for window in cut(model.tokens(text), model.frame, 512)]
    return context, compute(context, windows)


def test_an_offloaded_model_computes_larger_batches_to_the_same_vectors(tiny, request):
    alone, expected = embedded(tiny)
    request.getfixturevalue("card")
    context, found = embedded(tiny)
    assert (alone.batch_tokens, context.batch_tokens) == (512, 4096)
    assert (alone.devices, context.devices) == (0, 1)
    assert np.sum(expected * found, axis=1).min() > 1 - 1e-5


def test_a_card_is_measured_by_a_full_batch_and_a_processor_by_one_text(tiny, request):
    settings = RunSettings(tiny, "last", 512)
    measured = [EmbedWorker(settings)._speed_batch(LlamaContext(LlamaModel(settings), tap=True))]
    request.getfixturevalue("card")
    measured.append(EmbedWorker(settings)._speed_batch(LlamaContext(LlamaModel(settings), tap=True)))
    alone, batch = measured
    assert len(alone) == 1
    assert len(batch) == 4096 // len(alone[0])


async def test_several_devices_share_one_queue_a_process_each(minilm_folder):
    prepared = await prepare(Catalog().find(MINILM), minilm_folder, EngineOptions(devices=(0, 1)))
    embedder = LocalEmbedder(prepared)
    async with anyio.create_task_group() as tasks:
        await tasks.start(embedder.run)
        workers = [p for p in psutil.Process().children() if "syncd.pipeline.embed.worker" in p.cmdline()]
        assert sorted(json.loads(p.cmdline()[-1])["device_number"] for p in workers) == [0, 1]
        texts = [f"{number} " + "word " * 100 for number in range(24)]
        assert len((await embedder.embed(texts, "document")).vectors) == 24
        assert all(sum(p.cpu_times()[:2]) > 0.3 for p in workers)
        tasks.cancel_scope.cancel()
