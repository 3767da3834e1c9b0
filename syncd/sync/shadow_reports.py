"""What is told of shadows: how far they are, and how searches of them compare with those of the collections that answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self

from syncd.json_types import JsonObject
from syncd.model import Comparison, Target, WayFigures
from syncd.store import Store
from syncd.store.shadow_rows import Shadow, ShadowState
from syncd.store.shadows import Built


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """Why a shadow does not take the place of the one that answers by itself, or ''; and the figures of both, that one's first."""

    refusal: str
    questions: int
    figures: Sequence[WayFigures]

    @classmethod
    def of(cls, comparison: Comparison, built: Built, max_loss: float) -> Self:
        """Return what is to be told of a complete shadow."""
        refusal = ""
        if 1.0 - built.share > max_loss:
            refusal = f"it lacks {built.missing} of {built.documents} documents"
        elif comparison.loss > max_loss:
            before, after = comparison.decisive
            refusal = f"nDCG of what is read of hybrid searches falls from {before:.3f} to {after:.3f}"
        allowed = f", and search.max_quality_loss allows {max_loss:.0%}"
        return cls(refusal and refusal + allowed, comparison.questions, comparison.figures)


def report_json(report: ShadowReport) -> str:
    """Return a report as it is stored."""
    return json.dumps(asdict(report))


async def shadow_views(
    store: Store, blocked: Mapping[Target, str], waiting: Mapping[int, str], keep_s: float
) -> list[JsonObject]:
    """Return what the status says of every shadow (`waiting`: why it is not gone on with, by its id), and of collections that can have
    none.
    """
    views = [
        await _view(store, shadow, waiting.get(shadow.collection_id, ""), keep_s)
        for shadow in await store.shadows.all()
    ]
    views += [
        {"database_name": target.database, "collection_name": target.collection, "state": "blocked", "reason": reason}
        for target, reason in blocked.items()
    ]
    return views


async def _view(store: Store, shadow: Shadow, waits_for: str, keep_s: float) -> JsonObject:
    report: JsonObject = json.loads(shadow.report or "{}")
    view: JsonObject = {
        "database_name": shadow.live.database,
        "collection_name": shadow.live.collection,
        "shadow_name": shadow.target.collection,
        "state": shadow.state.value,
        "reason": waits_for if shadow.state is ShadowState.BUILDING else report.get("refusal", ""),
        "questions": report.get("questions", 0),
        "figures": report.get("figures", []),
    }
    if shadow.state is ShadowState.FORMER:
        return {**view, "kept_until": shadow.since + keep_s}
    built = await store.shadows.built(shadow, await store.shadows.sources_of(shadow.live_id))
    return {**view, "built": round(built.share, 4)}
