"""A model computed on a Ray cluster, behind the same `Embedder` protocol as the local one: the engine module.

Documents go to the workers. Queries, and tokens to be counted, stay here, where the answer takes as long as ever; so do documents
while no worker is there, and a request that was lost three times on the way, of which a text may be to blame. What computes here is
the local engine with the same file, whose vectors the workers' must equal: nothing is embedded again when a cluster is configured,
or no longer is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import RetryableError
from syncd.model import Embedded, EmbeddingTask, Role
from syncd.pipeline.embed.engine import Cluster, ModelRequest
from syncd.pipeline.embed.front import EmbeddedText, embed_through, prompted
from syncd.pipeline.embed.local import LocalEmbedder, prepare
from syncd.pipeline.embed.local import obstacle as local_obstacle
from syncd.pipeline.embed.variant import PROBE_TEXTS
from syncd.pipeline.ray.embedding import EmbeddingKind
from syncd.pipeline.ray.order import EmbeddingOrder, Order
from syncd.pipeline.ray.workers import WORKERS_TRIED, RayWorkers
from syncd.runtime.mailbox import Mailbox
from syncd.runtime.retry import Backoff

_WAITING_TEXTS = 2048


def obstacle(request: ModelRequest) -> str:
    """Return '' where a cluster is configured and the model has a file."""
    return local_obstacle(request) if request.options.cluster else "no workers.ray in the configuration"


async def make_embedder(request: ModelRequest) -> RayEmbedder:
    """Return the embedder, not yet running. Waits and raises as `local.prepare`: the model's file has to be here too."""
    assert request.options.cluster is not None
    local = LocalEmbedder(await prepare(request.model, request.folder, request.options, request.progress))
    return RayEmbedder(local, request, request.options.cluster)


class RayEmbedder:
    """An actor and an `Embedder`: run it under a supervisor, and embed from any task."""

    def __init__(
        self, local: LocalEmbedder, request: ModelRequest, cluster: Cluster, backoff: Backoff | None = None
    ) -> None:
        self.model = local.model
        self.name = local.name
        self.dimensions = local.dimensions
        self.max_tokens = local.max_tokens
        self.fingerprint = local.fingerprint
        self.local = local
        self._model = request.model
        self._order = _order(request, cluster)
        self._backoff = backoff
        self._mailbox = Mailbox[str, EmbeddedText](f"{self.name} (ray)", _WAITING_TEXTS)
        self._workers: RayWorkers | None = None

    @property
    def trouble(self) -> str:
        """Why nothing can be computed here, nor queries anywhere; '' otherwise."""
        return self.local.trouble

    @property
    def shortfall(self) -> str:
        """Why a worker is refused, or there is none; '' otherwise."""
        if self._workers is None or not (trouble := self._workers.trouble):
            return ""
        return trouble if self._workers.names else f"{trouble}; this machine computes alone"

    @property
    def elsewhere(self) -> Sequence[str]:
        """The workers that compute now."""
        return sorted(self._workers.names.values()) if self._workers else ()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Started when the model is loaded here: workers join as they come."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.local.run)
            reference = (await self.local.embed(PROBE_TEXTS, "document")).vectors
            # Texts have their prompts when they travel.
            unprompted = self.fingerprint.removesuffix(self._model.prompt_mark)
            kind = EmbeddingKind(self.model, self._order, unprompted, reference, self._mailbox)
            workers = self._workers = RayWorkers(kind, self._backoff)
            task_status.started()
            await workers.run()

    async def embed(
        self, texts: Sequence[str], role: Role, task: EmbeddingTask | None = None, *, urgent: bool = False
    ) -> Embedded:
        """Embed `texts` as `Embedder.embed` promises. What a lost worker had is embedded by another one, or here."""
        for _ in range(WORKERS_TRIED if role == "document" else 0):
            if self._workers is None or not self._workers.names:
                break
            try:
                return await embed_through(self._mailbox, self._model, texts, role, task, urgent=urgent)
            except RetryableError:
                continue
        return await self.local.embed(texts, role, task, urgent=urgent)

    async def count_tokens(self, texts: Sequence[str], task: EmbeddingTask | None = None) -> Sequence[int]:
        """Return how many tokens each of these documents will cost, as `LocalEmbedder.count_tokens` does."""
        return await self.local.count_tokens(texts, task)


def _order(request: ModelRequest, cluster: Cluster) -> Order:
    """Return what workers are told. Texts have their prompts when they travel."""
    model, options = request.model, request.options
    texts = tuple(prompted(model, text, "document", None) for text in PROBE_TEXTS)
    threads = max(1, round(cluster.cpus))
    own = replace(options, cluster=None, threads=threads, device="auto", devices=())
    folder = cluster.models_dir or request.folder
    return Order(cluster, EmbeddingOrder(replace(model, document_prompt=""), folder, own, texts))
