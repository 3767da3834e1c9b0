"""SPLADE: a masked language model says which words a text is about; each word's weight is its strongest place in the text.

Runs on ONNX Runtime in threads of this process, which it leaves free while it computes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import tokenizers
from numpy.typing import NDArray

from syncd.errors import PermanentError
from syncd.model import Role, SparseVector

SPLADE = "prithivida/Splade_PP_en_v1"
FOLDER = "prithivida--Splade_PP_en_v1"
"""In the models folder."""
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
WINDOW_TOKENS = 512
"""BERT's positions; longer texts are read in windows, and each word keeps its strongest place in any of them."""
BATCH_TOKENS = 1024
"""Tokens per call: the model gives a number per token and vocabulary word, 125 MB for so many."""


def present(folder: Path) -> bool:
    """Return whether the model's files lie in `folder`."""
    return (folder / MODEL_FILE).is_file() and (folder / TOKENIZER_FILE).is_file()


async def load_splade(folder: Path, threads: int = 0) -> Splade:
    """Return the encoder of the model in `folder`; waits for loading. `threads` 0: as many as cores.

    Raises PermanentError, which names the files to place, when it cannot be loaded.
    """
    if not present(folder):
        raise PermanentError(
            f"{SPLADE}: place its {MODEL_FILE} (an ONNX export) and {TOKENIZER_FILE} in {folder}, or set search.splade_dir"
        )
    return await anyio.to_thread.run_sync(partial(Splade, folder, threads))


class Splade:
    """One model in memory. Calls wait for one another."""

    model = SPLADE
    rarity = False

    def __init__(self, folder: Path, threads: int = 0) -> None:
        with (folder / MODEL_FILE).open("rb") as file:
            self.fingerprint = f"{SPLADE}#{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
        self._session = opened(folder / MODEL_FILE, threads)
        try:
            json.loads((folder / TOKENIZER_FILE).read_bytes())
        except ValueError as error:
            raise PermanentError(f"{folder / TOKENIZER_FILE} is not JSON ({error}); place it anew") from error
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(WINDOW_TOKENS)  # pyright: ignore[reportUnknownMemberType] - half typed
        self._inputs = {given.name for given in self._session.get_inputs()}
        self._turn = anyio.Lock()

    async def encode(self, texts: Sequence[str], role: Role) -> Sequence[SparseVector]:
        """Return one vector per text; indices are those of the vocabulary. Queries are encoded like documents."""
        async with self._turn:
            return [await anyio.to_thread.run_sync(self._vector, text) for text in texts]

    def spans(self, text: str, query: SparseVector) -> Sequence[tuple[int, int]]:
        """Return the words of `text` with a piece that the query gives weight."""
        wanted, found = frozenset(query.indices.tolist()), dict[int, tuple[int, int]]()
        encoding = self._tokenizer.encode(text)
        hits: set[int] = set()
        for window in (encoding, *encoding.overflowing):
            for token, word, (start, end) in zip(window.ids, window.word_ids, window.offsets, strict=True):
                if word is not None:
                    found[word] = (min(start, found.get(word, (start, end))[0]), end)
                    hits |= {word} if token in wanted else set()
        return sorted(found[word] for word in hits)

    def _vector(self, text: str) -> SparseVector:
        """Return the vector of one text, from all its windows."""
        encoding = self._tokenizer.encode(text)
        weights: NDArray[np.float32] | None = None
        for batch in batches([window.ids for window in (encoding, *encoding.overflowing)]):
            strongest = self._strongest(batch)
            weights = strongest if weights is None else np.maximum(weights, strongest)
        assert weights is not None
        indices = np.flatnonzero(weights > 0)
        return SparseVector(indices.astype(np.uint32), weights[indices].astype(np.float64))

    def _strongest(self, windows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return log(1 + relu(logits)) per vocabulary word, at its strongest among all tokens of the windows."""
        length = max(map(len, windows))
        tokens = np.zeros((len(windows), length), np.int64)
        mask = np.zeros_like(tokens)
        for row, window in enumerate(windows):
            tokens[row, : len(window)], mask[row, : len(window)] = window, 1
        given = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}
        (logits, *_) = self._session.run(None, {name: given[name] for name in self._inputs})
        return np.log1p(np.maximum(logits, 0) * mask[:, :, None]).max(axis=(0, 1)).astype(np.float32)


def opened(file: Path, threads: int) -> Any:
    """Return an inference session of a model's file. Raises PermanentError when it is none."""
    # Takes a third of a second and much memory, for those who use it; and it has no types.
    runtime: Any = import_module("onnxruntime")
    kinds: Any = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except (
        kinds.Fail,
        kinds.InvalidProtobuf,
        kinds.InvalidGraph,
        kinds.InvalidArgument,
        kinds.NotImplemented,
    ) as error:
        raise PermanentError(f"{file} cannot be loaded ({error}); place it anew") from error


def batches(windows: Sequence[Sequence[int]]) -> Iterator[Sequence[Sequence[int]]]:
    """Yield as many windows at once as BATCH_TOKENS allows."""
    size = max(1, BATCH_TOKENS // max(map(len, windows)))
    for start in range(0, len(windows), size):
        yield windows[start : start + size]
