"""Static models, in model2vec's format: a text's vector is the mean of its tokens' vectors, looked up in a table.

A folder holds `model.safetensors` (`embeddings`, a row for each token; of models with fewer rows than tokens also `mapping`, which
names each token's row, and `weights`, a factor for each token), `tokenizer.json` and `config.json`; or the same as
sentence-transformers writes it. Vectors are those of model2vec, scaled to length 1 as all of syncd's are, whatever `normalize` in
`config.json` says; of long texts all tokens count, where model2vec takes the first 512 unless it is asked for all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from syncd.errors import PermanentError
from syncd.model import Vectors
from syncd.pipeline.embed.safetensors import read_tensors
from syncd.pipeline.embed.static_files import StaticFolder, find_static
from syncd.pipeline.embed.windows import SpecialTokens, TokenIds

_BATCH_TOKENS = 16384
"""Some milliseconds of work."""


class StaticModel:
    """Tokenises and computes: what `worker.EmbedWorker` asks of a model and of its kernel. Raises PermanentError for files that do
    not belong together.
    """

    frame = SpecialTokens()
    batch_tokens = _BATCH_TOKENS
    sequences = _BATCH_TOKENS
    devices = 0
    processes = 1

    def __init__(self, folder: Path) -> None:
        files = find_static(folder)
        self.dimensions = files.dimensions()
        try:
            self._tokenizer = Tokenizer.from_file(str(files.tokenizer))
        except Exception as error:  # the library raises nothing narrower
            raise PermanentError(f"{files.tokenizer} is not a readable tokenizer: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        tensors = read_tensors(files.weights)
        self._table, self._rows = tensors[files.table], tensors.get("mapping")
        self._weights = tensors.get("weights")
        self._unknown = _unknown_token(self._tokenizer)
        self._check(files)

    def _check(self, files: StaticFolder) -> None:
        tokens = self._tokenizer.get_vocab_size(with_added_tokens=True)
        rows = len(self._table) if self._rows is None else len(self._rows)
        enough = self._weights is None or len(self._weights) >= tokens
        mapped = (
            self._rows is None or not len(self._rows) or 0 <= self._rows.min() <= self._rows.max() < len(self._table)
        )
        if rows < tokens or not enough or not mapped:
            raise PermanentError(f"{files.weights} has no vector for each of the {tokens} tokens of {files.tokenizer}")

    def tokens(self, text: str) -> TokenIds:
        """Return the tokens of `text` that the model knows; of a text with none of these, what it has."""
        clean = text.encode("utf-8", "replace").decode()
        (encoding,) = self._tokenizer.encode_batch_fast([clean], add_special_tokens=False)
        tokens = np.array(encoding.ids, dtype=np.int32)
        known = tokens[tokens != self._unknown]
        return known if len(known) else tokens[:1]

    def vectors(self, windows: Sequence[TokenIds]) -> Vectors:
        """Return the mean of each window's vectors. A text of nothing but unknown tokens has that token's vector, or the diagonal."""
        return np.stack([self._mean(window) for window in windows])

    def _mean(self, tokens: TokenIds) -> NDArray[np.float32]:
        found: NDArray[Any] = self._table[tokens if self._rows is None else self._rows[tokens]]
        if self._weights is not None:
            found = found * self._weights[tokens][:, np.newaxis]
        mean = found.mean(axis=0, dtype=np.float32) if len(found) else np.zeros(self.dimensions, np.float32)
        return mean if mean.any() else np.ones(self.dimensions, dtype=np.float32)


def _unknown_token(tokenizer: Tokenizer) -> int:
    """Return the number of the unknown token, -1 if there is none."""
    model = json.loads(tokenizer.to_str())["model"]
    number = model.get("unk_id") if model.get("unk_token") is None else tokenizer.token_to_id(model["unk_token"])
    return -1 if number is None else number
