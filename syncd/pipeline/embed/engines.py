"""The table of embedding engines: adding one is a row here and its module."""

from __future__ import annotations

from syncd.errors import ConfigError
from syncd.pipeline.embed.engine import AUTO, Engine, ModelRequest
from syncd.pipeline.embed.variant import REFERENCE

_FILES = "syncd.pipeline.embed.local"

ENGINES: tuple[Engine, ...] = (
    Engine("servers", "embedding servers", "syncd.pipeline.embed.remote", local=False),
    Engine(
        "ray",
        "a Ray cluster",
        "syncd.pipeline.ray.embedder",
        poolings=("mean", "cls", "last"),
        package="ray",
        local=False,
    ),
    Engine("static", "static vectors", _FILES, poolings=("static",), local=False),
    Engine(REFERENCE, "llama.cpp", _FILES, kernel="syncd.pipeline.embed.llama"),
    Engine(
        "torch",
        "PyTorch",
        _FILES,
        kernel="syncd.pipeline.embed.torch_qwen3",
        poolings=("last",),
        package="torch",
    ),
)
"""In the order they are preferred in; which of those with a kernel is the fastest is measured."""


def local_names() -> list[str]:
    """Return what `embedding.runtime` may name."""
    return [AUTO, *(engine.name for engine in ENGINES if engine.local)]


def engine_for(request: ModelRequest) -> Engine:
    """Return the engine that computes a model: the first of those it is configured for that can.

    Raises ConfigError, which says of each why it cannot.
    """
    wanted = request.options.runtime
    obstacles: list[str] = []
    for engine in ENGINES:
        if engine.local and wanted not in (AUTO, engine.name):
            continue
        if not (obstacle := engine.obstacle(request)):
            return engine
        if engine.local:
            obstacles.append(f"{engine.label}: {obstacle}")
    raise ConfigError(
        f"model {request.model.name}: runtime = {wanted!r} does not work here ({'; '.join(obstacles) or 'unknown runtime'}); "
        f"known are {', '.join(local_names())}"
    )


def rivals(runtime: str) -> list[Engine]:
    """Return the engines whose kernel may be taken in place of llama.cpp's where `runtime` is asked for."""
    return [
        engine for engine in ENGINES if engine.kernel and engine.name != REFERENCE and runtime in (AUTO, engine.name)
    ]


def kernel_engine(name: str) -> Engine:
    """Return the engine with a kernel that is called `name`. Raises KeyError when there is none."""
    return {engine.name: engine for engine in ENGINES if engine.kernel}[name]
