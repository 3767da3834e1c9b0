"""A small model of Qwen3's architecture with random weights: the tap, the end token, last-token pooling, the probe."""

import numpy as np
import pytest

from syncd.errors import ConfigError, PermanentError
from syncd.pipeline.embed.catalog import EmbeddingModel, ModelFile
from syncd.pipeline.embed.llama import LlamaContext, LlamaModel
from syncd.pipeline.embed.local import EngineOptions, open_embedder, prepare
from syncd.pipeline.embed.variant import RunSettings, Variant
from syncd.pipeline.embed.windows import cut
from syncd.pipeline.embed.worker import compute
from tests.benchmarks.make_qwen3_shape import EOS, Shape, Vocabulary, write
from tests.pipeline.embed.texts import MIXED

SHAPE = Shape(layers=2, width=64, inner=128, heads=2, kv_heads=1, head_width=32, context=1024)
TEXTS = [text for text in MIXED if len(text.encode()) < 500]
END = 256


@pytest.fixture(scope="module", params=["F16", "Q8_0"])
def path(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("qwen3") / f"tiny-{request.param}.gguf"
    write(path, Vocabulary.of_bytes(), SHAPE, kind=request.param)
    return path


def loaded(path, max_tokens=512):
    return LlamaModel(RunSettings(path, "last", max_tokens))


def windows_of(model, texts):
    return [window for text in texts for window in cut(model.tokens(text), model.frame, model.settings.max_tokens)]


def test_the_tapped_vectors_are_the_stock_ones(path):
    model = loaded(path)
    stock, tapped = LlamaContext(model, tap=False), LlamaContext(model, tap=True)
    for window in windows_of(model, TEXTS):
        assert 1 - compute(stock, [window])[0] @ compute(tapped, [window])[0] < 1e-6


def test_batched_vectors_equal_those_computed_alone(path):
    model = loaded(path)
    context = LlamaContext(model, tap=True)
    windows = windows_of(model, TEXTS)
    together = compute(context, windows)
    alone = np.concatenate([compute(context, [window]) for window in windows])
    tolerance = 1e-5 if "F16" in path.name else 1e-3
    assert (1 - np.sum(together * alone, axis=1)).max() < tolerance


def test_a_batch_longer_than_one_computation_gives_every_vector(path):
    model = loaded(path, max_tokens=1024)
    context = LlamaContext(model, tap=True)
    windows = windows_of(model, ["a" * 100, "b" * 600, "c" * 200])
    together = context.vectors(windows)
    alone = np.concatenate([context.vectors([window]) for window in windows])
    assert np.allclose(together, alone, atol=0.05)


def test_every_window_ends_with_one_end_token(path):
    model = loaded(path, max_tokens=100)
    windows = windows_of(model, ["short", "long " * 50])
    assert [window.tolist().count(END) for window in windows] == [1] * len(windows)
    assert all(window[-1] == END for window in windows)


def test_a_file_without_the_add_eos_flag_gets_the_end_token_too(tmp_path):
    paths = [tmp_path / "with.gguf", tmp_path / "without.gguf"]
    for path, add_eos in zip(paths, (True, False), strict=True):
        write(path, Vocabulary.of_bytes(), SHAPE, kind="F16", add_eos=add_eos)
    found = [compute(LlamaContext(model, True), windows_of(model, TEXTS)) for model in map(loaded, paths)]
    assert np.array_equal(found[0], found[1])


def test_an_end_token_written_in_a_document_is_plain_text(path):
    assert loaded(path).tokens(EOS).tolist() != [END]
    assert loaded(path).tokens(EOS, markup=True).tolist() == [END]


def test_windows_over_the_limits_are_refused_before_llama_aborts(path):
    model = loaded(path)
    context = LlamaContext(model, tap=True)
    window = windows_of(model, ["a" * 400])[0]
    for windows in ([window, window], [window[:0]], [window[:1]] * 33):
        with pytest.raises(ValueError, match="over its limits or holds an empty window"):
            context.vectors(windows)


def tiny(path, **changes):
    values = {"pooling": "last", "dimensions": 64, "max_tokens": 128, **changes}
    return EmbeddingModel("tiny", (ModelFile("F16", path.name),), **values)


async def test_the_probe_finds_that_the_tap_can_be_trusted(path):
    prepared = await prepare(tiny(path), path.parent, EngineOptions(runtime="llama"))
    assert prepared.settings.variant == Variant(tap=True, extra_bufts=True)


async def test_it_embeds_end_to_end_with_texts_over_its_limit(path):
    async with open_embedder(tiny(path), path.parent) as embedder:
        found = await embedder.embed(["a" * 50, "a" * 300], "document")
    assert found.tokens == 51 + 300 + 3
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)


async def test_a_model_that_promises_other_dimensions_is_refused(path):
    with pytest.raises(ConfigError, match="64 dimensions, model tiny has 65"):
        await prepare(tiny(path, dimensions=65), path.parent)


async def test_a_limit_over_the_models_own_is_refused(path):
    with pytest.raises(PermanentError, match="over the model's limit 1024"):
        await prepare(tiny(path, max_tokens=2000), path.parent)


async def test_pytorch_computes_the_same_vectors_from_the_same_file(path):
    pytest.importorskip("torch")
    texts = [*TEXTS, "a" * 300]
    vectors = {}
    for runtime in ("llama", "torch"):
        async with open_embedder(tiny(path), path.parent, EngineOptions(runtime=runtime)) as embedder:
            assert embedder.process._settings.variant.runtime == runtime
            vectors[runtime] = (await embedder.embed(texts, "document")).vectors
            alone = [(await embedder.embed([text], "document")).vectors[0] for text in texts]
        assert (1 - np.sum(vectors[runtime] * alone, axis=1)).max() < 1e-3
    assert np.sum(vectors["llama"] * vectors["torch"], axis=1).min() > 0.995


async def test_pytorch_that_cannot_run_a_model_is_refused_when_it_is_demanded(path):
    with pytest.raises(ConfigError, match="does not work here"):
        await prepare(tiny(path, pooling="mean"), path.parent, EngineOptions(runtime="torch"))
