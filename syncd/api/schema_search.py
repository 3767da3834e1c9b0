"""Bodies of search, embedding, tokens and status: all additions to the published API."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, RootModel, model_validator

from syncd.schema import Model, Moment, OwnModel
from syncd.search import Fusion, Mode
from syncd.store.chunks import Stage

_FUSION = Fusion()


class FusionWeights(OwnModel):
    """How the two rankings of `hybrid` are fused: score = the sum of weight / (k + rank)."""

    dense_weight: Annotated[float, Field(ge=0, le=1000)] = _FUSION.dense
    sparse_weight: Annotated[float, Field(ge=0, le=1000)] = _FUSION.sparse
    k: Annotated[int, Field(ge=1, le=10_000)] = _FUSION.k


class SearchRequest(OwnModel):
    """One query against one collection."""

    query: Annotated[str, Field(min_length=1, max_length=32_768)]
    database_name: str
    collection_name: str
    limit: Annotated[int, Field(ge=1, le=300)] = 10
    offset: Annotated[int, Field(ge=0, le=10_000)] = 0
    mode: Mode = "dense"
    """By meaning, by words, or both fused."""
    where: dict[str, object] | None = None
    """A Chroma metadata filter. A ranking by words applies it to its best 10,000 candidates."""
    where_document: dict[str, object] | None = None
    """A Chroma document filter, applied like `where`."""
    source_ids: Annotated[list[str], Field(min_length=1, max_length=1000)] | None = None
    """Only hits from these sources."""
    path: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Only hits whose key this matches: `*` any characters, slashes too, `?` one; without either, a leading part."""
    group_by: Literal["document"] | None = None
    """`document`: one hit per document, its best; `limit` and `offset` count documents."""
    fusion: FusionWeights | None = None
    """For `hybrid`; left out: its defaults."""


class Span(Model):
    """A segment of a text, in code points, `end` excluded."""

    start: int
    end: int


class Hit(Model):
    """One chunk that answers the query; `metadata` carries its lineage."""

    id: str
    score: float
    """Higher is better; cosine similarity for `dense`, comparable within one answer only otherwise."""
    text: str
    metadata: dict[str, object]
    highlights: tuple[Span, ...] = ()
    """Where words of the query stand in `text`."""
    dense_rank: int | None = None
    """Its rank in the semantic ranking, from 1; null where it is not in it."""
    sparse_rank: int | None = None
    """Its rank in the keyword ranking, from 1; null where it is not in it."""
    stage: Stage = "written"
    """How far its document has come: `prepared` is found by words, `embedded` waits to be written, `written` is in the
    collection."""
    indexed_at: Moment | None = None
    """When this version of its document was indexed; null for what syncd did not write."""
    lag_s: float | None = None
    """How long after the change at the source that was, where the source says when it changed."""
    also: tuple[str, ...] = ()
    """Ids of the document's other hits, best first, where hits are grouped."""


class SearchResponse(Model):
    """Hits, best first."""

    hits: list[Hit]
    mode: Mode
    notices: tuple[str, ...] = ()
    """What the answer lacks for now, for people: a part that is being embedded, a ranking that cannot be had."""
    semantic_coverage: float | None = None
    """The share of the collection's chunks that have vectors; null where no ranking by vectors was asked for."""


class EmbedRequest(Model):
    """Texts to embed as queries, in the shape of Text Embeddings Inference."""

    inputs: str | Annotated[list[Annotated[str, Field(min_length=1, max_length=32_768)]], Field(max_length=256)]


class Vector(RootModel[list[float]]):
    """One text's vector."""


class CreateTokenPayload(OwnModel):
    """A token to make. `databases` is never left out; null is every database, and administration."""

    model_config = ConfigDict(json_schema_extra={"required": ["name", "databases"]})

    name: Annotated[str, Field(min_length=1, max_length=200)]
    databases: Annotated[list[str], Field(min_length=1, max_length=1000)] | None = None

    @model_validator(mode="after")
    def says_what_it_covers(self) -> Self:
        """Require `databases`: nobody gets an administrator's token by forgetting something."""
        if "databases" not in self.model_fields_set:
            raise ValueError("databases: name those that the token covers, or null: every one, and administration")
        return self


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
