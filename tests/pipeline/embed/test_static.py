"""Static models: model2vec's own vectors from every form of its format, in a process of their own."""

import json
from pathlib import Path

import numpy as np
import pytest

from syncd.errors import ConfigError, PermanentError
from syncd.pipeline.embed.catalog import EmbeddingModel, ModelFile
from syncd.pipeline.embed.engine import EngineOptions, ModelRequest
from syncd.pipeline.embed.engines import engine_for
from syncd.pipeline.embed.local import open_embedder, prepare
from syncd.pipeline.embed.static_model import StaticModel
from syncd.pipeline.embed.windows import unit_rows
from tests.pipeline.embed.made_static import DIMENSIONS, WORDS, pairs, unigrams, wordpieces, write_static, write_tensors

TEXTS = [
    "The lamp is lit.",
    "the doors opened . the lamps is lit the door is open the lamp",
    "The violet lamp",
    "lamp " * 600,
    "a b",
]
FORMS = {
    "float32": {},
    "float16": {"kind": "float16"},
    "int8": {"kind": "int8"},
    "quantised vocabulary": {"quantised": True},
    "quantised vocabulary of int8": {"quantised": True, "kind": "int8"},
    "not normalised": {"config": {"normalize": False}},
    "unigrams": {"tokenizer": unigrams},
    "pairs of letters": {"tokenizer": pairs},
    "sentence-transformers": {"layout": "flat"},
    "sentence-transformers, nested": {"layout": "nested"},
}
EXPECTED = json.loads((Path(__file__).parent / "model2vec_vectors.json").read_text())
"""What model2vec 0.10.0 gave for TEXTS with max_length=None, scaled to length 1 where the model does not."""


def made(folder, form):
    options = dict(FORMS[form])
    if "tokenizer" in options:
        options["tokenizer"] = options["tokenizer"]()
    return write_static(folder, **options)


def embedded(folder, texts):
    model = StaticModel(folder)
    return unit_rows(model.vectors([model.tokens(text) for text in texts]))


def static(dimensions=DIMENSIONS):
    return EmbeddingModel("acme/static", (ModelFile("own", "model"),), "static", dimensions, 8192)


@pytest.mark.parametrize("form", FORMS)
def test_vectors_are_those_of_model2vec(tmp_path, form):
    # model2vec computes in the numbers of the table: of half precision its own vectors are that far from exact.
    tolerance = 1e-3 if form == "float16" else 1e-5
    assert np.allclose(embedded(made(tmp_path, form), TEXTS), EXPECTED[form], atol=tolerance)


def test_a_text_of_which_no_token_is_known_has_a_vector_all_the_same(tmp_path):
    unknown, other, empty = embedded(write_static(tmp_path / "words"), ["violet", "violet green", " "])
    assert np.array_equal(unknown, other)
    assert np.isfinite([unknown, empty]).all()


async def test_an_embedder_computes_them_in_a_process_of_its_own(tmp_path):
    model, options = static(), EngineOptions(path=write_static(tmp_path / "model"), runtime="llama")
    assert engine_for(ModelRequest(model, tmp_path, options)).name == "static"
    async with open_embedder(model, tmp_path, options) as embedder:
        found = await embedder.embed(TEXTS, "document")
        assert await embedder.count_tokens(["the lamp"]) == [2]
        fingerprint = embedder.fingerprint
    assert np.allclose(found.vectors, EXPECTED["float32"], atol=1e-5)
    again = await prepare(model, tmp_path, EngineOptions(path=write_static(tmp_path / "other", kind="float16")))
    assert again.file.digest not in fingerprint


def test_a_table_of_bfloat16_gives_the_vectors_of_its_numbers(tmp_path):
    exact = np.random.default_rng(0).standard_normal((len(WORDS), DIMENSIONS)).astype(np.float32)
    halves = (exact.view(np.uint32) >> 16).astype(np.uint16)
    rounded = (halves.astype(np.uint32) << 16).view(np.float32)
    folders = [write_static(tmp_path / name) for name in ("bfloat16", "float32")]
    write_tensors(folders[0] / "model.safetensors", {"embeddings": halves}, bits="BF16")
    write_tensors(folders[1] / "model.safetensors", {"embeddings": rounded})
    found, expected = (embedded(folder, TEXTS) for folder in folders)
    assert np.array_equal(found, expected)
    assert np.allclose(rounded, exact, atol=0, rtol=1 / 128)


async def test_numbers_that_cannot_be_read_are_refused(tmp_path):
    folder = write_static(tmp_path / "model")
    table = np.zeros((len(WORDS), DIMENSIONS), np.uint16)
    write_tensors(folder / "model.safetensors", {"embeddings": table}, bits="C16")
    with pytest.raises(PermanentError, match="has 'embeddings' as C16, which cannot be read: save it as float32"):
        await prepare(static(), tmp_path, EngineOptions(path=folder))


async def test_other_dimensions_than_the_models_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="24 dimensions, model acme/static has 25"):
        await prepare(static(25), tmp_path, EngineOptions(path=write_static(tmp_path / "model")))


def test_files_that_are_damaged_or_do_not_belong_together_are_refused(tmp_path):
    with pytest.raises(PermanentError, match="holds no static model"):
        StaticModel(tmp_path)
    folder = write_static(tmp_path / "short")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(PermanentError, match="cut off or damaged"):
        StaticModel(folder)
    weights.write_bytes(b"<html>")
    with pytest.raises(PermanentError, match="not a readable safetensors file"):
        StaticModel(folder)
    weights.write_bytes(b"\xff" * 64)
    with pytest.raises(PermanentError, match="not a readable safetensors file"):
        StaticModel(folder)
    write_tensors(weights, {"embeddings": np.ones((3, DIMENSIONS), dtype=np.float32)})
    with pytest.raises(PermanentError, match=f"no vector for each of the {len(wordpieces().get_vocab())} tokens"):
        StaticModel(folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(PermanentError, match="not a readable tokenizer"):
        StaticModel(folder)
    write_tensors(weights, {"other": np.ones((3, DIMENSIONS), dtype=np.float32)})
    with pytest.raises(PermanentError, match="no table 'embeddings'"):
        StaticModel(folder)
