"""One GGUF in llama.cpp, through the low-level API of llama-cpp-python; runs in the worker process only.

Not thread-safe. What cannot be caught in Python (an assertion, SIGSEGV) ends the process: the parent expects that.
Sources of the choices here: flash attention and unified KV are each up to 1.5 times faster than the bindings'
defaults; `n_batch` bounds the longest window, whatever `n_ctx` says; bidirectional models abort unless
`n_ubatch >= tokens`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from syncd.errors import ConfigError, PermanentError
from syncd.model import Vectors
from syncd.pipeline.embed.devices import Registry, find_gpu
from syncd.pipeline.embed.llama_batch import LlamaBatch
from syncd.pipeline.embed.tap import Tap
from syncd.pipeline.embed.variant import (
    GPU_BATCH_TOKENS,
    REFERENCE,
    RunSettings,
    batch_tokens,
    cpu_batch_tokens,
)
from syncd.pipeline.embed.windows import SpecialTokens, TokenIds
from syncd.pipeline.embed.wordpiece import WordPieces

_SPECIAL = llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN | llama_cpp.LLAMA_TOKEN_ATTR_CONTROL
_CAUSAL_UBATCH = 512
_SEQUENCES = 32
_GPU_SEQUENCES = 64
_ALL_LAYERS = 999
_SHARE_OF_MEMORY = 0.8
_ACTIVATION_BYTES = 256 << 10
"""Of one token, in compute buffers: some sixty thousand numbers for a model of 0.6 billion parameters."""
_BIDIRECTIONAL = (
    "bert",
    "nomic-bert",
    "nomic-bert-moe",
    "jina-bert-v2",
    "jina-bert-v3",
    "modern-bert",
    "neo-bert",
    "eurobert",
    "gemma-embedding",
)
"""Architectures that llama.cpp computes without a memory of earlier tokens (`llama_model::create_memory`)."""
_NO_TOKEN = -1
_POOLINGS = {
    "mean": llama_cpp.LLAMA_POOLING_TYPE_MEAN,
    "cls": llama_cpp.LLAMA_POOLING_TYPE_CLS,
    "last": llama_cpp.LLAMA_POOLING_TYPE_LAST,
}
_ERROR_LEVEL = 4
_llama: Any = llama_cpp  # where its stubs type plain integers as ctypes objects, and pointers as other ones


@llama_cpp.llama_log_callback
def _log(level: int, text: bytes, _user_data: int) -> None:
    if level == _ERROR_LEVEL:
        sys.stderr.write(text.decode("utf-8", "replace"))


def quieten() -> None:
    """Let llama.cpp write errors to stderr, nothing else."""
    llama_cpp.llama_log_set(_log, ctypes.c_void_p(0))


class LlamaModel:
    """Weights and vocabulary. Loading waits for the disk; raises PermanentError when llama.cpp refuses the file."""

    def __init__(self, settings: RunSettings) -> None:
        llama_cpp.llama_backend_init()
        vocabulary_only = settings.variant.runtime != REFERENCE
        self.gpu, self.devices = find_gpu("cpu" if vocabulary_only else settings.device, settings.device_number)
        parameters = _llama.llama_model_default_params()
        parameters.vocab_only = vocabulary_only
        parameters.use_extra_bufts = settings.variant.extra_bufts
        # Named devices are the only ones llama.cpp touches: none at all for the CPU, one and no splitting otherwise.
        named = (ctypes.c_void_p * 2)(self.gpu.pointer if self.gpu else None, None)
        parameters.devices = ctypes.cast(named, ctypes.c_void_p)
        parameters.split_mode = llama_cpp.LLAMA_SPLIT_MODE_NONE if self.gpu else llama_cpp.LLAMA_SPLIT_MODE_LAYER
        parameters.n_gpu_layers = _ALL_LAYERS if self.gpu else 0
        pointer = llama_cpp.llama_model_load_from_file(str(settings.path).encode(), parameters)
        vocabulary = llama_cpp.llama_model_get_vocab(pointer) if pointer else None
        if not pointer or not vocabulary:
            raise PermanentError(f"llama.cpp cannot load {settings.path}: is it a complete GGUF of a supported model?")
        self.settings = settings
        self.pointer = pointer
        architecture = self._metadata("general.architecture")
        self.dimensions = int(self._metadata(f"{architecture}.embedding_length"))
        self.trained_tokens = int(self._metadata(f"{architecture}.context_length"))
        self.causal = architecture not in _BIDIRECTIONAL
        self._vocabulary = vocabulary
        self.frame = self._frame()
        self._pieces = self._word_pieces()
        if settings.max_tokens > self.trained_tokens:
            raise ConfigError(f"max_tokens {settings.max_tokens} is over the model's limit {self.trained_tokens}")

    def room_tokens(self, tap: bool) -> int | None:
        """Return how many tokens one decode can hold in the GPU's free memory, the weights being loaded; None on a CPU."""
        if self.gpu is None:
            return None
        free_bytes = Registry().device(self.gpu.pointer).free_bytes
        layers: int = llama_cpp.llama_model_n_layer(self.pointer)
        heads: int = llama_cpp.llama_model_n_head(self.pointer)
        kv_heads: int = llama_cpp.llama_model_n_head_kv(self.pointer)
        kv_bytes = 2 * 2 * layers * max(self.dimensions, 128 * heads) * kv_heads // heads
        logits_bytes = 0 if tap else 4 * llama_cpp.llama_vocab_n_tokens(self._vocabulary)
        return int(free_bytes * _SHARE_OF_MEMORY) // (kv_bytes + logits_bytes + _ACTIVATION_BYTES)

    def tokens(self, text: str, *, markup: bool = False) -> TokenIds:
        """Return the tokens of `text` without any special token; markup of special tokens counts as plain text, unless `markup` is to be
        read, which is for prompts of our own.
        """
        if self._pieces:
            return self._pieces.tokens(text)
        data = text.encode("utf-8", "replace")
        buffer = np.empty(len(data) + 16, dtype=np.int32)
        pointer = buffer.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        count: int = _llama.llama_tokenize(self._vocabulary, data, len(data), pointer, len(buffer), False, markup)
        if count < 0:
            raise PermanentError(f"llama.cpp cannot tokenise a text of {len(data)} bytes")
        return buffer[:count].copy()

    def _word_pieces(self) -> WordPieces | None:
        vocabulary = self._vocabulary
        if llama_cpp.llama_vocab_type(vocabulary) != llama_cpp.LLAMA_VOCAB_TYPE_WPM:
            return None
        count: int = llama_cpp.llama_vocab_n_tokens(vocabulary)
        texts = [
            llama_cpp.llama_vocab_get_text(vocabulary, number).decode("utf-8", "replace") for number in range(count)
        ]
        special = frozenset(n for n in range(count) if llama_cpp.llama_vocab_get_attr(vocabulary, n) & _SPECIAL)
        return WordPieces(texts, special, unknown=texts.index("[UNK]"))

    def _frame(self) -> SpecialTokens:
        vocabulary = self._vocabulary
        begin: int = _llama.llama_vocab_bos(vocabulary)
        if not self.causal:
            separator: int = _llama.llama_vocab_sep(vocabulary)
            # EmbeddingGemma's texts end as sentences do.
            return SpecialTokens(
                (begin,), (separator if separator != _NO_TOKEN else _llama.llama_vocab_eos(vocabulary),)
            )
        # Early official GGUFs lack add_eos_token, and the vector is the last token's: always end with it.
        before = (begin,) if llama_cpp.llama_vocab_get_add_bos(vocabulary) else ()
        return SpecialTokens(before, (_llama.llama_vocab_eos(vocabulary),))

    def _metadata(self, key: str) -> str:
        buffer = ctypes.create_string_buffer(256)
        length: int = _llama.llama_model_meta_val_str(self.pointer, key.encode(), buffer, len(buffer))
        return buffer.value.decode() if length > 0 else ""


def open_kernel(settings: RunSettings, model: LlamaModel) -> LlamaContext:
    """Return llama.cpp's kernel, as `KernelModule.open_kernel` does."""
    return LlamaContext(model, settings.variant.tap)


class LlamaContext:
    """Computes windows to vectors of one LlamaModel. `tap` needs a causal model pooled by its last token."""

    def __init__(self, model: LlamaModel, tap: bool) -> None:
        settings = model.settings
        tap = tap and model.causal and settings.pooling == "last"
        usual = cpu_batch_tokens(settings) if model.gpu is None else GPU_BATCH_TOKENS
        self.batch_tokens = batch_tokens(settings, usual, model.room_tokens(tap))
        self._size = max(self.batch_tokens, settings.max_tokens)
        one_by_one = not model.causal and model.gpu is None
        self.sequences = settings.sequences or (
            1 if one_by_one else _SEQUENCES if model.gpu is None else _GPU_SEQUENCES
        )
        self.devices = model.devices
        self.processes = 1
        self._model = model
        self._tap = Tap(model.dimensions) if tap else None
        pointer = llama_cpp.llama_init_from_model(model.pointer, self._parameters())
        if not pointer:
            raise PermanentError("llama.cpp cannot create a context: is there enough memory for the model?")
        self._pointer = pointer
        self._memory = llama_cpp.llama_get_memory(self._pointer)
        self._batch = LlamaBatch(self._size)

    def _parameters(self) -> llama_cpp.llama_context_params:
        settings, causal = self._model.settings, self._model.causal
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = self._size
        whole = not causal or self._model.gpu is not None
        parameters.n_ubatch = self._size if whole else min(_CAUSAL_UBATCH, self._size)
        parameters.n_seq_max = self.sequences
        parameters.n_threads = parameters.n_threads_batch = settings.own_threads()
        parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        parameters.kv_unified = True
        parameters.no_perf = True
        parameters.embeddings = self._tap is None
        if self._tap:
            parameters.n_outputs_max = self.sequences
            parameters.cb_eval = self._tap.callback
        else:
            parameters.pooling_type = _POOLINGS[settings.pooling]
        return parameters

    def vectors(self, windows: Sequence[TokenIds]) -> Vectors:
        """Return the raw vectors of at most `sequences` framed windows: one, or several of `batch_tokens` tokens together."""
        if sum(map(len, windows)) > self._size or len(windows) > self.sequences or not all(map(len, windows)):
            raise ValueError("a batch is over its limits or holds an empty window")
        batch = self._batch.fill(windows, every_output=self._tap is None)
        if self._memory:
            llama_cpp.llama_memory_clear(self._memory, False)
        compute = llama_cpp.llama_decode if self._model.causal else llama_cpp.llama_encode
        if status := compute(self._pointer, batch):
            raise PermanentError(f"llama.cpp could not compute a batch (status {status})")
        return self._read(len(windows))

    def _read(self, count: int) -> Vectors:
        if self._tap:
            rows = self._tap.take()
            if len(rows) != count:
                raise PermanentError(f"llama.cpp gave {len(rows)} vectors for {count} texts")
            return rows
        return np.stack([self._pooled(sequence) for sequence in range(count)])

    def _pooled(self, sequence: int) -> NDArray[np.float32]:
        pointer = llama_cpp.llama_get_embeddings_seq(self._pointer, sequence)
        if not pointer:
            raise PermanentError("llama.cpp pooled no vector; set the model's pooling")
        return np.ctypeslib.as_array(pointer, shape=(self._model.dimensions,)).copy()
