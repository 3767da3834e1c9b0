"""Decides in which collections an object belongs, and with which metadata. Pure: a function of labels and settings.

- A metadata file places its object in the collection that it names, or in the source's own.
- An object that no metadata file describes belongs in the source's own collection, unless the source syncs by
  metadata files only.
- An invocation places its object in its target collection, whatever the files say.
- If several describe one object in one collection the latest one wins; an invocation with neither a custom
  id nor metadata only places the object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from syncd.model import Metadata, Scalar
from syncd.sources.s3.label_store import Label
from syncd.sources.s3.settings import AutoSync, S3Settings


@dataclass(frozen=True, slots=True)
class Assignment:
    """An object's custom id and metadata in one collection."""

    custom_id: str | None = None
    metadata: Metadata = field(default_factory=dict[str, Scalar])


def assignments(labels: Iterable[Label], settings: S3Settings) -> Mapping[str, Assignment]:
    """Return one object's assignment by collection, given its own labels and those of every object."""
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
