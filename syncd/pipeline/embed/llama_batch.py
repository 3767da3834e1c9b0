"""The tokens of one call of llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence

import llama_cpp
import numpy as np

from syncd.pipeline.embed.windows import TokenIds


class LlamaBatch:
    """A llama_batch over numpy arrays: filling the library's own token by token takes Python longer than a GPU."""

    def __init__(self, size: int) -> None:
        self._tokens = np.zeros(size, dtype=np.int32)
        self._positions = np.zeros(size, dtype=np.int32)
        self._sequences = np.zeros(size, dtype=np.int32)
        self._outputs = np.zeros(size, dtype=np.int8)
        self._ones = np.ones(size, dtype=np.int32)
        each = self._sequences.ctypes.data + 4 * np.arange(size, dtype=np.uint64)
        self._sequence_pointers = each.astype(np.uint64)
        self._struct = llama_cpp.llama_batch()
        for field, array in (
            ("token", self._tokens),
            ("pos", self._positions),
            ("n_seq_id", self._ones),
            ("seq_id", self._sequence_pointers),
            ("logits", self._outputs),
        ):
            own = getattr(self._struct, field)
            setattr(self._struct, field, array.ctypes.data_as(own.__class__))

    def fill(self, windows: Sequence[TokenIds], every_output: bool) -> llama_cpp.llama_batch:
        """Return the batch of `windows`, a sequence each; outputs of every token or of the last ones only."""
        lengths = [len(window) for window in windows]
        ends = np.cumsum(lengths)
        count = int(ends[-1])
        self._tokens[:count] = np.concatenate(windows)
        self._positions[:count] = np.concatenate([np.arange(length, dtype=np.int32) for length in lengths])
        self._sequences[:count] = np.repeat(np.arange(len(windows), dtype=np.int32), lengths)
        self._outputs[:count] = every_output
        self._outputs[ends - 1] = 1
        self._struct.n_tokens = count
        return self._struct
