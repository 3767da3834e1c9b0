"""A model computed from its GGUF on this machine, in a process of its own: the engine module of all with a kernel.

async with open_embedder(Catalog().find(MINILM), folder) as embedder:
    embedded = await embedder.embed(["some text"], "document")
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import ConfigError, PermanentError
from syncd.model import Embedded, EmbeddingTask, Role
from syncd.pipeline.embed.batcher import Batcher
from syncd.pipeline.embed.catalog import EmbeddingModel
from syncd.pipeline.embed.engine import STATIC_WORKER_MODULE, EngineOptions, ModelRequest
from syncd.pipeline.embed.files import LocalFile, find_file, is_here
from syncd.pipeline.embed.front import EmbeddedText, embed_through, prompted, running
from syncd.pipeline.embed.lane_trial import LaneTrial, Queries
from syncd.pipeline.embed.lanes import AFTER_S, AGAIN_S, LaneRecord, Lanes, is_calm
from syncd.pipeline.embed.probe import PROBE_RESULTS, Probe
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
    lanes: LaneRecord


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
    if model.pooling == "static":
        return await _prepared_static(model, file, settings, options)
    probe = Probe(model.name, settings, options.limits, options.worker)
    variant, dimensions = await probe.choose(file.digest, folder, options.runtime)
    _check_dimensions(model, file, dimensions)
    settings = settings.with_variant(variant)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    about = (settings.variant, settings.threads, settings.batch_tokens, options.lane_memory_bytes, cores)
    lanes = LaneRecord(folder / PROBE_RESULTS, f"lanes/{probe.key(file.digest, options.runtime)}/{about}")
    return PreparedModel(model, file, settings, options, lanes)


async def _prepared_static(
    model: EmbeddingModel, file: LocalFile, settings: RunSettings, options: EngineOptions
) -> PreparedModel:
    """Return a static model, tried once. One process is enough: the daemon does not keep up with it."""
    options = replace(options, worker=STATIC_WORKER_MODULE, lanes=1)
    async with ModelProcess(f"{model.name} (probe)", settings, options.limits, options.worker) as process:
        await process.prove()
        _check_dimensions(model, file, process.dimensions)
    return PreparedModel(model, file, settings, options, LaneRecord(file.path, ""))


def _check_dimensions(model: EmbeddingModel, file: LocalFile, dimensions: int) -> None:
    if dimensions != model.dimensions:
        raise ConfigError(
            f"{file.path} gives vectors of {dimensions} dimensions, model {model.name} has {model.dimensions}"
        )


class LocalEmbedder:
    """An actor and an `Embedder`: run it under a supervisor, and embed from any task.

    Its process is started by `run` and again whenever it dies. Where there are several devices, each has a process of its
    own, and all of them take work from one queue. So do the spare processes of a device that one cannot keep busy, and the
    further lanes of a CPU; without room for one, or when it cannot be started again, the others go on alone.
    """

    elsewhere: Sequence[str] = ()
    shortfall = ""

    def __init__(self, prepared: PreparedModel) -> None:
        self.model = prepared.model.name
        self.name = f"embed {self.model}"
        self.path = prepared.file.path
        self.dimensions = prepared.model.dimensions
        self.max_tokens = prepared.model.max_tokens
        self.fingerprint = fingerprint(prepared) + prepared.model.prompt_mark
        self._model = prepared.model
        self._prepared = prepared
        self._mailbox = Mailbox[str, EmbeddedText](self.name, _WAITING_TEXTS)
        self._lanes = Lanes(prepared.options.lanes) if prepared.options.lanes else prepared.lanes.find()
        self._computed_s = 0.0
        self.process = self._process(self._each_lane()[0])
        self._first = Batcher(self.name, self.process, self._mailbox, after=self._computed)
        self.trouble = ""
        """Why the process cannot be started now, or ''; one that dies while it runs is started again."""

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Started when the model is loaded; raises EngineDownError when it cannot be."""
        async with anyio.create_task_group() as self._tasks:
            try:
                await self._tasks.start(self._first.run)
            except EngineDownError as error:
                self.trouble = str(error)
                raise
            self.trouble = ""
            for number in self._other_devices():
                process = self._process(self._each_lane()[0].on(number))
                self._tasks.start_soon(Batcher(self.name, process, self._mailbox).run)
            for settings in self._spares():
                self._tasks.start_soon(self._run_spare, settings)
            task_status.started()

    async def _computed(self, took_s: float) -> None:
        """Measure this machine's lanes as soon as it is worth it and nothing disturbs it, once, and go on with the fastest."""
        self._computed_s += took_s
        if self._lanes is not None or self.process.devices or self._computed_s < AFTER_S:
            return
        if not is_calm(self._prepared.settings.all_threads()):
            self._computed_s = AFTER_S - AGAIN_S
            return
        self._lanes = Lanes()
        trial = LaneTrial(self.model, self._prepared.settings, self._process, self._prepared.options.lane_memory_bytes)
        waiting = Queries(lambda: self._mailbox.stats().urgent_waiting, self._first.queries)
        if (found := await trial.choose(self.process, waiting)) is None:
            return
        self._prepared.lanes.keep(found)
        self._lanes = found
        if found.count > 1:
            for settings in self._spares():
                self._tasks.start_soon(self._run_spare, settings)
            await self.process.become(self._each_lane()[0])

    def _each_lane(self) -> list[RunSettings]:
        return (self._lanes or Lanes()).settings(self._prepared.settings)

    def _other_devices(self) -> list[int]:
        wanted = self._prepared.options.devices or range(self.process.devices)
        return [number for number in wanted if number != self._prepared.settings.device_number]

    def _spares(self) -> list[RunSettings]:
        first, *others = self._each_lane()
        if self._lanes is None:
            others = [first] * (self.process.processes - 1)
        devices = [self._prepared.settings.device_number, *self._other_devices()]
        return [settings.on(number) for settings in others for number in devices]

    async def _run_spare(self, settings: RunSettings) -> None:
        try:
            await Batcher(self.name, self._process(settings), self._mailbox, spare=True).run()
        except (EngineDownError, PermanentError) as error:
            log.warning("model.spare_process_ended", model=self.model, device=settings.device_number, error=str(error))

    def _process(self, settings: RunSettings) -> ModelProcess:
        return ModelProcess(self.name, settings, self._prepared.options.limits, self._prepared.options.worker)

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
    run = prepared.options
    async with ModelProcess(f"{model.name} (record)", prepared.settings, run.limits, run.worker) as process:
        vectors, _ = await process.probe()
    return ModelRecord(fingerprint(prepared), vectors)


@asynccontextmanager
async def open_embedder(
    model: EmbeddingModel, folder: Path, options: EngineOptions | None = None, progress: ProgressCallback | None = None
) -> AsyncGenerator[LocalEmbedder]:
    """Yield `model` ready to embed, its process running until the block ends. Raises as `prepare`."""
    async with running(LocalEmbedder(await prepare(model, folder, options, progress))) as embedder:
        yield embedder
