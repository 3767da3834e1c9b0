"""Rerankers as GGUF files, in their real process: one that ranks, and those that only look like one."""

from dataclasses import replace

import numpy as np
import pytest
from llama_cpp import Llama

from syncd.errors import PermanentError
from syncd.pipeline.embed.variant import RunSettings
from syncd.pipeline.rerank.local import RERANK_TOKENS, open_gguf
from syncd.pipeline.rerank.prompt import AFTER_TEXT, BEFORE_QUERY, BEFORE_TEXT
from syncd.pipeline.rerank.scorer import PROBES, prove
from syncd.pipeline.rerank.worker import RerankWorker
from tests.benchmarks.make_qwen3_shape import Shape, Vocabulary, write
from tests.models import minilm_folder
from tests.pipeline.rerank.lexical import vocabulary_of, write_lexical

__all__ = ["minilm_folder"]

RANDOM = Shape(layers=2, width=64, inner=128, heads=2, kv_heads=1, head_width=32, context=2048)


def settings(path):
    return RunSettings(path, "last", RERANK_TOKENS, device="cpu", threads=1)


async def test_a_file_that_ranks_passes_the_probe(tmp_path):
    write_lexical(tmp_path / "model.gguf", ["keeper lamp foxes night"])
    async with open_gguf(settings(tmp_path / "model.gguf")) as scorer:
        await prove(scorer)
        lamp, fox, long = await scorer.scores("who lights a lamp", ["a lamp", "a fox", "foxes " * 2000 + "lamp"])
        assert lamp > 0.6 > fox
        assert 0 <= long <= 1


async def test_a_file_that_ranks_by_chance_is_refused(tmp_path):
    write(tmp_path / "model.gguf", vocabulary_of([]), RANDOM, kind="F16")
    async with open_gguf(settings(tmp_path / "model.gguf")) as scorer:
        with pytest.raises(PermanentError, match="it does not rank"):
            await prove(scorer)


def test_scores_are_the_probability_of_yes_after_the_prompt(tmp_path):
    path = tmp_path / "model.gguf"
    write(path, vocabulary_of([]), RANDOM, kind="F32")
    question, texts = PROBES[0][0], [answer for _, answer in PROBES]
    stock = Llama(str(path), n_ctx=1024, n_batch=1024, logits_all=True, verbose=False, n_threads=1)
    yes, no = (stock.tokenize(word, add_bos=False)[0] for word in (b"yes", b"no"))
    expected = []
    for text in texts:
        stock.reset()
        stock.eval(stock.tokenize((BEFORE_QUERY + question + BEFORE_TEXT + text + AFTER_TEXT).encode(), add_bos=False))
        logits = stock.scores[stock.n_tokens - 1]
        expected.append(1 / (1 + np.exp(logits[no] - logits[yes])))
    assert np.allclose(RerankWorker(settings(path)).scores(question, texts), expected, atol=1e-4)
    assert len(set(np.round(expected, 6))) == len(texts)


async def test_an_embedding_model_and_one_without_yes_and_no_are_refused(tmp_path, minilm_folder):
    write(tmp_path / "model.gguf", Vocabulary.of_bytes(), RANDOM, kind="F16")
    (minilm,) = minilm_folder.glob("*.gguf")
    for path, said in ((tmp_path / "model.gguf", "no token 'yes'"), (minilm, "it predicts no words")):
        with pytest.raises(PermanentError, match=said):
            async with open_gguf(replace(settings(path), max_tokens=512)):
                pass


async def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PermanentError, match=r"model\.gguf is not there"):
        async with open_gguf(settings(tmp_path / "model.gguf")):
            pass
