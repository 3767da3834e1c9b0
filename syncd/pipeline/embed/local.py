"""A model computed from its GGUF on this machine, in a process of its own: the engine module of all with a kernel.

async with open_embedder(Catalog().find(MINILM), folder) as embedder:
    embedded = await embedder.embed(["some text"], "document")
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import ConfigError, PermanentError
from syncd.model import Embedded, EmbeddingTask, Role
from syncd.pipeline.embed.batcher import Batcher
from syncd.pipeline.embed.catalog import EmbeddingModel
from syncd.pipeline.embed.engine import EngineOptions, ModelRequest
from syncd.pipeline.embed.files import LocalFile, find_file, is_here
from syncd.pipeline.embed.front import EmbeddedText, embed_through, prompted, running
from syncd.pipeline.embed.probe import Probe
from syncd.pipeline.embed.process import EngineDownError, ModelProcess
from syncd.pipeline.embed.record import ModelRecord
from syncd.pipeline.embed.variant import RunSettings
from syncd.runtime.download import ProgressCallback
from syncd.runtime.mailbox import Mailbox

_WAITING_TEXTS = 512
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A model whose file is here, checked and probed."""

    model: EmbeddingModel
    file: LocalFile
    settings: RunSettings
    options: EngineOptions


def obstacle(request: ModelRequest) -> str:
    """Return why no file of the model can be computed here, '' where one can."""
    return "" if request.model.files else "the model has no file; give it a path or a url"


async def make_embedder(request: ModelRequest) -> LocalEmbedder:
    """Return the embedder, not yet running. Waits and raises as `prepare`."""
    return LocalEmbedder(await prepare(request.model, request.folder, request.options, request.progress))


async def prepare(
    model: EmbeddingModel, folder: Path, options: EngineOptions | None = None, progress: ProgressCallback | None = None
) -> PreparedModel:
    """Find (convert, download) the file of `model`, check it and choose how to run it. `folder` is the model folder.

    Waits for all of that; twice is safe and quick. Raises ConfigError, PermanentError, RetryableError as `find_file`
    and `Probe.choose` do.
    """
    options = options or EngineOptions()
    file = await find_file(model, model.file(options.quantisation), folder, options.path, progress)
    settings = RunSettings(
        file.path,
        model.pooling,
        model.max_tokens,
        device=options.device,
        device_number=options.devices[0] if options.devices else 0,
        threads=options.threads,
        sequences=options.sequences,
        batch_tokens=options.batch_tokens,
    )
    probe = Probe(model.name, settings, options.limits, options.worker)
    variant, dimensions = await probe.choose(file.digest, folder, options.runtime)
    if dimensions != model.dimensions:
        raise ConfigError(
            f"{file.path} gives vectors of {dimensions} dimensions, model {model.name} has {model.dimensions}"
        )
    return PreparedModel(model, file, settings.with_variant(variant), options)


class LocalEmbedder:
    """An actor and an `Embedder`: run it under a supervisor, and embed from any task.

    Its process is started by `run` and again whenever it dies. Where there are several devices, each has a process of its
    own, and all of them take work from one queue. So do the spare processes of a device that one cannot keep busy; without
    room for one, or when it cannot be started again, the others go on alone.
    """

    def __init__(self, prepared: PreparedModel) -> None:
        self.model = prepared.model.name
        self.name = f"embed {self.model}"
        self.dimensions = prepared.model.dimensions
        self.max_tokens = prepared.model.max_tokens
        self.fingerprint = fingerprint(prepared)
        self._model = prepared.model
        self._prepared = prepared
        self._mailbox = Mailbox[str, EmbeddedText](self.name, _WAITING_TEXTS)
        self.process = self._process(prepared.settings.device_number)
        self.trouble = ""
        """Why the process cannot be started now, or ''; one that dies while it runs is started again."""

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Started when the model is loaded; raises EngineDownError when it cannot be."""
        async with anyio.create_task_group() as tasks:
            try:
                await tasks.start(Batcher(self.name, self.process, self._mailbox).run)
            except EngineDownError as error:
                self.trouble = str(error)
                raise
            self.trouble = ""
            for number in self._other_devices():
                tasks.start_soon(Batcher(self.name, self._process(number), self._mailbox).run)
            for number in self._spares():
                tasks.start_soon(self._run_spare, number)
            task_status.started()

    def _other_devices(self) -> list[int]:
        wanted = self._prepared.options.devices or range(self.process.devices)
        return [number for number in wanted if number != self._prepared.settings.device_number]

    def _spares(self) -> list[int]:
        each = (self._prepared.options.processes or self.process.processes) - 1
        return [self._prepared.settings.device_number, *self._other_devices()] * each

    async def _run_spare(self, number: int) -> None:
        try:
            await Batcher(self.name, self._process(number), self._mailbox, spare=True).run()
        except (EngineDownError, PermanentError) as error:
            log.warning("model.spare_process_ended", model=self.model, device=number, error=str(error))

    def _process(self, device_number: int) -> ModelProcess:
        options = self._prepared.options
        return ModelProcess(self.name, self._prepared.settings.on(device_number), options.limits, options.worker)

    async def embed(
        self, texts: Sequence[str], role: Role, task: EmbeddingTask | None = None, *, urgent: bool = False
    ) -> Embedded:
        """Embed `texts` (each non-empty) with the role's prompt in front; queries and `urgent` documents overtake.

        Waits for room and for its turn. Raises PermanentError naming the text that cannot be embedded,
        RetryableError while the model's process cannot be started.
        """
        return await embed_through(self._mailbox, self._model, texts, role, task, urgent=urgent)

    async def count_tokens(self, texts: Sequence[str], task: EmbeddingTask | None = None) -> Sequence[int]:
        """Return how many tokens each of these documents will cost, prompt and frame included.

        Waits for the batch being computed. Raises PermanentError where one has no tokens, RetryableError while the model's
        process does not run.
        """
        return await self.process.count([prompted(self._model, text, "document", task) for text in texts])


def fingerprint(prepared: PreparedModel) -> str:
    """Return what tells the vectors of one model, file and rule from all others; not the machine or the variant."""
    model = prepared.model
    return f"{model.name}:{prepared.file.digest}:{model.pooling}:{model.max_tokens}:l2-nfc-1"


async def local_record(model: EmbeddingModel, folder: Path, options: EngineOptions) -> ModelRecord | None:
    """Return what servers of `model` must compute, computed by its file on this machine; None when that is not here.

    Loads the model once. Raises as `prepare`, and EngineDownError.
    """
    if not model.files or not is_here(model, model.file(options.quantisation), folder, options.path):
        return None
    prepared = await prepare(model, folder, options)
    async with ModelProcess(f"{model.name} (record)", prepared.settings, options.limits, options.worker) as process:
        vectors, _ = await process.probe()
    return ModelRecord(fingerprint(prepared), vectors)


@asynccontextmanager
async def open_embedder(
    model: EmbeddingModel, folder: Path, options: EngineOptions | None = None, progress: ProgressCallback | None = None
) -> AsyncGenerator[LocalEmbedder]:
    """Yield `model` ready to embed, its process running until the block ends. Raises as `prepare`."""
    async with running(LocalEmbedder(await prepare(model, folder, options, progress))) as embedder:
        yield embedder
