"""How many attempts run at once: enough to be busy, and none of them in the way of the others. Pure.

Whole runs, runs over single objects and uploads have slots of their own. A source has at most half of them, and an attempt that
does not get on gives its slot back and goes on without: what one source waits for is nobody else's wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syncd.model import Invocation, SlotKind, Upload
from syncd.sync.runner import Attempt
from syncd.sync.settings import SyncSettings


def slot_kind(invocation: Invocation) -> SlotKind:
    """Return the kind of an invocation's run."""
    if isinstance(invocation.request, Upload):
        return SlotKind.UPLOAD
    return SlotKind.OBJECT if invocation.request.is_object_run else SlotKind.WHOLE


def free_kinds(running: Iterable[Attempt], settings: SyncSettings, now: float) -> Sequence[SlotKind]:
    """Return the kinds with a free slot; `now` is on the clock of `Attempt.moved_at`."""
    moving = [
        kind
        for attempt in running
        if now - attempt.moved_at < _patience_s(kind := slot_kind(attempt.invocation), settings)
    ]
    return [kind for kind in SlotKind if moving.count(kind) < _limit(kind, settings)]


def has_its_share(invocation: Invocation, running: Iterable[Attempt], settings: SyncSettings) -> bool:
    """Return whether the invocation's source has as many attempts of its kind as it may have."""
    kind = slot_kind(invocation)
    own = sum(
        slot_kind(attempt.invocation) is kind and attempt.invocation.source_id == invocation.source_id
        for attempt in running
    )
    limit = _limit(kind, settings)
    return own >= (limit if kind is SlotKind.UPLOAD else max(1, limit // 2))


def _limit(kind: SlotKind, settings: SyncSettings) -> int:
    return settings.runs if kind is SlotKind.WHOLE else settings.object_runs


def _patience_s(kind: SlotKind, settings: SyncSettings) -> float:
    return settings.run_patience_s if kind is SlotKind.WHOLE else settings.object_patience_s
