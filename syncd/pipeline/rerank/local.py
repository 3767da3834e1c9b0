"""A Qwen3-Reranker's GGUF, computed in a process of its own on this machine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from syncd.errors import PermanentError
from syncd.pipeline.embed.variant import RunSettings, Variant
from syncd.pipeline.rerank.scorer import checked
from syncd.runtime.process import environment
from syncd.runtime.worker import Worker

RERANK_WORKER_MODULE = "syncd.pipeline.rerank.worker"
RERANK_TOKENS = 1024
"""Of a question, a text and the prompt around them: most chunks whole, and no text for longer than a search may wait on a GPU."""
_TEXTS_AT_ONCE = 4
"""Whoever gives up waiting leaves no more than so many to be computed before the next search's."""
_START_LIMIT_S = 300.0
_CALL_LIMIT_S = 120.0


@asynccontextmanager
async def open_gguf(settings: RunSettings, worker: str = RERANK_WORKER_MODULE) -> AsyncGenerator[FileScorer]:
    """Yield a Scorer that computes a model's file; waits until it is loaded. `worker` is the module of its process.

    Raises PermanentError where the file cannot be used, RetryableError where its process does not start.
    """
    if not settings.path.is_file():
        raise PermanentError(
            f"{settings.path} is not there: place the model's file there, or set rerank.path and restart"
        )
    # Weights that llama.cpp repacks may be miscompiled, which only the embedding models' probe would find out.
    plain = settings.with_variant(Variant(extra_bufts=False))
    env = environment(OMP_WAIT_POLICY="passive", GGML_NO_BACKTRACE="1", TOKENIZERS_PARALLELISM="false")
    async with Worker("rerank", worker, [plain.to_json()], env=env, start_limit_s=_START_LIMIT_S) as process:
        yield FileScorer(process)


class FileScorer:
    """Asks the model's process."""

    def __init__(self, process: Worker) -> None:
        self._process = process

    async def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Return the model's scores, as `Scorer.scores` says. Searches take turns."""
        found: list[float] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            some = list(texts[start : start + _TEXTS_AT_ONCE])
            reply = await self._process.call({"op": "rank", "query": query, "texts": some}, timeout_s=_CALL_LIMIT_S)
            found += reply.header["scores"]
        try:
            return checked(found, len(texts))
        except ValueError as error:
            raise PermanentError(f"the model gives no usable scores: {error}") from error
