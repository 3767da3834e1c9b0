"""The converted model against the published weights, and batched against alone."""

import ctypes
import subprocess
import sys
import unicodedata

import llama_cpp
import numpy as np
import pytest

from syncd.errors import PermanentError
from syncd.model import EmbeddingTask
from syncd.pipeline.embed import minilm as converter
from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.files import packaged_weights
from syncd.pipeline.embed.local import EngineOptions, open_embedder
from syncd.pipeline.embed.variant import RunSettings
from syncd.pipeline.embed.worker import EmbedWorker, compute
from tests.pipeline.embed.reference import ReferenceMiniLM
from tests.pipeline.embed.texts import MIXED


@pytest.fixture(scope="session")
def reference():
    return ReferenceMiniLM(packaged_weights())


def cosines(one, other):
    return np.sum(one * other, axis=1)


async def test_it_equals_a_reference_runtime_on_the_published_weights(minilm, reference):
    embedded = await minilm.embed(MIXED, "document")
    expected = np.stack([reference.embed(text) for text in MIXED])
    assert cosines(embedded.vectors, expected).min() > 0.9999
    assert embedded.tokens == sum(len(reference.tokens(text)) for text in MIXED)


async def test_what_texts_will_cost_is_counted_without_embedding_them(minilm):
    task = EmbeddingTask("retrieval", document_prompt="A prompt of some length: ")
    texts = [*MIXED, "a text longer than the window of the model " * 100]
    counts = await minilm.count_tokens(texts, task)
    assert counts == [(await minilm.embed([text], "document", task)).tokens for text in texts]


async def test_names_of_special_tokens_are_plain_text_in_a_document(minilm):
    embedded = await minilm.embed(["[SEP]", "[CLS]"], "document")
    assert embedded.tokens > 2 * 3
    assert embedded.vectors[0] @ embedded.vectors[1] < 0.9


async def test_its_vectors_know_what_texts_mean(minilm):
    texts = ["How do I delete a file?", "Remove a document from disk", "The weather in Lisbon is mild"]
    vectors = (await minilm.embed(texts, "document")).vectors
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3


async def test_texts_embedded_together_equal_texts_embedded_alone(minilm):
    together = await minilm.embed(MIXED, "document")
    alone = np.concatenate([(await minilm.embed([text], "document")).vectors for text in MIXED])
    assert (1 - cosines(together.vectors, alone)).max() < 1e-5


@pytest.mark.parametrize(("quantised", "tolerance"), [(False, 1e-5), (True, 1e-3)])
def test_many_sequences_in_one_decode_equal_one_by_one(minilm_folder, tmp_path, quantised, tolerance):
    path = minilm_folder / Catalog().find(MINILM).file().name
    if quantised:
        path = quantise(path, tmp_path / "q8_0.gguf")
    together, alone = (EmbedWorker(RunSettings(path, "mean", 256, sequences=count)) for count in (32, 1))
    windows = [window for text in MIXED for window in together._windows(text)]
    assert (1 - cosines(compute(together._kernel, windows), compute(alone._kernel, windows))).max() < tolerance


async def test_a_quantised_file_stays_close_to_the_f16_one(minilm, minilm_folder, tmp_path):
    path = quantise(minilm_folder / Catalog().find(MINILM).file().name, tmp_path / "q8_0.gguf")
    async with open_embedder(Catalog().find(MINILM), minilm_folder, EngineOptions(path=path)) as quantised:
        found = await quantised.embed(MIXED, "document")
        assert quantised.fingerprint != minilm.fingerprint
    assert cosines(found.vectors, (await minilm.embed(MIXED, "document")).vectors).min() > 0.99


async def test_a_long_text_is_the_weighted_mean_of_its_windows(minilm, reference):
    text = "".join(f"sentence number {number} about topic {number % 7}. " for number in range(120))
    reference.tokenizer.no_truncation()
    pieces = reference.tokens(text)[1:-1]
    reference.tokenizer.enable_truncation(256)
    windows = [[101, *pieces[start : start + 254], 102] for start in range(0, len(pieces), 254)]
    assert len(windows) > 3
    mean = np.average([reference.embed_tokens(window) for window in windows], axis=0, weights=[len(w) for w in windows])
    embedded = await minilm.embed([text], "document")
    assert embedded.vectors[0] @ (mean / np.linalg.norm(mean)) > 0.9999
    assert embedded.tokens == sum(map(len, windows))


async def test_the_end_of_a_long_text_counts(minilm):
    start = "The cat sat on the mat. " * 100
    with_end = await minilm.embed([start, start + "Quantum chromodynamics binds quarks. " * 20], "document")
    assert with_end.vectors[0] @ with_end.vectors[1] < 0.99


async def test_decomposed_text_has_the_vector_of_composed_text(minilm):
    text = "Crème brûlée, naïve façade, 가각"
    found = await minilm.embed([unicodedata.normalize(form, text) for form in ("NFC", "NFD")], "document")
    assert np.array_equal(found.vectors[0], found.vectors[1])


async def test_an_empty_text_is_refused_by_its_number(minilm):
    with pytest.raises(PermanentError, match="text 2 of 3 is empty"):
        await minilm.embed(["a", "", "b"], "document")


async def test_no_texts_have_no_vectors(minilm):
    embedded = await minilm.embed([], "document")
    assert embedded.vectors.shape == (0, 384)
    assert embedded.tokens == 0


async def test_a_lone_surrogate_does_not_break_a_text(minilm):
    assert np.isfinite((await minilm.embed(["a\ud800b"], "document")).vectors).all()


async def test_rows_have_length_one(minilm):
    vectors = (await minilm.embed(MIXED, "query")).vectors
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_weights_that_are_not_the_published_ones_are_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 100)
    (tmp_path / "vocab.txt").write_text("[PAD]\n")
    with pytest.raises(PermanentError, match="not the published file"):
        converter.convert(tmp_path, tmp_path / "out.gguf")
    assert not list(tmp_path.glob("*out.gguf*"))


def test_the_package_of_the_weights_runs_no_code():
    look = "import sys; from syncd.pipeline.embed.files import packaged_weights; print(packaged_weights().parts[-4] in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, check=True).stdout == b"False\n"


def test_a_conversion_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(converter, "_add_vocabulary", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        converter.convert(packaged_weights(), tmp_path / "out.gguf")
    assert not list(tmp_path.iterdir())


def quantise(source, target):
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
    parameters.nthread = 2
    assert llama_cpp.llama_model_quantize(bytes(source), bytes(target), ctypes.byref(parameters)) == 0
    return target
