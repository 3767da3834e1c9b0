"""Reads what Event Grid puts into a storage queue: an event in its own schema or as a CloudEvent, as plain JSON or in base64.

Sources: Azure Event Grid, "Azure Blob Storage as an Event Grid source", "CloudEvents v1.0 schema with Azure Event Grid"; Azure Storage,
"Put Message" (libraries encode messages in base64 unless they are told otherwise).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from syncd.json_types import Json, JsonObject, json_object
from syncd.sources.objects.events import Event, EventKind, Parsed, json_in, told_at, valid_text

_SUBJECT = re.compile(r"/blobServices/default/containers/(?P<container>[^/]+)(?:/blobs/(?P<key>.+))?", re.DOTALL)
_ACCOUNT = re.compile(r"/storageAccounts/(?P<account>[^/]+)", re.IGNORECASE)
_BLOBS = {
    "Microsoft.Storage.BlobCreated": EventKind.CREATED,
    "Microsoft.Storage.BlobDeleted": EventKind.REMOVED,
    "Microsoft.Storage.BlobRenamed": EventKind.MOVED,
    "Microsoft.Storage.BlobTierChanged": EventKind.RESTORED,
}
_DIRECTORIES = {
    "Microsoft.Storage.DirectoryDeleted": EventKind.REMOVED,
    "Microsoft.Storage.DirectoryRenamed": EventKind.MOVED,
}
"""Of accounts with a hierarchical namespace. There is one event for all that is in a directory."""


def read_event_grid(body: str) -> Parsed:
    """Return the events in a queue's message; never raises."""
    found = json_in(decoded_message(body))
    told = found if isinstance(found, list) else [found]
    if not told or not all(isinstance(one, dict) for one in told):
        return Parsed(note="the message is not an event of Event Grid in JSON", poison=True)
    events: list[Event] = []
    for one in map(json_object, told):
        name = valid_text(one.get("eventType")) or valid_text(one.get("type"))
        if not name:
            return Parsed(tuple(events), "the message is not an event of Event Grid in any known form", poison=True)
        if name not in _BLOBS and name not in _DIRECTORIES:
            continue
        account, container = _place(one)
        if not account or not container:
            return Parsed(tuple(events), "an event lacks its account or container", poison=True)
        events += _events(one, name, f"{account}/{container}")
    return Parsed(tuple(events), "" if events else "the message is about nothing that is indexed")


def decoded_message(body: str) -> str:
    """Return a message's text, decoded where it is base64."""
    if body.lstrip()[:1] in ("{", "["):
        return body
    try:
        return base64.b64decode(body, validate=True).decode()
    except (binascii.Error, ValueError):
        return body


def _events(told: JsonObject, name: str, bucket: str) -> Iterator[Event]:
    data = json_object(told.get("data"))
    at, sequencer = told_at(told.get("eventTime") or told.get("time")), valid_text(data.get("sequencer"))
    if name in _DIRECTORIES:
        yield Event(bucket, "", _DIRECTORIES[name], name, sequencer, at)
        return
    for key in sorted(_keys(told, data)):
        yield Event(bucket, key, _BLOBS[name], name, sequencer, at)


def _keys(told: JsonObject, data: JsonObject) -> set[str]:
    """Return every key that the event may mean: a key too many is one that is not there.

    The subject has the name as it is. A name in an address may be encoded or not: it is where that gives the subject's.
    """
    subject = _SUBJECT.fullmatch(valid_text(told.get("subject")))
    named = (subject["key"] if subject else None) or ""
    keys = {named}
    for address in ("url", "sourceUrl", "destinationUrl"):
        path = _path(data.get(address)).split("/", 2)
        if len(path) == 3 and subject and path[1] == subject["container"]:
            decoded = unquote(path[2])
            keys |= {decoded} if decoded == named else {path[2], decoded}
    return keys - {""}


def _place(told: JsonObject) -> tuple[str, str]:
    subject = _SUBJECT.fullmatch(valid_text(told.get("subject")))
    topic = _ACCOUNT.search(valid_text(told.get("topic")) or valid_text(told.get("source")))
    return topic["account"].lower() if topic else "", subject["container"] if subject else ""


def _path(address: Json) -> str:
    try:
        return urlsplit(valid_text(address)).path
    except ValueError:
        return ""
