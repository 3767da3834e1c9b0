"""What an invocation requests, apart from its target: one of several kinds. Plain values; `store.invocation_codec` reads and writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from syncd.model.records import Chunking, Embedding, SourceRecord
from syncd.model.values import Metadata


@dataclass(frozen=True, slots=True)
class GitRef:
    """The requested part of a repository's history: a branch's latest commit, or one commit."""

    branch: str | None = None
    sha: str | None = None


class _AnyRequest:
    """Properties of a request of any kind."""

    __slots__ = ()

    @property
    def whole(self) -> WholeSource:
        """The request for the whole source of which this request is a part."""
        return WholeSource()

    @property
    def keys(self) -> frozenset[str] | None:
        """The only keys to check; None: all."""
        return None

    @property
    def object_key(self) -> str | None:
        """The key of the single object requested; None: the request covers more."""
        return None

    @property
    def is_object_run(self) -> bool:
        """Whether the request is for a single object."""
        return self.object_key is not None

    @property
    def is_dry_run(self) -> bool:
        """Whether the request is for a dry run."""
        return self.whole.dry_run

    def configured(self, source: SourceRecord) -> SourceRecord:
        """Return the source with the embedding and chunking of this request."""
        return source


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeSource(_AnyRequest):
    """The whole source."""

    ref: GitRef | None = None
    """The part of a repository's history; None: the default branch."""
    dry_run: bool = False
    fan_out: bool = False
    """The run is a part of another one: over a collection that labels in the source name."""
    follow_up: int = 0
    """Number of consecutive automatic follow-up runs before this one."""
    waiting_since: float | None = None
    """When the first of these was asked for, in seconds since 1970: what it was to bring waits since then."""

    @property
    def whole(self) -> WholeSource:
        """The request itself."""
        return self


@dataclass(frozen=True, slots=True)
class SomeKeys(_AnyRequest):
    """Some keys of a source, whatever their indexed versions: a retry, or what has changed in a watched folder."""

    only: tuple[str, ...]
    """The keys, in order."""
    of: WholeSource = field(default_factory=WholeSource)
    alone: bool = False
    """They were asked for by name: no run over the whole source does for them, since that may look at what differs from its cursor only."""

    @property
    def whole(self) -> WholeSource:
        """The run that the keys are a part of."""
        return self.of

    @property
    def keys(self) -> frozenset[str]:
        """The only keys to check."""
        return frozenset(self.only)


@dataclass(frozen=True, slots=True)
class ConfirmDeletes(_AnyRequest):
    """The held deletes of an earlier run."""

    invocation_id: str
    """The id of that run's invocation."""
    of: WholeSource = field(default_factory=WholeSource)

    @property
    def whole(self) -> WholeSource:
        """What the earlier run was asked for."""
        return self.of


@dataclass(frozen=True, slots=True)
class LeaveCollection(_AnyRequest):
    """Everything that the source has in a collection which it does not keep in step any more goes, once another one is filled."""


@dataclass(frozen=True, slots=True)
class DeleteDocuments(_AnyRequest):
    """These documents go from a collection that the source does not keep in step, unless they came anew since this was asked."""

    only: tuple[str, ...]

    @property
    def keys(self) -> frozenset[str]:
        """The documents' keys."""
        return frozenset(self.only)


@dataclass(frozen=True, slots=True)
class OneObject(_AnyRequest):
    """One object of a bucket, with the custom id and metadata given by the caller."""

    key: str
    custom_id: str | None = None
    metadata: Metadata | None = None

    @property
    def keys(self) -> frozenset[str]:
        """The object's key."""
        return frozenset({self.key})

    @property
    def object_key(self) -> str:
        """The object's key."""
        return self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload(_AnyRequest):
    """One uploaded file."""

    file: str
    """Its name in the upload folder, where it is kept until the invocation is complete or cancelled."""
    filename: str
    """Its name as the uploader gave it."""
    sha256: str = ""
    size_bytes: int | None = None
    content_type: str | None = None
    overrides_suffix: bool = False
    """Whether the uploader named the content type, so that it counts, not the file name."""
    custom_id: str | None = None
    metadata: Metadata | None = None
    embedding: Embedding | None = None
    """None: the collection's own, or the source's if there is no collection yet."""
    chunking: Chunking | None = None

    @property
    def keys(self) -> frozenset[str]:
        """The file's name."""
        return frozenset({self.filename})

    @property
    def object_key(self) -> str:
        """The file's name."""
        return self.filename

    def configured(self, source: SourceRecord) -> SourceRecord:
        """Return the source with the embedding and the chunking that came with the file."""
        return replace(source, embedding=self.embedding or source.embedding, chunking=self.chunking or source.chunking)


Request = WholeSource | SomeKeys | ConfirmDeletes | LeaveCollection | DeleteDocuments | OneObject | Upload


def may_bring(request: Request, keys: frozenset[str]) -> bool:
    """Return whether the run may bring documents with any of these keys into its collection."""
    match request:
        case DeleteDocuments() | LeaveCollection() | ConfirmDeletes():
            return False
        case Upload(custom_id=custom_id, filename=name):
            return (custom_id or name) in keys
        case _:
            return request.keys is None or not keys.isdisjoint(request.keys)


def all_of(request: Request) -> Request:
    """Return the request for all of what was asked for: of the whole source where it was a part of that."""
    return (
        request if isinstance(request, LeaveCollection | DeleteDocuments | OneObject | Upload) else anew(request.whole)
    )


def part_of(request: Request, keys: tuple[str, ...]) -> Request:
    """Return the request for some keys of what was asked for; of a single object or file that is all of it."""
    match request:
        case OneObject(key=key) if keys == (key,):
            return request
        case Upload() | DeleteDocuments():
            return request
        case _:
            return SomeKeys(keys, anew(request.whole), alone=True)


def joined(waiting: Request, asked: Request) -> Request | None:
    """Return the one request that does both, with the keys of both; None when there is none.

    A request that follows others up counts as one that was not asked for before. Keys that failed, or were asked for by name, are
    no part of a run over the whole source, which may look at what differs from its cursor only.
    """
    match waiting, asked:
        case SomeKeys(of=WholeSource(follow_up=times), alone=alone), WholeSource() if times or alone:
            return None
        case (WholeSource(), SomeKeys(alone=True)) | (DeleteDocuments(), _):
            return None
        case (WholeSource() | SomeKeys(), WholeSource() | SomeKeys()) if anew(waiting.whole) == anew(asked.whole):
            if isinstance(waiting, SomeKeys) and isinstance(asked, SomeKeys):
                both = tuple(sorted({*waiting.only, *asked.only}))
                return SomeKeys(both, _of_both(waiting.of, asked.of), waiting.alone or asked.alone)
            return _of_both(waiting.whole, asked.whole)
        case _:
            return waiting if waiting == asked else None


def anew(whole: WholeSource) -> WholeSource:
    """Return the request as it is when it follows none up."""
    return replace(whole, follow_up=0, waiting_since=None)


def _of_both(waiting: WholeSource, asked: WholeSource) -> WholeSource:
    since = [whole.waiting_since for whole in (waiting, asked) if whole.waiting_since]
    return replace(anew(asked), waiting_since=min(since, default=None))


def not_asked_for(request: Request, others: Sequence[Request]) -> Request | None:
    """Return what others that follow up do not ask for already of a request that does, however often they have; None for nothing.

    So keys that fail again and again are asked for by one after the other, and not by more and more at once.
    """
    same = [one for one in others if one.whole.follow_up and anew(one.whole) == anew(request.whole)]
    if isinstance(request, SomeKeys):
        asked = {key for one in same if isinstance(one, SomeKeys) for key in one.only}
        left = tuple(key for key in request.only if key not in asked)
        return replace(request, only=left) if left else None
    return None if any(isinstance(one, WholeSource) for one in same) else request


def followed_up(request: Request, asked_at: float) -> Request | None:
    """Return the request of the run that follows this one, which was asked for then; None for one that no run follows."""
    match request:
        case WholeSource(follow_up=times, waiting_since=since):
            return replace(request, follow_up=times + 1, waiting_since=since or asked_at)
        case SomeKeys(of=whole):
            return replace(request, of=followed_up(whole, asked_at))
        case _:
            return None
