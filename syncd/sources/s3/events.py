"""Parses SQS message bodies: the four forms of S3 notifications. Pure, and never raises on any text.

Shapes and names: Amazon S3 User Guide, "Event message structure" and "Using EventBridge"; an SNS topic in between wraps
the S3 shape in its own. MinIO and others send the S3 shape with the event's name prefixed by "s3:".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import unquote_plus

from syncd.json_types import Json, JsonObject, json_object

MAX_WRAPS = 2
"""SNS wraps a notification once; deeper nesting is not a notification."""


class EventKind(StrEnum):
    """What happened according to the event. Every kind leads to the same check of the key; it is used only in messages."""

    CREATED = "created"
    REMOVED = "removed"
    DELETE_MARKER = "delete_marker"
    EXPIRED = "expired"
    RESTORED = "restored"
    OTHER = "other"
    """Tags, access lists, replication, storage class: what is indexed cannot have changed."""


@dataclass(frozen=True, slots=True)
class Event:
    """One key of one bucket that has to be checked."""

    bucket: str
    key: str
    kind: EventKind
    name: str
    """The event's name as sent."""
    sequencer: str = ""
    """Hexadecimal; orders events of one key. '' if the sender gives none."""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message's events, or the reason it has none. `poison`: it can never be processed."""

    events: tuple[Event, ...] = ()
    note: str = ""
    poison: bool = False


def parse_message(body: str) -> Parsed:
    """Return the events in a queue's message; never raises."""
    message = _wrapped(body)
    for _ in range(MAX_WRAPS):
        if message is None or message.get("Type") != "Notification":
            break
        message = _wrapped(message.get("Message"))
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
    bucket, key = _text(json_object(s3.get("bucket")).get("name")), _text(item.get("key"))
    name = _text(record.get("eventName")).removeprefix("s3:")
    version = str(record.get("eventVersion", "2.0"))
    if not (bucket and key and name) or version.partition(".")[0] != "2":
        return None
    # The key is form-encoded here (a space is '+') and only here; EventBridge sends it plain.
    plain_key = unquote_plus(key)
    return Event(bucket, plain_key, _kind(name), name, _text(item.get("sequencer")), _moment(record.get("eventTime")))


def _from_eventbridge(message: JsonObject) -> Parsed:
    detail = json_object(message.get("detail"))
    item = json_object(detail.get("object"))
    bucket, key = _text(json_object(detail.get("bucket")).get("name")), _text(item.get("key"))
    name = _text(message.get("detail-type"))
    if message.get("source") != "aws.s3" or not (bucket and key and name):
        return Parsed(note="an EventBridge event that is not of S3, or lacks its bucket or key", poison=True)
    kind = _EVENTBRIDGE.get(name, EventKind.OTHER)
    if kind is EventKind.REMOVED and detail.get("deletion-type") == "Delete Marker Created":
        kind = EventKind.DELETE_MARKER
    if kind is EventKind.REMOVED and detail.get("reason") == "Lifecycle Expiration":
        kind = EventKind.EXPIRED
    event = Event(bucket, key, kind, name, _text(item.get("sequencer")), _moment(message.get("time")))
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


def _wrapped(text: Json) -> JsonObject | None:
    if not isinstance(text, str):
        return None
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(value: Json) -> str:
    """Return `value` if it is valid text. JSON can encode lone surrogates, which no key contains and no database stores."""
    if not isinstance(value, str):
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:
        return ""
    return value


def _moment(value: Json) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
