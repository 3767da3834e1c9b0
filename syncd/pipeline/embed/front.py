"""The side of an embedder that callers see: texts get their prompt, wait in the mailbox, and come back as vectors."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import anyio
import numpy as np
from numpy.typing import NDArray

from syncd.errors import PermanentError
from syncd.model import Embedded, EmbeddingTask, Role
from syncd.pipeline.embed.catalog import EmbeddingModel
from syncd.pipeline.embed.engine import EngineEmbedder
from syncd.runtime.mailbox import Envelope, Mailbox, Reply


@dataclass(frozen=True, slots=True)
class EmbeddedText:
    """One text's unit vector and the tokens it cost."""

    vector: NDArray[np.float32]
    tokens: int


EmbeddingWork = Envelope[str, EmbeddedText]
E = TypeVar("E", bound=EngineEmbedder)


async def embed_through(
    mailbox: Mailbox[str, EmbeddedText],
    model: EmbeddingModel,
    texts: Sequence[str],
    role: Role,
    task: EmbeddingTask | None,
    *,
    urgent: bool = False,
) -> Embedded:
    """Embed `texts` as `Embedder.embed` promises, through the actor that serves `mailbox`.

    Waits for room and its turn.
    """
    for number, text in enumerate(texts):
        if not text:
            raise PermanentError(f"text {number + 1} of {len(texts)} is empty and has no vector")
    is_urgent = urgent or role == "query"
    replies = [await mailbox.put(prompted(model, text, role, task), urgent=is_urgent) for text in texts]
    found = [await _named(reply, number) for number, reply in enumerate(replies)]
    if not found:
        return Embedded(np.empty((0, model.dimensions), dtype=np.float32), 0)
    return Embedded(np.stack([each.vector for each in found]), sum(each.tokens for each in found))


def prompted(model: EmbeddingModel, text: str, role: Role, task: EmbeddingTask | None) -> str:
    """Return what the model sees: the role's prompt and the text, in NFC. llama.cpp does not normalise, models were trained so."""
    return unicodedata.normalize("NFC", model.prompted(text, role, task))


async def _named(reply: Reply[EmbeddedText], number: int) -> EmbeddedText:
    try:
        return await reply
    except PermanentError as error:
        raise type(error)(f"text {number + 1}: {error}") from error


@asynccontextmanager
async def running(embedder: E) -> AsyncGenerator[E]:
    """Run an embedder until the block ends, for those who have no supervisor. Waits until it serves."""
    async with anyio.create_task_group() as tasks:
        await tasks.start(embedder.run)
        try:
            yield embedder
        finally:
            tasks.cancel_scope.cancel()
