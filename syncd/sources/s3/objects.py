"""Turns objects of one source's bucket into documents of the collections that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from syncd.errors import PermanentError
from syncd.model import Document, chunk_prefix
from syncd.quoting import shown
from syncd.sources.bodies import NoBody
from syncd.sources.objects.download import ObjectBody
from syncd.sources.objects.keys import is_folder
from syncd.sources.s3.assignment import Assignment, assignments
from syncd.sources.s3.bucket import Bucket, ObjectState
from syncd.sources.s3.download import BucketObject
from syncd.sources.s3.label_store import Label, Labels
from syncd.sources.s3.naming import is_metadata_file
from syncd.sources.s3.overlay import Labelling
from syncd.sources.s3.settings import AutoSync, S3Settings


@dataclass(frozen=True, slots=True)
class S3Objects:
    """What runs over single keys and runs over the whole bucket share."""

    id: str
    settings: S3Settings
    bucket: Bucket
    labels: Labels
    labelling: Labelling

    async def present(self, key: str, collection: str) -> Document | None:
        """Return the current document of `key` in `collection`, or None if there is no object or it belongs elsewhere."""
        assignment = assignments(await self.labels.of(self.id, key), self.settings).get(collection)
        if assignment is None or not key.startswith(self.settings.path_prefix):
            return None
        state = await self.bucket.head(key)
        return self.document(state, assignment, collection) if state and not is_folder(key, state.size_bytes) else None

    async def again(self, key: str, collection: str) -> Document:
        """Return the current document of `key` in `collection`, a gone one if there is none. Raises RetryableError, PermanentError."""
        return await self.present(key, collection) or gone_object(key)

    def document(self, state: ObjectState, assignment: Assignment, collection: str) -> Document:
        """Return the document of an object in one collection."""
        said = {"custom_id": assignment.custom_id} if assignment.custom_id else {}
        return Document(
            key=state.key,
            version=state.version,
            body=ObjectBody(BucketObject(self.bucket, state)),
            chunk_prefix=chunk_prefix(state.key, assignment.custom_id),
            other_prefix="" if said else other_prefix(self.settings.bucket, state.key),
            metadata={**assignment.metadata, **said, "bucket": self.settings.bucket, "object_key": state.key},
            changed_at=state.modified_at,
            again=partial(self.again, state.key, collection),
        )

    async def is_gone(self, key: str, collection: str, *, is_left: bool = False) -> bool:
        """Return whether `collection` should not hold `key` now. Checking this before a listing's deletes protects
        objects that appeared behind the listing's position; in a collection that is left, those that labels assign to it.
        """
        del is_left
        return await self.present(key, collection) is None

    async def unmet(self, label: Label, collection: str) -> Document | None:
        """Return a document that fails because its metadata file names an object that is not there, or None.

        It has the metadata file's key, and is reported again by every run that meets it until one of the two is mended.
        """
        belongs = (label.collection or self.settings.collection) == collection
        is_ours = bool(label.file_key) and label.path.startswith(self.settings.path_prefix)
        if not belongs or not is_ours or await self.present(label.path, collection) is not None:
            return None
        missing = PermanentError(
            f"metadata file {shown(label.file_key)} names {shown(label.path)}, which bucket {self.settings.bucket} does not "
            "hold: upload the object, or correct the file's path"
        )
        said = {"object_key": label.file_key}
        return Document(label.file_key, label.etag, NoBody(missing), label.file_key, metadata=said)

    def is_metadata_file(self, key: str) -> bool:
        """Return whether this source treats `key` as a metadata file; without auto-sync there are none."""
        return self.settings.auto_sync is not AutoSync.NONE and is_metadata_file(key)


def other_prefix(bucket: str, key: str) -> str:
    """Return the prefix of chunk ids of an object whose key another bucket has in the same collection."""
    return chunk_prefix(f"{bucket}/{key}")


def refused(key: str, version: str, error: PermanentError) -> Document:
    """Return a document that fails with `error`, so that it is counted and listed."""
    return Document(key, version, NoBody(error), key, metadata={"object_key": key})


def gone_object(key: str) -> Document:
    """Return the document that marks `key` as gone."""
    return Document(key, version="", body=None, chunk_prefix="")
