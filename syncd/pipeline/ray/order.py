"""What is asked of a cluster: the daemon's wishes as one command-line argument, and what a worker says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pydantic import TypeAdapter

from syncd import __version__
from syncd.pipeline.embed.catalog import EmbeddingModel
from syncd.pipeline.embed.engine import Cluster, EngineOptions


@dataclass(frozen=True, slots=True)
class Order:
    """One model to embed with on a cluster. `texts` are known ones, which each worker computes when it starts; they have their
    prompts, as all texts that travel. `folder` and `options` count on the workers.
    """

    cluster: Cluster
    model: EmbeddingModel
    folder: Path
    options: EngineOptions
    texts: tuple[str, ...]

    def to_json(self) -> str:
        """Return it as one command-line argument."""
        return _ORDERS.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Order:
        """Return what `to_json` wrote."""
        return _ORDERS.validate_json(text)


_ORDERS = TypeAdapter(Order)


def runtime_versions() -> dict[str, str]:
    """Return the versions of what decides a text's tokens and vector here, by package."""
    return {"syncd": __version__, "llama-cpp-python": version("llama-cpp-python")}
