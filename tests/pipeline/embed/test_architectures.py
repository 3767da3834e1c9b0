"""Models of published architectures that nobody built in: granite-embedding-r2 and EmbeddingGemma, by their files alone."""

import numpy as np
import pytest

from syncd.errors import PermanentError
from syncd.pipeline.embed.catalog import EmbeddingModel, ModelFile
from syncd.pipeline.embed.engine import EngineOptions
from syncd.pipeline.embed.gguf_facts import read_facts
from syncd.pipeline.embed.llama import LlamaContext, LlamaModel
from syncd.pipeline.embed.local import open_embedder
from syncd.pipeline.embed.variant import RunSettings
from syncd.pipeline.embed.windows import SpecialTokens, cut
from syncd.pipeline.embed.worker import compute
from tests.pipeline.embed.made_models import WIDTH, write_gemma, write_granite

TEXTS = ["a lamp", "the door is open, " * 40, "x" * 700]


@pytest.fixture(scope="module", params=[write_granite, write_gemma], ids=["granite", "gemma"])
def path(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "model.gguf"
    request.param(path)
    return path


def loaded(path):
    facts = read_facts(path)
    return LlamaModel(RunSettings(path, facts.pooling, facts.max_tokens))


def windows_of(model):
    return [window for text in TEXTS for window in cut(model.tokens(text), model.frame, model.settings.max_tokens)]


def test_texts_of_any_length_get_vectors_alone_and_together(path):
    model = loaded(path)
    context = LlamaContext(model, tap=True)
    windows = windows_of(model)
    assert max(map(len, windows)) > context.batch_tokens
    together = compute(context, windows)
    assert np.isfinite(together).all()
    assert np.allclose(together, [compute(context, [window])[0] for window in windows], atol=1e-4)
    assert together[0] @ together[1] < 0.9999


async def test_the_embedder_made_by_the_files_facts_computes_them(path, tmp_path):
    facts = read_facts(path)
    model = EmbeddingModel("made", (ModelFile("own", path.name),), facts.pooling, facts.dimensions, facts.max_tokens)
    async with open_embedder(model, tmp_path, EngineOptions(path=path)) as embedder:
        found = await embedder.embed(TEXTS, "document")
    own = loaded(path)
    assert np.allclose(found.vectors, compute(LlamaContext(own, tap=True), windows_of(own)), atol=1e-4)


def test_granite_is_pooled_by_its_first_token_and_takes_no_prompt(tmp_path):
    write_granite(tmp_path / "granite.gguf")
    facts = read_facts(tmp_path / "granite.gguf")
    assert (facts.pooling, facts.dimensions, facts.max_tokens) == ("cls", WIDTH, 2048)
    assert (facts.query_prompt, facts.document_prompt, facts.matryoshka) == (None, None, None)
    assert loaded(tmp_path / "granite.gguf").frame == SpecialTokens((256,), (257,))


def test_gemma_has_the_prompts_and_the_shorter_lengths_of_its_card(tmp_path):
    write_gemma(tmp_path / "gemma.gguf")
    facts = read_facts(tmp_path / "gemma.gguf")
    assert (facts.pooling, facts.dimensions, facts.max_tokens) == ("mean", WIDTH, 2048)
    assert (facts.query_prompt, facts.document_prompt) == ("task: search result | query: ", "title: none | text: ")
    assert facts.matryoshka == (512, 256, 128)
    assert loaded(tmp_path / "gemma.gguf").frame == SpecialTokens((2,), (1,))


def test_a_gemma_without_its_last_layers_is_refused(tmp_path):
    write_gemma(tmp_path / "gemma.gguf", dense=False)
    with pytest.raises(PermanentError, match="sentence-transformers-dense-modules"):
        read_facts(tmp_path / "gemma.gguf")
