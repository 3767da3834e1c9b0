"""Parses SQS message bodies: the four forms of S3 notifications. Pure, and never raises on any text.

Shapes and names: Amazon S3 User Guide, "Event message structure" and "Using EventBridge"; an SNS topic in between wraps
the S3 shape in its own. MinIO and others send the S3 shape with the event's name prefixed by "s3:".
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote_plus

from syncd.json_types import Json, JsonObject, json_object
from syncd.sources.objects.events import Event, EventKind, Parsed, object_in, told_at, valid_text

MAX_WRAPS = 2
"""SNS wraps a notification once; deeper nesting is not a notification."""


def parse_message(body: str) -> Parsed:
    """Return the events in a queue's message; never raises."""
    message = object_in(body)
    for _ in range(MAX_WRAPS):
        if message is None or message.get("Type") != "Notification":
            break
        message = object_in(message.get("Message"))
    if message is None:
        return Parsed(note="the message is not a JSON object", poison=True)
    if message.get("Event") == "s3:TestEvent":
        return Parsed(note="test event of a new notification configuration")
    if message.get("Type") in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        # Its SubscribeURL comes from whoever may write to the queue: it is never fetched.
        return Parsed(note="an SNS topic asks to confirm its subscription; do that in the SNS console")
    if isinstance(records := message.get("Records"), list):
        return _from_records(records)
    if "detail-type" in message:
        return _from_eventbridge(message)
    return Parsed(note="the message is not an S3 notification in any known form", poison=True)


def _from_records(records: Sequence[Json]) -> Parsed:
    if not records:
        return Parsed(note="the notification contains no records")
    events = [_from_record(json_object(record)) for record in records]
    good = tuple(event for event in events if event)
    if len(good) < len(events):
        return Parsed(good, "a record lacks its bucket, key or name, or has an unknown major version", poison=True)
    return Parsed(good)


def _from_record(record: JsonObject) -> Event | None:
    s3 = json_object(record.get("s3"))
    item = json_object(s3.get("object"))
    bucket, key = valid_text(json_object(s3.get("bucket")).get("name")), valid_text(item.get("key"))
    name = valid_text(record.get("eventName")).removeprefix("s3:")
    version = str(record.get("eventVersion", "2.0"))
    if not (bucket and key and name) or version.partition(".")[0] != "2":
        return None
    # The key is form-encoded here (a space is '+') and only here; EventBridge sends it plain.
    plain_key = unquote_plus(key)
    return Event(
        bucket, plain_key, _kind(name), name, valid_text(item.get("sequencer")), told_at(record.get("eventTime"))
    )


def _from_eventbridge(message: JsonObject) -> Parsed:
    detail = json_object(message.get("detail"))
    item = json_object(detail.get("object"))
    bucket, key = valid_text(json_object(detail.get("bucket")).get("name")), valid_text(item.get("key"))
    name = valid_text(message.get("detail-type"))
    if message.get("source") != "aws.s3" or not (bucket and key and name):
        return Parsed(note="an EventBridge event that is not of S3, or lacks its bucket or key", poison=True)
    kind = _EVENTBRIDGE.get(name, EventKind.OTHER)
    if kind is EventKind.REMOVED and detail.get("deletion-type") == "Delete Marker Created":
        kind = EventKind.DELETE_MARKER
    if kind is EventKind.REMOVED and detail.get("reason") == "Lifecycle Expiration":
        kind = EventKind.EXPIRED
    event = Event(bucket, key, kind, name, valid_text(item.get("sequencer")), told_at(message.get("time")))
    return Parsed((event,))


_EVENTBRIDGE = {
    "Object Created": EventKind.CREATED,
    "Object Deleted": EventKind.REMOVED,
    "Object Restore Completed": EventKind.RESTORED,
}


def _kind(name: str) -> EventKind:
    group, _, action = name.partition(":")
    match group:
        case "ObjectCreated":
            return EventKind.CREATED
        case "ObjectRemoved":
            return EventKind.DELETE_MARKER if action == "DeleteMarkerCreated" else EventKind.REMOVED
        case "LifecycleExpiration":
            return EventKind.EXPIRED
        case "ObjectRestore" if action == "Completed":
            return EventKind.RESTORED
        case _:
            return EventKind.OTHER
