"""Bodies of search, embedding, tokens and status: all additions to the published API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, RootModel, field_validator, model_validator

from syncd.schema import Model, Moment, OwnModel
from syncd.search import Fusion, Mode, RuleName
from syncd.search.paths import SoughtContent
from syncd.search.several import MAX_COLLECTIONS
from syncd.search.where import require_small
from syncd.store.chunks import Stage
from syncd.store.tokens import TokenAccess

_FUSION = Fusion()
SmallFilter = Annotated[dict[str, Any], AfterValidator(require_small)]


class FusionWeights(OwnModel):
    """Reciprocal rank fusion for `hybrid`: a hit's score is the sum of weight / (k + rank) over both rankings."""

    dense_weight: Annotated[float, Field(ge=0, le=1000)] = _FUSION.dense
    sparse_weight: Annotated[float, Field(ge=0, le=1000)] = _FUSION.sparse
    k: Annotated[int, Field(ge=1, le=10_000)] = _FUSION.k


class SearchRequest(OwnModel):
    """One query against one collection, or against several of a database."""

    query: Annotated[str, Field(min_length=1, max_length=32_768)]
    database_name: str
    collection_name: str | None = None
    collections: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=512)]], Field(min_length=1, max_length=MAX_COLLECTIONS)
        ]
        | None
    ) = None
    """Instead of `collection_name`: several collections, whose rankings are merged by rank; scores then are 1 / (10 + rank)."""
    limit: Annotated[int, Field(ge=1, le=300)] | None = None
    """The most hits; omitted: 10, or with `max_tokens` as many of the first 100 as fit."""
    offset: Annotated[int, Field(ge=0, le=10_000)] = 0
    mode: Mode = "dense"
    """`dense` is semantic, `sparse` is keyword search, `hybrid` fuses both. `phrase` finds the query letter by letter, but for case and spacing,
    `regex` what it matches as a regular expression (RE2; `^` and `$` at every line); both in the texts of chunks as they are stored, those
    with most matches first."""
    where: SmallFilter | None = None
    """A Chroma metadata filter, of at most 500 conditions and 10,000 values. The keyword ranking applies it to its best 10,000 candidates."""
    where_document: SmallFilter | None = None
    """A Chroma document filter, applied like `where`."""
    source_ids: Annotated[list[str], Field(min_length=1, max_length=1000)] | None = None
    """Only hits from these sources."""
    path: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Only hits whose key matches this pattern: `*` matches any characters, slashes included, and `?` one character. Without
    either, only hits whose key starts with it."""
    paths: Annotated[list[Annotated[str, Field(min_length=1, max_length=4096)]], Field(max_length=50)] | None = None
    """Several such patterns, of which one has to match (`path` counts as another)."""
    languages: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(min_length=1, max_length=50)] | None
    ) = None
    """Only chunks in one of these languages, as `language` in their metadata has it: `python`, `tsx`, `markdown`, …"""
    content: SoughtContent | None = None
    """Only documents with code, with documentation and other text, or with configuration and data, by their keys."""
    modified_after: Annotated[AwareDatetime, Field(strict=False)] | None = None
    """Only documents that changed at this moment or later; those whose source does not say when they changed are left out."""
    expand: Annotated[int, Field(ge=0, le=200)] | Literal["section"] | None = None
    """What is shown around each hit: so many lines before and after it, or the section or definition that it is in (at most 200 lines
    before and after). Hits of one document whose lines touch are shown as one."""
    max_tokens: Annotated[int, Field(ge=100, le=100_000)] | None = None
    """The most tokens of the answer, by an estimate of the hits' texts and places that is rather too high: the best hits that fit,
    of which the last one may be cut at the end of a line."""
    group_by: Literal["document"] | None = None
    """`document`: only the best hit of each document; `limit` and `offset` then count documents."""
    fusion: FusionWeights | None = None
    """For `hybrid`; omitted: the default weights and `k`, which differ for code."""
    rules: Annotated[list[RuleName], Field(max_length=20)] | None = None
    """The ranking rules for code to apply, by name; `[]`: none. Omitted: all, of `docs` what moves documentation that
    lacks some of the query's words, in `sparse` and `hybrid` where the hits are code and no `fusion` is given. Scores then are those of the rules."""
    rerank: bool | None = None
    """Whether the configured reranker puts the first 50 hits in order where they are prose; their scores then are its own. Omitted:
    as `rerank.always` says. Hits that cannot be reranked, or not in time, keep their order, with a notice."""

    @model_validator(mode="after")
    def says_where(self) -> Self:
        """Require one way to say which collections."""
        if (self.collection_name is None) == (self.collections is None):
            raise ValueError("give either collection_name or collections")
        return self


class Span(Model):
    """A range of a text in Unicode code points; `end` is exclusive."""

    start: int
    end: int


class Hit(Model):
    """One chunk that matches the query; `metadata` says where it comes from."""

    id: str
    score: float
    """Higher is better. Cosine similarity for `dense`, matches for `phrase` and `regex` without rules; otherwise comparable only within one response."""
    text: str
    metadata: dict[str, object]
    collection_name: str
    highlights: tuple[Span, ...] = ()
    """Where `text` contains words of the query; with `expand`, only in what was found."""
    dense_rank: int | None = None
    """The hit's rank in the semantic ranking, from 1; null if it is not in that ranking."""
    sparse_rank: int | None = None
    """The hit's rank in the keyword ranking, from 1; null if it is not in that ranking."""
    stage: Stage = "written"
    """How far its document has come: `prepared` is found by words, `embedded` waits to be written, `written` is in the
    collection."""
    indexed_at: Moment | None = None
    """When this version of the document was indexed; null for rows that syncd did not write."""
    lag_s: float | None = None
    """Seconds from the change at the source to `indexed_at`; null if the source does not say when it changed."""
    first_line: int | None = None
    """The first line of `text` in the document, where `text` is not the whole chunk; see `metadata` otherwise."""
    last_line: int | None = None
    cut: bool = False
    """Whether `text` ends before the chunk does, since `max_tokens` left no more room."""
    also: tuple[str, ...] = ()
    """With `group_by`: ids of the document's other hits, best first; with `expand`, of the hits that are shown with this one."""


class SearchResponse(Model):
    """Hits, best first."""

    hits: list[Hit]
    mode: Mode
    notices: tuple[str, ...] = ()
    """What the answer lacks for now, for people: a part that is being embedded, a ranking that cannot be had."""
    next_offset: int | None = None
    """With `max_tokens`: the `offset` of the first hit that was left out; null where none was."""
    semantic_coverage: float | None = None
    """The share of the collection's chunks that have vectors; null where no ranking by vectors was asked for."""


class EmbedRequest(Model):
    """Texts to embed as queries, in the shape of Text Embeddings Inference."""

    inputs: str | Annotated[list[Annotated[str, Field(min_length=1, max_length=32_768)]], Field(max_length=256)]


class Vector(RootModel[list[float]]):
    """One text's vector."""


class CreateTokenPayload(OwnModel):
    """A token to create. `databases` is required; null means every database, and administration."""

    model_config = ConfigDict(json_schema_extra={"required": ["name", "databases"]})

    name: Annotated[str, Field(min_length=1, max_length=200)]
    databases: Annotated[list[str], Field(min_length=1, max_length=1000)] | None = None
    access: TokenAccess = "write"
    """`read` covers what changes nothing: lists, searches, documents, embedding queries."""
    expires_at: Annotated[AwareDatetime, Field(strict=False)] | None = None
    """When the token ceases to be good; null: never."""

    @field_validator("expires_at")
    @classmethod
    def is_to_come(cls, moment: datetime | None) -> datetime | None:
        """Require a moment in the future: a token that was never good is a mistake."""
        if moment is not None and moment <= datetime.now(UTC):
            raise ValueError("must be in the future")
        return moment

    @model_validator(mode="after")
    def says_what_it_covers(self) -> Self:
        """Require `databases`, so that nobody gets an administrator's token by omission."""
        if "databases" not in self.model_fields_set:
            raise ValueError(
                "databases: name the databases that the token may access, or give null for all of them and administration"
            )
        return self


class TokenView(Model):
    """A token without its secret."""

    id: str
    name: str
    databases: list[str] | None
    access: TokenAccess
    expires_at: Moment | None


class CreateTokenResponse(Model):
    """The new token; no other response ever contains it."""

    token: str


class Health(Model):
    """The daemon is able to work."""

    status: Literal["ok"] = "ok"
    failing_sources: int | None = None
    """How many sources cannot be looked at, or brought in step; `GET /api/v1/status` says which and why."""
    late_sources: int | None = None
    """How many sources have changes that waited for longer than their `max_lag_s`."""
    damaged_sources: int | None = None
    """How many sources' rows in the state database are damaged for good; nothing is done of these until they are written again."""
    failing_webhooks: int | None = None
    """How many webhooks cannot be told what they are to be told."""
    degraded: list[str] | None = None
    """What is not as configured although all work goes on, such as a worker or an embedding server that is away."""


class Status(Model):
    """The daemon's state; the fields depend on which parts are configured."""

    model_config = ConfigDict(extra="allow")
