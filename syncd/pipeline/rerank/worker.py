"""A Qwen3-Reranker's own process: `python -m syncd.pipeline.rerank.worker SETTINGS`, frames over stdin and stdout.

    {"op": "rank", "query": "…", "texts": ["…", …]} → {"scores": [0.98, …]}

The score is the probability of "yes" against "no" as the next token. It is read from the language model's own head, so a file counts
however it was converted: with a classification head, which the conversions that rank by chance lack, or without.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import llama_cpp
import numpy as np

from syncd.errors import PermanentError, SyncdError
from syncd.pipeline.embed.llama import LlamaModel, quieten
from syncd.pipeline.embed.llama_batch import LlamaBatch
from syncd.pipeline.embed.variant import RunSettings, usable_cores
from syncd.pipeline.embed.windows import TokenIds, batches_by_length
from syncd.pipeline.model_jail import confine_model, uses_card
from syncd.pipeline.rerank.prompt import AFTER_TEXT, BEFORE_QUERY, BEFORE_TEXT, window
from syncd.runtime.child import open_channel
from syncd.runtime.frames import Frame
from syncd.runtime.launch import lower_priority

_BATCH_TOKENS = 2048
_SEQUENCES = 8
_UBATCH = 512


class RerankWorker:
    """Answers the request above for one model file. Raises PermanentError where llama.cpp refuses it, or it is another kind of model."""

    def __init__(self, settings: RunSettings) -> None:
        self._model = model = LlamaModel(settings)
        if not model.causal:
            raise PermanentError(f"{settings.path} is no Qwen3-Reranker: it predicts no words")
        self._max_tokens = settings.max_tokens
        self._frame = [model.tokens(part, markup=True) for part in (BEFORE_QUERY, BEFORE_TEXT, AFTER_TEXT)]
        self._yes, self._no = (self._single(word) for word in ("yes", "no"))
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = max(_BATCH_TOKENS, settings.max_tokens)
        parameters.n_ubatch = _UBATCH
        parameters.n_seq_max = parameters.n_outputs_max = _SEQUENCES
        parameters.n_threads = parameters.n_threads_batch = settings.threads or usable_cores()
        parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        parameters.kv_unified = parameters.no_perf = True
        parameters.pooling_type = llama_cpp.LLAMA_POOLING_TYPE_NONE
        context = llama_cpp.llama_init_from_model(model.pointer, parameters)
        if not context:
            raise PermanentError("llama.cpp cannot create a context: is there enough memory for the model?")
        self._context = context
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = LlamaBatch(max(_BATCH_TOKENS, settings.max_tokens))

    def handle(self, request: Frame) -> Frame:
        """Answer one request."""
        if request.header["op"] != "rank":
            raise ValueError(f"unknown request {request.header['op']!r}")
        return Frame({"scores": self.scores(request.header["query"], request.header["texts"])})

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how probable "yes" is for each text."""
        asked = self._model.tokens(query)
        windows = [window(self._frame, asked, self._model.tokens(text), self._max_tokens) for text in texts]
        found = np.zeros(len(texts))
        for places in batches_by_length([len(one) for one in windows], _BATCH_TOKENS, _SEQUENCES):
            found[places] = self._computed([windows[place] for place in places])
        return found.tolist()

    def _computed(self, windows: Sequence[TokenIds]) -> list[float]:
        if self._memory:
            llama_cpp.llama_memory_clear(self._memory, False)
        batch = self._batch.fill(windows, every_output=False)
        if status := llama_cpp.llama_decode(self._context, batch):
            raise PermanentError(f"llama.cpp could not compute a batch (status {status})")
        return [self._probability(end - 1) for end in np.cumsum([len(one) for one in windows]).tolist()]

    def _probability(self, place: int) -> float:
        """Return that of "yes" after the token at this place of the batch."""
        logits = llama_cpp.llama_get_logits_ith(self._context, place)
        if not logits:
            raise PermanentError("llama.cpp computed no logits: is the file a language model?")
        return float(1 / (1 + np.exp(np.clip(logits[self._no] - logits[self._yes], -700, 700))))

    def _single(self, word: str) -> int:
        tokens = self._model.tokens(word)
        if len(tokens) != 1:
            raise PermanentError(f"the model has no token {word!r}: it is no Qwen3-Reranker")
        return int(tokens[0])


def main() -> None:
    """Serve until the parent closes the pipe."""
    channel = open_channel()
    quieten()
    settings = RunSettings.from_json(sys.argv[1])
    lower_priority(settings.niceness)
    lacks = confine_model([settings.path], on_card=uses_card(settings.device))
    try:
        worker = RerankWorker(settings)
    except SyncdError as error:
        channel.serve(_refuse, {"error": {"kind": "permanent", "message": str(error)}})
    else:
        channel.serve(worker.handle, {"jail_lacks": lacks})


def _refuse(_: Frame) -> Frame:
    raise SyncdError("the model is not loaded")


if __name__ == "__main__":
    main()
