"""In which collections an object belongs, and what is said of it there. Pure: a function of labels and settings.

- A metadata file places its object in the collection that it names, or in the source's own.
- An object that no metadata file speaks of belongs in the source's own collection, unless the source syncs by
  metadata files only.
- An invocation places its object in its target collection, whatever files say.
- Where several speak of one object in one collection the latest word counts; an invocation that gives neither a custom
  id nor metadata only places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from syncd.model import Metadata, Scalar
from syncd.sources.s3.label_store import Label
from syncd.sources.s3.settings import AutoSync, S3Settings


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is said of an object in one collection."""

    custom_id: str | None = None
    metadata: Metadata = field(default_factory=dict[str, Scalar])


def assignments(labels: Iterable[Label], settings: S3Settings) -> Mapping[str, Assignment]:
    """Return the collections of one object, given everything said of it and of every object."""
    placed: dict[str, list[Label]] = {}
    has_file = False
    for label in labels:
        if settings.auto_sync is AutoSync.METADATA and not label.path:
            continue
        has_file = has_file or bool(label.file_key)
        placed.setdefault(label.collection or settings.collection, []).append(label)
    if not has_file and settings.auto_sync is not AutoSync.METADATA:
        placed.setdefault(settings.collection, [])
    return {collection: _last_word(said) for collection, said in placed.items()}


def _last_word(labels: Iterable[Label]) -> Assignment:
    speaking = [label for label in labels if label.custom_id or label.metadata]
    if not speaking:
        return Assignment()
    last = max(speaking, key=lambda label: (label.said_at, label.file_key, label.path, label.collection))
    return Assignment(last.custom_id or None, last.metadata)
