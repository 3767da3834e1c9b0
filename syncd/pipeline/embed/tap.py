"""Ends llama.cpp's graph before the vocabulary head, which embedding never uses and which costs 1.4 to 2 times.

In embedding mode llama.cpp computes a row of logits for every token and copies all of them out. Instead the context
runs in generation mode with one output per sequence (its last token), and the scheduler's evaluation callback reads
those outputs' rows of the last normalisation and stops the graph there. One by one the vectors equal those of embedding
mode with last-token pooling, bit by bit where the kernels for one row and for many round alike. The tensor's name is internal to llama.cpp, so the start-up probe
compares both ways before this one is used.
"""

from __future__ import annotations

import ctypes

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from syncd.pipeline.embed.devices import ggml_library

_TENSOR = b"result_norm"


class Tap:
    """Collects the rows of one decode call. Keep it alive as long as the context that uses `callback`."""

    def __init__(self, dimensions: int) -> None:
        ggml = _ggml()
        get_name, get_data, byte_count = ggml.ggml_get_name, ggml.ggml_backend_tensor_get, ggml.ggml_nbytes
        self._rows: list[NDArray[np.float32]] = []

        def evaluate(tensor: int, ask: bool, _user_data: int) -> bool:
            if get_name(tensor) != _TENSOR:
                return not ask
            if ask:
                return True
            rows = np.empty((byte_count(tensor) // (4 * dimensions), dimensions), dtype=np.float32)
            get_data(tensor, rows.ctypes.data, 0, rows.nbytes)
            self._rows.append(rows)
            return False

        self.callback = llama_cpp.llama_cpp.ggml_backend_sched_eval_callback(evaluate)

    def take(self) -> NDArray[np.float32]:
        """Return the rows collected since the last call, in batch order, and forget them."""
        rows, self._rows = self._rows, []
        return np.concatenate(rows) if rows else np.empty((0, 0), dtype=np.float32)


def _ggml() -> ctypes.CDLL:
    ggml = ggml_library()
    ggml.ggml_get_name.argtypes, ggml.ggml_get_name.restype = [ctypes.c_void_p], ctypes.c_char_p
    ggml.ggml_nbytes.argtypes, ggml.ggml_nbytes.restype = [ctypes.c_void_p], ctypes.c_size_t
    ggml.ggml_backend_tensor_get.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
    ggml.ggml_backend_tensor_get.restype = None
    return ggml
