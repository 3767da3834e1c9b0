"""Bodies of search, embedding, tokens and status: all additions to the published API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, RootModel

from syncd.api.schema_base import Model

Mode = Literal["dense", "sparse", "hybrid"]


class SearchRequest(Model):
    """One query against one collection."""

    query: Annotated[str, Field(min_length=1, max_length=32_768)]
    database_name: str
    collection_name: str
    limit: Annotated[int, Field(ge=1, le=300)] = 10
    offset: Annotated[int, Field(ge=0, le=10_000)] = 0
    mode: Mode = "dense"
    where: dict[str, Any] | None = None
    """A Chroma metadata filter."""
    where_document: dict[str, Any] | None = None
    """A Chroma document filter."""


class Hit(Model):
    """One chunk that answers the query; `metadata` carries its lineage."""

    id: str
    score: float
    """Higher is better; cosine similarity for `dense`, comparable within one answer only otherwise."""
    text: str
    metadata: dict[str, Any]


class SearchResponse(Model):
    """Hits, best first."""

    hits: list[Hit]
    mode: Mode


class EmbedRequest(Model):
    """Texts to embed as queries, in the shape of Text Embeddings Inference."""

    inputs: str | Annotated[list[Annotated[str, Field(min_length=1, max_length=32_768)]], Field(max_length=256)]


class Vector(RootModel[list[float]]):
    """One text's vector."""


class CreateTokenPayload(Model):
    """A token to make. `databases` left out or null: every database, and administration."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    databases: Annotated[list[str], Field(min_length=1, max_length=1000)] | None = None


class TokenView(Model):
    """A token without its secret."""

    id: str
    name: str
    databases: list[str] | None


class CreateTokenResponse(Model):
    """The only answer that ever holds the token itself."""

    token: str


class Health(Model):
    """The daemon can do its work."""

    status: Literal["ok"] = "ok"


class Status(Model):
    """The daemon's state; its fields come and go with the daemon's parts."""

    model_config = ConfigDict(extra="allow")
