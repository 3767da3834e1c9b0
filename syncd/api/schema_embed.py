"""Request and response bodies of the embedding protocols of Ollama, OpenAI and Chroma Cloud."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from syncd.schema import Model

Text = Annotated[str, Field(min_length=1, max_length=32_768)]
Texts = Annotated[list[Text], Field(max_length=256)]


class OllamaRequest(Model):
    """`POST /api/embed` of Ollama; its other fields are ignored."""

    input: Text | Texts
    model: str


class OllamaResponse(Model):
    """Vectors in the order of the texts."""

    model: str
    embeddings: list[list[float]]
    prompt_eval_count: int


class OpenAiRequest(Model):
    """`POST /v1/embeddings` of OpenAI, with texts, not tokens. `dimensions` other than the model's own are for models trained for it."""

    input: Text | Texts
    model: str
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] = "float"
    input_type: Literal["query", "prompted"] = "query"
    """Our own: `prompted` texts get no prompt, as another syncd sends them with theirs; all others are queries."""


class OpenAiVector(Model):
    """One text's vector: numbers, or their float32 bytes (little-endian) in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class OpenAiUsage(Model):
    """Tokens in the texts."""

    prompt_tokens: int
    total_tokens: int


class OpenAiResponse(Model):
    """Vectors in the order of the texts."""

    object: Literal["list"] = "list"
    data: list[OpenAiVector]
    model: str
    usage: OpenAiUsage


class CloudRequest(Model):
    """What Chroma's `chroma-cloud-qwen` embedding function sends; empty `instructions` mean that the texts are documents."""

    texts: Texts
    instructions: Annotated[str, Field(max_length=4096)] = ""


class CloudResponse(Model):
    """Vectors in the order of the texts."""

    embeddings: list[list[float]]


class CloudSparseRequest(Model):
    """What Chroma's `chroma-cloud-splade` embedding function sends; its other fields are ignored."""

    texts: Texts


class SparseView(Model):
    """One text's term weights, by ascending index."""

    indices: list[int]
    values: list[float]


class CloudSparseResponse(Model):
    """Vectors in the order of the texts."""

    embeddings: list[SparseView]
