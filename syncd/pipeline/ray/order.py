"""What is asked of a cluster: the daemon's wishes as one command-line argument, and what a worker says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pydantic import TypeAdapter

from syncd import __version__
from syncd.pipeline.embed.catalog import EmbeddingModel
from syncd.pipeline.embed.engine import Cluster, EngineOptions
from syncd.pipeline.prepare.process import PREPARE_WORKER_MODULE, PreparerSettings


@dataclass(frozen=True, slots=True)
class EmbeddingOrder:
    """One model to embed with. `texts` are known ones, which each worker computes when it starts; they have their
    prompts, as all texts that travel. `folder` and `options` count on the workers.
    """

    model: EmbeddingModel
    folder: Path
    options: EngineOptions
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreparingOrder:
    """Documents to prepare, with `settings`. `module` is what the jailed processes run."""

    settings: PreparerSettings
    module: str = PREPARE_WORKER_MODULE


@dataclass(frozen=True, slots=True)
class Order:
    """What workers of one kind are to do, and where."""

    cluster: Cluster
    work: EmbeddingOrder | PreparingOrder

    def to_json(self) -> str:
        """Return it as one command-line argument."""
        return _ORDERS.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Order:
        """Return what `to_json` wrote."""
        return _ORDERS.validate_json(text)


_NAMED = 5
_ORDERS = TypeAdapter(Order)


def runtime_versions() -> dict[str, str]:
    """Return the versions of what decides a text's tokens and vector here, by package."""
    return {"syncd": __version__, "llama-cpp-python": version("llama-cpp-python")}


def version_difference(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """Return in which versions a worker differs from this daemon, and what to do about it; '' where it does not."""
    packages = [name for name in sorted(theirs.keys() | ours.keys()) if theirs.get(name) != ours.get(name)]
    if not packages:
        return ""
    has, wanted = (
        ", ".join(f"{name} {versions.get(name, 'none')}" for name in packages[:_NAMED]) for versions in (theirs, ours)
    )
    more = f" (and {len(packages) - _NAMED} other packages)" if len(packages) > _NAMED else ""
    return f"it has {has}, this daemon {wanted}{more}; install the same there"
