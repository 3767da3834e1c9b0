"""Reads what a bucket of Google Cloud Storage publishes: attributes say what happened to which object.

Source: Google Cloud Storage, "Pub/Sub notifications for Cloud Storage".
"""

from __future__ import annotations

from syncd.json_types import json_object
from syncd.sources.objects.events import Event, EventKind, Parsed, object_in, told_at, valid_text

_KINDS = {
    "OBJECT_FINALIZE": EventKind.CREATED,
    "OBJECT_DELETE": EventKind.REMOVED,
    "OBJECT_ARCHIVE": EventKind.REMOVED,
}
"""An overwritten object leads to an event of the old generation too, with `overwrittenByGeneration`; both say: check the key."""


def read_notification(body: str) -> Parsed:
    """Return the event in a message of Pub/Sub, given as JSON; never raises."""
    message = object_in(body) or {}
    told = json_object(message.get("attributes"))
    name, bucket, key = (valid_text(told.get(part)) for part in ("eventType", "bucketId", "objectId"))
    if not (name and bucket and key):
        return Parsed(
            note="the message is no notification of Cloud Storage: it lacks eventType, bucketId or objectId",
            poison=True,
        )
    kind = _KINDS.get(name, EventKind.OTHER)
    generation, at = valid_text(told.get("objectGeneration")), told_at(told.get("eventTime"))
    return Parsed((Event(f"gs://{bucket}", key, kind, name, generation, at),))
