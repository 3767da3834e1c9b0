"""Invocations as in the published API, with our additions (counts, pace, origin, outcomes, retries)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from syncd.schema import ExtendedModel, Model, Moment, OwnModel, Uuid

OutcomeState = Literal["indexed", "deleted", "skipped", "failed"]


class GitRefIdentifier(Model):
    """A branch's latest commit, or one commit."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["sha"]}, {"required": ["branch"]}]})

    sha: Annotated[str, Field(max_length=64)] | None = None
    branch: Annotated[str, Field(max_length=255)] | None = None

    @model_validator(mode="after")
    def one_of_both(self) -> Self:
        """Check that exactly one of sha and branch is given."""
        if (self.sha is None) == (self.branch is None):
            raise ValueError("give either sha or branch")
        return self


class CreateJobPayload(ExtendedModel):
    """An invocation to create. `object_key`, `custom_id` and `metadata` are for S3, `ref_identifier` is for repositories."""

    ADDITIONS = frozenset({"dry_run", "backfill"})

    target_collection_name: str | None = None
    object_key: str | None = None
    custom_id: Annotated[str, Field(max_length=120)] | None = None
    metadata: dict[str, object] | None = None
    ref_identifier: GitRefIdentifier | None = None
    backfill: bool = False
    """S3: sync every object, instead of the one that `object_key` names."""
    dry_run: bool = False
    """Only report what the run would do: documents are fetched, parsed and chunked, but nothing is embedded or written."""


class CreateJobResponse(Model):
    """The new invocation."""

    invocation_id: Uuid


class AddFileResponse(Model):
    """The invocation that indexes the uploaded file."""

    invocation_id: Uuid


class CancelJobResponse(Model):
    """An empty object."""


class Complete(Model):
    """When the invocation finished and how long it took."""

    finished_at: Moment
    duration_ms: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]


class CompleteStatus(Model):
    """The invocation is complete."""

    complete: Complete


class Failed(Model):
    """The reason an invocation failed."""

    error: str


class FailedStatus(Model):
    """The invocation failed and is not retried automatically."""

    failed: Failed


JobStatus = Literal["pending", "processing", "cancelled"] | CompleteStatus | FailedStatus


class GithubKind(Model):
    """The commit that an invocation was asked to sync."""

    git_ref_identifier: GitRefIdentifier


class ObjectKind(Model):
    """The object that an invocation was asked to sync. For uploads, websites and folders, `bucket_name` is the source type."""

    bucket_name: str
    object_key: str | None = None
    custom_id: str | None = None
    additional_metadata: dict[str, object] | None = None


class IndexJobMetadata(Model):
    """The collection that an invocation writes to, and what it syncs.

    The published API describes only `github` and `s3` usably. Sources of every other type are shown in the form of
    `s3`, with the type's name as `bucket_name`.
    """

    database_name: str
    collection_name: str
    github: GithubKind | None = None
    s3: ObjectKind | None = None


class JobCounts(Model):
    """Numbers of documents, chunks and tokens so far."""

    found: int
    indexed: int
    unchanged: int
    deleted: int
    skipped: int
    failed: int
    held_deletes: int
    chunks_written: int
    chunks_deleted: int
    chunks_embedded: int
    chunks_reused: int
    tokens: int
    warned: int
    """Documents, indexed or skipped, of which something was guessed or left out; see `GET /api/v1/documents/warnings`."""


class JobStages(Model):
    """What of a running invocation is on its way."""

    prepared: int
    """Documents found by words whose vectors are being computed."""
    embedded: int
    """Documents that have their vectors and wait to be written."""
    tokens_left: int
    """Of the documents prepared so far."""
    estimated: bool = False
    """If true, not all of these tokens are counted: the model's tokenizer is not at hand, or has not got that far. Then their
    number goes by the length of the texts and what a token has taken on average."""


class Job(Model):
    """An invocation."""

    id: Uuid
    source_id: Uuid | None
    status: JobStatus
    metadata: IndexJobMetadata
    created_at: Moment
    started_at: Moment | None = None
    origin: Literal["api", "event", "watch", "schedule", "backfill"]
    dry_run: bool
    """If true, the counts say what a run would do, and tokens are estimated."""
    attempts: int
    next_try_at: Moment | None = None
    """When an unfinished invocation that had to wait is tried again, or was tried last."""
    note: str | None = None
    """Why an unfinished invocation is waiting."""
    incomplete: str | None = None
    """Why a complete invocation could not see all of its source; no missing documents were deleted, and the collection
    was not closed."""
    counts: JobCounts
    eta_s: float | None = None
    """For a complete dry run: the time a run would take to embed, at the speed of this machine's latest runs."""
    tokens_per_s: float | None = None
    stages: JobStages | None = None
    source_progress: dict[str, float] | None = None
    """During a crawl: numbers of pages found, fetched, unchanged, indexed, failed and queued, and pages_per_s."""


class LatestByKeysRequest(Model):
    """Object keys to look up."""

    object_keys: Annotated[list[str], Field(max_length=1000)]


class RetryPayload(OwnModel):
    """Which documents to run again; null or omitted: every failed one, by the whole run where more than 10,000 failed."""

    keys: Annotated[list[str], Field(min_length=1, max_length=10_000)] | None = None


class ConfirmPayload(OwnModel):
    """An empty object: all held deletes are carried out, or discarded."""


class HeldDeleteView(Model):
    """A document whose delete is held."""

    key: str


class HoldingRunView(Model):
    """An invocation whose deletes wait to be confirmed or discarded."""

    invocation_id: Uuid
    source_id: Uuid
    database_name: str
    collection_name: str
    documents: int
    """How many would be deleted."""


class DiscardResponse(Model):
    """An empty object."""


class DocumentView(Model):
    """The outcome of one document in an invocation."""

    key: str
    state: OutcomeState
    reason: str
    version: str
    chunks: int
    at: Moment
    attempts: int | None = None
    """How often a failed document was tried, if it is tried again by itself: the reason may pass."""
    next_try_at: Moment | None = None
    """When it is tried again; absent or null: it is being tried, or not tried again."""
