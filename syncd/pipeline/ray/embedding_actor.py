"""A worker that embeds: the local engine, which computes one model in a process of its own as the daemon does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from syncd.errors import ConfigError, PermanentError, PutOffError
from syncd.json_types import JsonObject
from syncd.model import Embedder
from syncd.pipeline.embed.engine import EngineOptions
from syncd.pipeline.embed.local import open_embedder
from syncd.pipeline.ray.actor import RayActor
from syncd.pipeline.ray.order import EmbeddingOrder, runtime_versions


class EmbeddingActor(RayActor):
    """Computes the model of one order."""

    def __init__(self) -> None:
        super().__init__()
        self._embedder: Embedder | None = None

    @override
    def begin(self, work: EmbeddingOrder) -> tuple[JsonObject, bytes]:
        """Load the model, and return what identifies it, with the vectors of the order's known texts."""
        path = work.options.path and path_on_this_node(work.options.path, work.folder)
        options = _with_cards(replace(work.options, path=path))
        embedder = self.enter(open_embedder(work.model, work.folder, options))
        self._embedder = embedder
        rows = self.awaited(embedder.embed(work.texts, "document")).vectors
        facts = {"versions": dict(runtime_versions()), "path": str(embedder.path), "fingerprint": embedder.fingerprint}
        return facts, rows.tobytes()

    @override
    def answer(self, request: Mapping[str, Any], payload: bytes) -> tuple[JsonObject, bytes]:
        """Return for each text of `texts` how many `tokens` it has, and its vector; for those that cannot be embedded zeros, and in
        `errors`, by its number, why, and whether it may pass.
        """
        assert self._embedder is not None
        found = self.awaited(_each(self._embedder, request["texts"]))
        errors = {str(number): error for number, (_, _, error) in enumerate(found) if error}
        rows = np.stack([row for row, _, _ in found])
        return {"tokens": [tokens for _, tokens, _ in found], "errors": errors}, rows.tobytes()


async def _each(embedder: Embedder, texts: Sequence[str]) -> list[tuple[Any, int, list[Any]]]:
    return await asyncio.gather(*(_alone(embedder, text) for text in texts))


async def _alone(embedder: Embedder, text: str) -> tuple[Any, int, list[Any]]:
    try:
        found = await embedder.embed([text], "document")
    except PermanentError as error:
        return np.zeros(embedder.dimensions, dtype=np.float32), 0, [str(error), isinstance(error, PutOffError)]
    return found.vectors[0], found.tokens, []


def path_on_this_node(path: Path, folder: Path) -> Path:
    """Return where a model's own `path` is here: there, or else in `folder` by its name. Raises ConfigError where it is at neither.

    There first: several models' files may have one name, as `model.gguf`, and a folder holds one of them.
    """
    places = (path, folder / path.name)
    found = next((place for place in places if os.access(place, os.R_OK)), None)
    if found is None:
        raise ConfigError(
            f"it can read no {' and no '.join(map(str, places))}; put the model's file at one of them there"
        )
    return found


def _with_cards(options: EngineOptions) -> EngineOptions:
    """Return the options with the cards that Ray has given this worker, as the model's process counts them."""
    import ray

    context: Any = ray.get_runtime_context()
    cards = tuple(int(number) for number in context.get_accelerator_ids().get("GPU", ()))
    return replace(options, devices=cards) if cards else replace(options, device="cpu", devices=())
