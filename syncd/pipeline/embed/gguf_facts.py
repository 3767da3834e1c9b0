"""What a GGUF file says about its embedding model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gguf

from syncd.errors import PermanentError
from syncd.pipeline.embed.static_files import STATIC_TOKENS, find_static
from syncd.pipeline.embed.variant import Pooling

_POOLINGS: dict[int, Pooling] = {1: "mean", 2: "cls", 3: "last"}
"""llama.cpp's numbers; 0 and 4 (rerankers) give no vector."""
_GEMMA = "gemma-embedding"
_QUERY_PROMPTS = {_GEMMA: "task: search result | query: "}
_DOCUMENT_PROMPTS = {_GEMMA: "title: none | text: "}
_MATRYOSHKA = {_GEMMA: (512, 256, 128)}
"""By the card of google/embeddinggemma-300m, the one model of its architecture; files say none of it."""
_BERT_TOKENS = 512
_USUAL_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """`pooling` None: the file does not say. `max_tokens` is the window to embed in, no longer than trained. The prompts
    are those of the architecture, if all its models have the same; `matryoshka` the shorter lengths its vectors may have.
    """

    architecture: str
    quantisation: str
    dimensions: int
    pooling: Pooling | None
    max_tokens: int
    query_prompt: str | None = None
    document_prompt: str | None = None
    matryoshka: tuple[int, ...] | None = None


def read_facts(path: Path) -> GgufFacts:
    """Read the head of the file, or of the files in the folder, `path`. Raises PermanentError if it is neither a GGUF of an
    embedding model nor a static model.
    """
    if path.is_dir():
        return GgufFacts("static", "own", find_static(path).dimensions(), "static", STATIC_TOKENS)
    try:
        reader = gguf.GGUFReader(path)
    except (OSError, ValueError, IndexError) as error:
        raise PermanentError(
            f"{path} is not a readable GGUF ({error}): convert the model, or download it again"
        ) from error
    architecture = _text(reader, "general.architecture")
    dimensions = _number(reader, f"{architecture}.embedding_length")
    if not dimensions:
        raise PermanentError(f"{path} does not state its vectors' dimensions: it is not an embedding model")
    pooling = _number(reader, f"{architecture}.pooling_type")
    if pooling is not None and pooling not in _POOLINGS:
        raise PermanentError(f"{path} has no vector pooling (pooling type {pooling}): it is not an embedding model")
    if architecture == _GEMMA and not any(tensor.name == "dense_3.weight" for tensor in reader.tensors):
        raise PermanentError(
            f"{path} lacks the layers after EmbeddingGemma's pooling, so its vectors are not the model's: convert it with "
            "--sentence-transformers-dense-modules, or take a file made so"
        )
    trained = _number(reader, f"{architecture}.context_length") or _BERT_TOKENS
    kind = _number(reader, "general.file_type")
    return GgufFacts(
        architecture,
        gguf.LlamaFileType(kind).name.removeprefix("MOSTLY_").removeprefix("ALL_") if kind is not None else "own",
        dimensions,
        _POOLINGS.get(pooling) if pooling is not None else None,
        min(trained, _USUAL_TOKENS),
        _QUERY_PROMPTS.get(architecture),
        _DOCUMENT_PROMPTS.get(architecture),
        _MATRYOSHKA.get(architecture),
    )


def _text(reader: gguf.GGUFReader, key: str) -> str:
    field = reader.get_field(key)
    return "" if field is None else str(field.contents())


def _number(reader: gguf.GGUFReader, key: str) -> int | None:
    field = reader.get_field(key)
    return None if field is None else int(field.contents())
