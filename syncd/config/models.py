"""`[embedding]`, `[[models]]`, `[search]` and `[rerank]` in the configuration file: the models and what computes them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from syncd.config.secret import KeyedTable
from syncd.schema import BaseUrl, OwnPath, Table


class ServerTable(KeyedTable):
    """`[[embedding.servers]]`: an embedding server that computes a model instead of this machine."""

    url: BaseUrl
    """Base URL; `/embeddings` (openai, syncd) or `/embed` (tei) is appended."""
    kind: Literal["openai", "tei", "syncd"] = "openai"
    model: str | None = None
    """The model it computes, by our name; default: the default model."""
    served_as: str | None = None
    """The server's name for the model; default: the same."""
    max_in_flight: Annotated[int, Field(ge=1, le=256)] = 32
    """At most; how many it bears is found out."""


def known_runtime(name: str) -> str:
    """Return `name` if it is an engine's. Raises ValueError, which names all engines."""
    from syncd.pipeline.embed.engines import (
        local_names,
    )  # imported here because most commands that read the file do not need it

    if name not in local_names():
        raise ValueError(f"Input should be {' or '.join(map(repr, local_names()))}")
    return name


class EmbeddingSection(Table):
    """How vectors are made."""

    default_model: str = "Qwen/Qwen3-Embedding-0.6B"
    device: Literal["auto", "cpu", "cuda", "metal", "vulkan"] = "auto"
    devices: tuple[Annotated[int, Field(ge=0, le=63)], ...] = ()
    """Which of several devices of that kind, counted from 0; all of them when empty. Each gets a process of its own, with PyTorch two."""
    runtime: Annotated[str, AfterValidator(known_runtime)] = "auto"
    """Which engine computes models on this machine; `auto`: PyTorch if it is installed and faster, else llama.cpp."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """Of all lanes together; 0: every core this process may use."""
    lanes: Literal["auto"] | Annotated[int, Field(ge=1, le=256)] = "auto"
    """Processes that share a model's work on the cores, or on each device; `auto`: measured."""
    lane_memory_bytes: Annotated[int, Field(ge=0)] = 2 << 30
    """Of all lanes together, beside the weights that they share."""
    batch_tokens: Annotated[int, Field(ge=0, le=65536)] = 0
    """Tokens computed at a time; 0: chosen by device and free memory."""
    models_dir: OwnPath | None = None
    """Where GGUF files are looked for and downloaded to; by default `models` in the state folder."""
    queries: Literal["huggingface", "ollama", "openai", "none"] = "huggingface"
    """The embedding function recorded in collections, so that any Chroma client can query them by text."""
    queries_url: BaseUrl | None = None
    """Where clients reach this API, if not at the address it listens on (behind a proxy, or on all addresses)."""
    servers: tuple[ServerTable, ...] = ()


class ModelSection(Table):
    """A model of your own, or another file for a known one."""

    name: str
    quantisation: str | None = None
    """Which of a known model's files: Q8_0, F16, Q4_K_M."""
    path: OwnPath | None = None
    url: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    pooling: Literal["last", "mean", "cls", "static"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=65536)] | None = None
    max_tokens: Annotated[int, Field(ge=16, le=131072)] | None = None
    document_prompt: str | None = None
    query_prompt: str | None = None
    matryoshka: bool | tuple[Annotated[int, Field(ge=1, le=65536)], ...] | None = None
    """Whether it was trained so that vectors may be shortened: to any number of dimensions, or to one of those."""


class SearchSection(Table):
    """Searches: by words, how long they wait, and how well they have to find things."""

    sparse_default: Literal["syncd/Code-BM25", "Chroma/BM25", "prithivida/Splade_PP_en_v1", "none"] = "syncd/Code-BM25"
    """The sparse model of collections whose source names none; `none`: they have no sparse vectors."""
    limit_s: Annotated[float, Field(gt=0)] = 5.0
    max_quality_loss: Annotated[float, Field(ge=0, le=1)] = 0.1
    """A collection built with other settings takes its place by itself unless nDCG@10 falls by more than this share."""
    splade_dir: OwnPath | None = None
    """Where SPLADE's model.onnx and tokenizer.json are; by default downloaded into the models folder on first use."""


class RerankSection(KeyedTable):
    """What puts the first hits of searches in prose in order; nothing does unless `url` or `path` is given."""

    url: BaseUrl | None = None
    """A server's base URL; `/rerank` is appended."""
    kind: Literal["cohere", "tei"] = "cohere"
    model: str | None = None
    """The server's name for its model; not needed where it has one."""
    path: OwnPath | None = None
    """A GGUF of Qwen3-Reranker, to be computed on this machine."""
    always: bool = False
    """Whether searches that do not say are reranked."""
    limit_s: Annotated[float, Field(gt=0)] = 2.0
    """After this time a search is answered in the order it had."""

    @model_validator(mode="after")
    def one_reranker(self) -> Self:
        """Check that there is one at most."""
        if self.url is not None and self.path is not None:
            raise ValueError("give either url or path")
        return self

    @model_validator(mode="after")
    def somewhere(self) -> Self:
        """Check that the other keys have a reranker to go with."""
        if self.url is None and self.path is None and self != RerankSection.model_construct():
            raise ValueError("rerank needs rerank.url, such as http://127.0.0.1:8080, or rerank.path")
        return self
