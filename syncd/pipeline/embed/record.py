"""The reference vectors that a model's servers must reproduce: vectors of known texts, with the fingerprint of their origin.

The record is made once and kept in the model folder. Where the model's file is on this machine, it is computed here, and
moving to servers changes no fingerprint: what is indexed stays. Elsewhere it is what the servers answer at first
contact, if they all agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import aiohttp
import numpy as np

from syncd.errors import ConfigError, PermanentError, RetryableError
from syncd.model import Vectors
from syncd.pipeline.embed.catalog import EmbeddingModel
from syncd.pipeline.embed.files import read_cached_json, update_json
from syncd.pipeline.embed.servers import Server, ask
from syncd.pipeline.embed.variant import PROBE_TEXTS

SAME_MODEL_COSINE = 0.99
"""Quantised to 8 bits and computed elsewhere a model's vectors stay above 0.998; another model's are far below."""
_RECORDS = "remote.json"


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """`vectors` are the unit vectors of PROBE_TEXTS."""

    fingerprint: str
    vectors: Vectors

    def nearness(self, vectors: Vectors) -> float:
        """Return the smallest cosine between `vectors` of the last of PROBE_TEXTS and the record's; 0 for other lengths."""
        mine = self.vectors[-len(vectors) :]
        return float(np.min(np.sum(mine * vectors, axis=1))) if mine.shape == vectors.shape else 0.0


async def find_record(
    model: EmbeddingModel,
    servers: Sequence[Server],
    folder: Path,
    session: aiohttp.ClientSession,
    local: Callable[[], Awaitable[ModelRecord | None]] | None = None,
) -> ModelRecord:
    """Return the record of `model`; the first time, make it from `local` or else from all servers that answer.

    Raises RetryableError when no server answers, PermanentError when they differ, ConfigError when the vectors have
    another length than the model's.
    """
    if not servers:
        raise ConfigError(f"model {model.name} has no servers; give it at least one url")
    known = read_cached_json(folder / _RECORDS).get(model.name)
    if known is not None:
        record = ModelRecord(known["fingerprint"], np.array(known["vectors"], dtype=np.float32))
    else:
        record = (await local() if local else None) or await _agreed(model, servers, session)
        entry = {"fingerprint": record.fingerprint, "vectors": record.vectors.tolist()}
        update_json(folder / _RECORDS, lambda values: {**values, model.name: entry})
    if record.vectors.shape != (len(PROBE_TEXTS), model.dimensions):
        raise ConfigError(
            f"{servers[0].url} gives {record.vectors.shape[-1]} dimensions, model {model.name} has {model.dimensions}"
        )
    return record


def forget_record(name: str, folder: Path) -> None:
    """Delete a model's reference vectors; what its servers compute next becomes the reference. Twice is safe."""
    update_json(folder / _RECORDS, lambda values: {known: value for known, value in values.items() if known != name})


async def _agreed(model: EmbeddingModel, servers: Sequence[Server], session: aiohttp.ClientSession) -> ModelRecord:
    answers: list[tuple[Server, ModelRecord]] = []
    failures: list[str] = []
    for server in servers:
        try:
            vectors = (await ask(session, server, PROBE_TEXTS)).vectors
        except (RetryableError, PermanentError) as error:
            failures.append(str(error))
            continue
        if np.isfinite(vectors).all():
            digest = hashlib.sha256(vectors.tobytes()).hexdigest()
            answers.append((server, ModelRecord(f"{model.name}:remote:{digest}", vectors)))
        else:
            failures.append(f"{server.url} gives vectors that are zero or not finite")
    if not answers:
        raise RetryableError("; ".join(failures))
    for (one, mine), (other, theirs) in combinations(answers, 2):
        if (cosine := mine.nearness(theirs.vectors)) < SAME_MODEL_COSINE:
            raise PermanentError(
                f"{one.url} and {other.url} compute different vectors (cosine {cosine:.3f}): make both serve {model.name}"
            )
    return answers[0][1]
