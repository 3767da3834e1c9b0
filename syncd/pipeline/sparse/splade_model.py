"""SPLADE's arithmetic: a masked language model says which words a text is about; each word's weight is its strongest place
in the text. Blocking: it belongs into a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from syncd.errors import PermanentError
from syncd.model import SparseVector
from syncd.pipeline.sparse.splade_files import MODEL_FILE, TOKENIZER_FILE, WINDOW_TOKENS

if TYPE_CHECKING:
    import tokenizers

BATCH_TOKENS = 1024
"""Tokens per call: the model gives a number per token and vocabulary word, 125 MB for so many."""
_INPUTS = {
    "input_ids": "tokens",
    "attention_mask": "mask",
    "input_mask": "mask",
    "token_type_ids": "segments",
    "segment_ids": "segments",
}
"""What exports call their inputs: Hugging Face's names, and BERT's first ones, which the published file has."""


class ModelInput(Protocol):
    """What a model takes: its name, and its type in ONNX's words."""

    name: str
    type: str


class InferenceSession(Protocol):
    """A model in onnxruntime, which has no types."""

    def get_inputs(self) -> Sequence[ModelInput]:
        """Return what it takes."""
        ...

    def run(
        self, outputs: Sequence[str] | None, feeds: Mapping[str, NDArray[np.integer]], /
    ) -> Sequence[NDArray[np.float32]]:
        """Compute all outputs."""
        ...


class SpladeModel:
    """One model in memory. Raises PermanentError when its files cannot be loaded. `threads` 0: as many as cores."""

    def __init__(self, folder: Path, threads: int = 0) -> None:
        file = folder / MODEL_FILE
        self._session = opened(file, threads)
        self._tokenizer = tokenizer_in(folder)
        self._inputs = {
            given.name: np.int32 if "int32" in given.type else np.int64 for given in self._session.get_inputs()
        }
        if unknown := self._inputs.keys() - _INPUTS.keys():
            raise PermanentError(f"{file} wants the input {min(unknown)!r}; place an export of a BERT model")

    def vector(self, text: str) -> SparseVector:
        """Return the vector of one text, from all its windows; indices are those of the vocabulary."""
        encoding = self._tokenizer.encode(text)
        weights: NDArray[np.float32] | None = None
        for batch in batches_of_windows([window.ids for window in (encoding, *encoding.overflowing)]):
            strongest = self._strongest(batch)
            weights = strongest if weights is None else np.maximum(weights, strongest)
        assert weights is not None
        indices = np.flatnonzero(weights > 0)
        return SparseVector(indices.astype(np.uint32), weights[indices].astype(np.float64))

    def _strongest(self, windows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return log(1 + relu(logits)) per vocabulary word, at its strongest among all tokens of the windows."""
        tokens = np.zeros((len(windows), max(map(len, windows))), np.int64)
        mask = np.zeros_like(tokens)
        for row, window in enumerate(windows):
            tokens[row, : len(window)], mask[row, : len(window)] = window, 1
        given = {"tokens": tokens, "mask": mask, "segments": np.zeros_like(tokens)}
        feeds = {name: given[_INPUTS[name]].astype(kind) for name, kind in self._inputs.items()}
        (logits, *_) = self._session.run(None, feeds)
        return np.log1p(np.maximum(logits, 0) * mask[:, :, None]).max(axis=(0, 1)).astype(np.float32)


def tokenizer_in(folder: Path) -> tokenizers.Tokenizer:
    """Return the tokenizer, which cuts texts into windows. Raises PermanentError."""
    # Takes 3.5 MB, which only the daemons that have such a model need to pay.
    import tokenizers

    file = folder / TOKENIZER_FILE
    try:
        json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise PermanentError(f"{file} cannot be read ({error}); replace it") from error
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(WINDOW_TOKENS)  # pyright: ignore[reportUnknownMemberType] - half typed
    return tokenizer


def opened(file: Path, threads: int) -> InferenceSession:
    """Return an inference session of a model's file. Raises PermanentError if it is not a model."""
    # Takes a third of a second and much memory, for those who use it; and it has no types.
    runtime = import_module("onnxruntime")
    kinds = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except (
        kinds.Fail,
        kinds.InvalidProtobuf,
        kinds.InvalidGraph,
        kinds.InvalidArgument,
        kinds.NoSuchFile,
        kinds.NotImplemented,
    ) as error:
        raise PermanentError(f"{file} cannot be loaded ({error}); replace it") from error


def batches_of_windows(windows: Sequence[Sequence[int]]) -> Iterator[Sequence[Sequence[int]]]:
    """Yield as many windows at once as BATCH_TOKENS allows."""
    size = max(1, BATCH_TOKENS // max(map(len, windows)))
    for start in range(0, len(windows), size):
        yield windows[start : start + size]
