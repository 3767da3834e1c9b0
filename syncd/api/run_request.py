"""Turns payloads into requests, checked against what the source's type supports. All raise RefusedError or PermanentError (400)."""

from __future__ import annotations

from dataclasses import replace

from syncd.api.errors import bad_request
from syncd.api.schema_jobs import CreateJobPayload, GitRefIdentifier
from syncd.chroma.naming import check_collection, check_custom_id, check_metadata, check_object_key
from syncd.model import GitRef, OneObject, SourceRecord, SourceSettings, WholeSource
from syncd.sources.git.naming import check_branch, check_sha
from syncd.sources.type import ObjectRules, SourceTypes

OBJECT_FIELDS = ("object_key", "custom_id", "metadata")


def asked_of(types: SourceTypes, source: SourceRecord, payload: CreateJobPayload) -> WholeSource | OneObject:
    """Return the request that `payload` describes, if the source's type supports it."""
    if source.facts.no_runs:
        raise bad_request(source.facts.no_runs)
    if payload.ref_identifier is not None and not source.facts.accepts_ref:
        accepting = [known.name for known in types if known.facts.accepts_ref]
        raise bad_request(f"ref_identifier is for {' and '.join(accepting)} sources only; leave it out")
    if payload.backfill and not source.facts.backfills:
        raise bad_request("backfill is for sources of objects only; leave it out: a run covers the whole source")
    if objects := types[source.type].objects:
        return _asked_object(objects, source, payload)
    for name in OBJECT_FIELDS:
        if getattr(payload, name) is not None:
            accepting = [known.name for known in types if known.objects]
            raise bad_request(f"{name} is for {' and '.join(accepting)} sources only; leave it out")
    return WholeSource(ref=_ref(payload.ref_identifier) if payload.ref_identifier else None)


def of_watched_branch(source: SourceRecord, asked: WholeSource | OneObject) -> WholeSource | OneObject:
    """Return the request for a collection that the source keeps in sync: of its watched branch, unless it names a ref."""
    branch = source.settings.watch and source.settings.watch.branch
    if not branch or isinstance(asked, OneObject) or asked.ref:
        return asked
    return replace(asked, ref=GitRef(branch=branch))


def _asked_object(
    objects: ObjectRules[SourceSettings], source: SourceRecord, payload: CreateJobPayload
) -> WholeSource | OneObject:
    if payload.object_key is None:
        if payload.custom_id is not None or payload.metadata:
            raise bad_request("custom_id and metadata belong to one object; give its object_key")
        if not payload.backfill and not payload.dry_run:
            raise bad_request(f'object_key is required for {source.type} sources; for all objects say "backfill": true')
        return WholeSource()
    if payload.backfill:
        raise bad_request("backfill is for all objects; give it or object_key, not both")
    return OneObject(
        check_object_key(payload.object_key, objects.prefix(source.settings)),
        check_custom_id(payload.custom_id) if payload.custom_id is not None else None,
        check_metadata(payload.metadata, objects.is_reserved) if payload.metadata else None,
    )


def dry(source: SourceRecord, asked: WholeSource | OneObject) -> WholeSource:
    """Return the request of a dry run, if the source's type supports it."""
    if source.facts.no_dry_run:
        raise bad_request(source.facts.no_dry_run)
    if isinstance(asked, OneObject):
        raise bad_request("dry_run covers a whole source; omit object_key")
    return replace(asked, dry_run=True)


def _ref(given: GitRefIdentifier) -> GitRef:
    if given.sha is not None:
        return GitRef(sha=check_sha(given.sha))
    return GitRef(branch=check_branch(given.branch or ""))


def collection_of(source: SourceRecord, payload: CreateJobPayload) -> str:
    """Return the collection to write to: the one named in the payload, or the source's own."""
    name = payload.target_collection_name
    if name is None and source.facts.has_own_collection:
        name = source.settings.collection_name
    if name is None:
        raise bad_request(f"target_collection_name is required for {source.type} sources")
    return check_collection(name)
