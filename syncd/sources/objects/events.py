"""What events of object stores say, whoever sends them: a key has to be checked. Pure; each service's own module reads its messages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from syncd.json_types import Json, JsonObject


class EventKind(StrEnum):
    """What happened according to the event. Every kind leads to the same check of the key; it is used only in messages."""

    CREATED = "created"
    REMOVED = "removed"
    DELETE_MARKER = "delete_marker"
    EXPIRED = "expired"
    RESTORED = "restored"
    MOVED = "moved"
    OTHER = "other"
    """Tags, access lists, replication, storage class: what is indexed cannot have changed."""


@dataclass(frozen=True, slots=True)
class Event:
    """One key of one bucket that has to be checked."""

    bucket: str
    """The bucket or container as the sources of the service call it."""
    key: str
    """'': any of the bucket's keys, such as those below a directory."""
    kind: EventKind
    name: str
    """The event's name as sent."""
    sequencer: str = ""
    """Tells events of one key apart. '' if the sender gives none."""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message's events, or the reason it has none. `poison`: it can never be processed."""

    events: tuple[Event, ...] = ()
    note: str = ""
    poison: bool = False


def json_in(text: Json) -> Json:
    """Return what a text holds as JSON, None where it is no text or holds none."""
    if not isinstance(text, str):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def object_in(text: Json) -> JsonObject | None:
    """Return the JSON object that a text holds, None where it holds none."""
    value = json_in(text)
    return value if isinstance(value, dict) else None


def valid_text(value: Json) -> str:
    """Return `value` if it is valid text. JSON can encode lone surrogates, which no key contains and no database stores."""
    if not isinstance(value, str):
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:
        return ""
    return value


def told_at(value: Json) -> datetime | None:
    """Return a moment in ISO 8601 with its time zone, None for anything else."""
    try:
        moment = datetime.fromisoformat(valid_text(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
