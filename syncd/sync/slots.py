"""How many attempts run at once: enough to be busy, and none of them in the way of the others. Pure.

Whole runs, runs over single objects and uploads have slots of their own. A source has at most half of them, and an attempt that
does not get on gives its slot back and goes on without: what one source waits for is nobody else's wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from syncd.model import Invocation, Upload
from syncd.sync.runner import Attempt
from syncd.sync.settings import SyncSettings


class SlotKind(Enum):
    """What has slots of its own."""

    WHOLE = "whole"
    OBJECT = "object"
    UPLOAD = "upload"


def slot_kind(invocation: Invocation) -> SlotKind:
    """Return the kind of an invocation's run."""
    if isinstance(invocation.request, Upload):
        return SlotKind.UPLOAD
    return SlotKind.OBJECT if invocation.request.is_object_run else SlotKind.WHOLE


def is_full(invocation: Invocation, running: Iterable[Attempt], settings: SyncSettings, now: float) -> bool:
    """Return whether the invocation has to wait for a slot; `now` is on the clock of `Attempt.moved_at`."""
    kind = slot_kind(invocation)
    limit = settings.runs if kind is SlotKind.WHOLE else settings.object_runs
    patience_s = settings.run_patience_s if kind is SlotKind.WHOLE else settings.object_patience_s
    alike = [attempt for attempt in running if slot_kind(attempt.invocation) is kind]
    own = sum(attempt.invocation.source_id == invocation.source_id for attempt in alike)
    moving = sum(now - attempt.moved_at < patience_s for attempt in alike)
    is_own_share = kind is not SlotKind.UPLOAD and own >= max(1, limit // 2)
    return is_own_share or own >= limit or moving >= limit
