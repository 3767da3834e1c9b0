"""What an embedding engine is: a row in the table of `engines`, and a module that makes embedders.

`EngineModule` is what the row's module defines. An engine that computes the same GGUF files as llama.cpp shares the
module `local` and brings only a `KernelModule`, which runs in the model's own process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from syncd.model import Embedder, Vectors
from syncd.pipeline.embed.variant import Device, Pooling, RunSettings
from syncd.pipeline.embed.windows import TokenIds
from syncd.runtime.actor import Actor

if TYPE_CHECKING:
    from syncd.pipeline.embed.catalog import EmbeddingModel
    from syncd.pipeline.embed.llama import LlamaModel
    from syncd.pipeline.embed.servers import Server
    from syncd.runtime.download import ProgressCallback

AUTO = "auto"
EMBED_WORKER_MODULE = "syncd.pipeline.embed.worker"
STATIC_WORKER_MODULE = "syncd.pipeline.embed.static_worker"


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """When a silent process counts as hung: a slow core under load computes some 5 tokens of a large model a second."""

    start_s: float = 300.0
    call_s: float = 60.0
    token_s: float = 0.2


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster, at an `address` as `ray.init` takes it, and what workers of a model it is asked for.

    Each takes `cpus` and `gpus` of a node, which may be fractions. `workers` 0: as many as the nodes hold. `models_dir` is where
    the nodes have models' files, but for those that are at a `path` of their own; None: at the same path as this machine.
    """

    address: str
    workers: int = 0
    cpus: float = 1.0
    gpus: float = 0.0
    models_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How this machine runs a model; nothing but the file changes what its vectors mean.

    `quantisation` None: the model's default file. `path`: a file to use instead of the model folder's. `devices`: which
    of several, all of them when empty. `runtime` names one of the local engines; auto: the fastest that computes the
    right vectors. `threads`, `sequences` and `batch_tokens` 0: as RunSettings says. `lanes` are the processes that share
    a device, or the cores; 0: on a device as many as the engine says, on cores as many as are fastest (`lanes`) and have less
    than `lane_memory_bytes` to themselves together. `worker` is the module of the model's process. `cluster` computes documents in
    this machine's place.
    """

    quantisation: str | None = None
    path: Path | None = None
    device: Device = "auto"
    devices: tuple[int, ...] = ()
    runtime: str = AUTO
    threads: int = 0
    sequences: int = 0
    batch_tokens: int = 0
    lanes: int = 0
    lane_memory_bytes: int = 2 << 30
    limits: TimeLimits = field(default_factory=TimeLimits)
    worker: str = EMBED_WORKER_MODULE
    cluster: Cluster | None = None


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One model to embed with. `folder` holds models' files and what was found out about them; `servers` are those
    configured for the model; `progress` hears of a download.
    """

    model: EmbeddingModel
    folder: Path
    options: EngineOptions = field(default_factory=EngineOptions)
    servers: Sequence[Server] = ()
    progress: ProgressCallback | None = None


class EngineEmbedder(Embedder, Actor, Protocol):
    """An `Embedder` that serves while its `run` runs, under a supervisor.

    Its `fingerprint` tells its vectors from all others and is the same on every machine and after every restart: when
    it changes, everything is embedded again.
    """

    @property
    def trouble(self) -> str:
        """Why nothing can be computed at the moment, if only waiting helps; '' otherwise."""
        ...

    @property
    def shortfall(self) -> str:
        """Why less computes than is configured, while the rest goes on; '' otherwise."""
        ...

    @property
    def elsewhere(self) -> Sequence[str]:
        """What computes now in place of this machine: servers, workers."""
        ...


@runtime_checkable
class EngineModule(Protocol):
    """What an engine's module defines."""

    def obstacle(self, request: ModelRequest) -> str:
        """Return why this engine cannot compute the model here, '' where it can. Never waits."""
        ...

    async def make_embedder(self, request: ModelRequest) -> EngineEmbedder:
        """Return the embedder, not yet running: its files are here, checked and tried, its fingerprint is known.

        Waits for downloads and trials; twice is safe and quick. Raises ConfigError or PermanentError if the model
        cannot be used like this, RetryableError if it may be available later.
        """
        ...


class Kernel(Protocol):
    """Computes windows of tokens to raw vectors, in the model's own process. `processes` is how many of these it takes to
    keep one device busy.
    """

    batch_tokens: int
    sequences: int
    devices: int
    processes: int

    def vectors(self, windows: Sequence[TokenIds]) -> Vectors:
        """Return one raw vector per window: at most `sequences` of at most `batch_tokens` tokens together."""
        ...


@runtime_checkable
class KernelModule(Protocol):
    """What a kernel's module defines; imported in the model's own process only."""

    def open_kernel(self, settings: RunSettings, model: LlamaModel) -> Kernel:
        """Load the weights of `settings.path`; `model` holds its vocabulary. Raises PermanentError where it cannot."""
        ...


@dataclass(frozen=True, slots=True)
class Engine:
    """A row of the table.

    `name` is its value of `embedding.runtime` where it is `local`; others compute a model whatever that says. `kernel`
    is the module of its KernelModule, for models of one of `poolings`. `package` is the distribution it needs beside
    syncd's own, installed with the extra of that name.
    """

    name: str
    label: str
    module: str
    kernel: str = ""
    poolings: tuple[Pooling, ...] = ("mean", "cls", "last")
    package: str = ""
    local: bool = True

    def version(self) -> str:
        """Return the version of `package`, '' where it is not installed."""
        try:
            return version(self.package) if self.package else ""
        except PackageNotFoundError:
            return ""

    def obstacle(self, request: ModelRequest) -> str:
        """Return why this engine cannot compute the model here, '' where it can."""
        if self.package and not self.version():
            return f"install syncd[{self.package}]"
        if request.model.pooling not in self.poolings:
            return f"it computes models with pooling {' or '.join(self.poolings)} only"
        return self._imported().obstacle(request)

    async def make_embedder(self, request: ModelRequest) -> EngineEmbedder:
        """Return the embedder of a model on this engine, as `EngineModule.make_embedder` does."""
        return await self._imported().make_embedder(request)

    def open_kernel(self, settings: RunSettings, model: LlamaModel) -> Kernel:
        """Return the engine's kernel, in the model's own process, as `KernelModule.open_kernel` does."""
        module = import_module(self.kernel)
        if not isinstance(module, KernelModule):
            raise TypeError(f"{self.kernel} is no engine's kernel: it lacks open_kernel")
        return module.open_kernel(settings, model)

    def _imported(self) -> EngineModule:
        module = import_module(self.module)
        if not isinstance(module, EngineModule):
            raise TypeError(f"{self.module} is no engine: it lacks obstacle or make_embedder")
        return module
