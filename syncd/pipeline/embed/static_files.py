"""The files of static models, in model2vec's format: what is in their folder, told without reading more than a head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from syncd.errors import PermanentError
from syncd.pipeline.embed.safetensors import read_header

STATIC_TOKENS = 8192
"""Longer than the largest chunk: no mean is made of windows."""
_LAYOUTS = (
    ("config.json", "model.safetensors", "tokenizer.json", "embeddings"),
    ("config_sentence_transformers.json", "model.safetensors", "tokenizer.json", "embedding.weight"),
    (
        "config_sentence_transformers.json",
        "0_StaticEmbedding/model.safetensors",
        "0_StaticEmbedding/tokenizer.json",
        "embedding.weight",
    ),
)


@dataclass(frozen=True, slots=True)
class StaticFolder:
    """The files of a static model; `table` is the name of its vectors."""

    weights: Path
    tokenizer: Path
    table: str

    def dimensions(self) -> int:
        """Return the length of its vectors. Raises PermanentError for a file that cannot be read."""
        header, _ = read_header(self.weights)
        shape = header[self.table]["shape"] if self.table in header else []
        if len(shape) != 2:
            raise PermanentError(f"{self.weights} has no table {self.table!r}: it is not a static model")
        return shape[1]


def find_static(folder: Path) -> StaticFolder:
    """Return the files of the static model in `folder`. Raises PermanentError when there is none."""
    for config, weights, tokenizer, table in _LAYOUTS:
        if all((folder / file).is_file() for file in (config, weights, tokenizer)):
            return StaticFolder(folder / weights, folder / tokenizer, table)
    raise PermanentError(
        f"{folder} holds no static model: give a folder with model.safetensors, tokenizer.json and config.json, as model2vec "
        "writes them"
    )
