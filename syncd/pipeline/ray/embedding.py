"""Embedding as a kind of work for a cluster's workers: who may do it, and how texts reach them, in batches of half a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import anyio
import numpy as np

from syncd.errors import PermanentError, PutOffError
from syncd.model import Vectors
from syncd.pipeline.embed.front import EmbeddedText, EmbeddingWork
from syncd.pipeline.embed.probe import cosine
from syncd.pipeline.embed.record import SAME_MODEL_COSINE
from syncd.pipeline.ray.order import Order, runtime_versions, version_difference
from syncd.pipeline.ray.workers import RayWorker
from syncd.runtime.frames import Frame
from syncd.runtime.mailbox import Mailbox, settling

_CALL_S = 0.5
"""So long a batch may take: many times the few milliseconds of its way, and little that is left when other workers have nothing."""
_LEAST_BYTES, _MOST_BYTES = 2 << 10, 16 << 10
"""Of text: what a core computes at a time, and some share of what the daemon's queue has under way."""
_IN_FLIGHT = 2
"""Batches that a worker has at once: it computes one while another travels."""


@dataclass(slots=True)
class EmbeddingKind:
    """The texts of one model. `reference` are the vectors that this machine computes of the order's."""

    name: str
    order: Order
    fingerprint: str
    reference: Vectors
    mailbox: Mailbox[str, EmbeddedText]

    @property
    def mailboxes(self) -> tuple[Mailbox[str, EmbeddedText], ...]:
        """Where texts wait."""
        return (self.mailbox,)

    def objection(self, facts: Mapping[str, Any], payload: bytes) -> str:
        """Return why a worker does not compute what this machine does, '' if it does."""
        if different := version_difference(facts["versions"], runtime_versions()):
            return different
        if facts["fingerprint"] != self.fingerprint:
            prints = f"{facts['fingerprint']}, not {self.fingerprint}"
            return f"its {facts['path']} is another file of the model ({prints}); copy this machine's there"
        rows = np.frombuffer(payload, dtype=np.float32).reshape(self.reference.shape)
        if not (near := cosine(self.reference, rows)) >= SAME_MODEL_COSINE:
            return (
                f"it computes other vectors of known texts (cosine {near:.3f}); see the README about llama.cpp's builds"
            )
        return ""

    async def serve(self, worker: RayWorker) -> None:
        """Have it embed what waits, for ever. Raises a group of RetryableError when it cannot any more."""
        async with anyio.create_task_group() as tasks:
            for _ in range(_IN_FLIGHT):
                tasks.start_soon(self._work, worker)

    async def _work(self, worker: RayWorker) -> None:
        room = _LEAST_BYTES
        while True:
            work = await self.mailbox.take_many(room, weight=len)
            with settling(work):
                texts, begin = [each.message for each in work], monotonic()
                _settle(work, await worker.ask({"texts": texts}))
                in_time = sum(map(len, texts)) / (monotonic() - begin) * _CALL_S
                room = int(min(max(in_time, _LEAST_BYTES), _MOST_BYTES))


def _settle(work: list[EmbeddingWork], answer: Frame) -> None:
    rows = np.frombuffer(answer.payload, dtype=np.float32).reshape(len(work), -1)
    errors: Mapping[str, tuple[str, bool]] = answer.header["errors"]
    for number, (each, row, tokens) in enumerate(zip(work, rows, answer.header["tokens"], strict=True)):
        if (error := errors.get(str(number))) is None:
            each.reply.settle(EmbeddedText(row, tokens))
        else:
            reason, may_pass = error
            each.reply.fail((PutOffError if may_pass else PermanentError)(reason))
