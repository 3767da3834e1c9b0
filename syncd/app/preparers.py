"""Builds from the configuration what reads documents: preparers, the vision model, and which source uses which."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import cache
from importlib.util import find_spec

import aiohttp
import structlog

from syncd.config import Config
from syncd.config.documents import DocumentsSection, VisionTable
from syncd.errors import ConfigError
from syncd.model import Preparer, SecretsPolicy, SourceRecord
from syncd.pipeline.embed.engine import Cluster
from syncd.pipeline.parse.ocr_engine import NO_ENGINE, can_read
from syncd.pipeline.parse.task import DocumentLimits, Ocr
from syncd.pipeline.parse.vision import Describer, OpenAiDescriber
from syncd.pipeline.parse.vision_llama import LlamaDescriber
from syncd.pipeline.prepare.preparer import DocumentPreparer, text_processes
from syncd.pipeline.prepare.process import PreparerSettings
from syncd.pipeline.ray.preparer import RayPreparer
from syncd.pipeline.ray.preparing import RayPreparers
from syncd.redaction import register_secret

log = structlog.get_logger()
DOCLING = "docling"


@asynccontextmanager
async def open_preparers(
    config: Config, workers: RayPreparers | None = None
) -> AsyncGenerator[Callable[[SourceRecord], Preparer]]:
    """Yield a function that returns the preparer of a source, which has documents prepared by `workers` where there are any.
    Processes start when first needed.

    Raises ConfigError if a source needs docling and it is not installed, or a vision model's file is missing.
    """
    given = config.documents
    if any(source.converter == DOCLING for source in config.sources) and find_spec("docling") is None:
        raise ConfigError("a source has converter 'docling', which is not installed: pip install 'syncd[docling]'")
    async with AsyncExitStack() as stack:
        describer = await stack.enter_async_context(open_describer(given.vision)) if given.vision else None
        settings = preparer_settings(given)
        if given.ocr and not can_read(settings.ocr):
            log.warning("ocr.unavailable", reason=NO_ENGINE)
        text = text_processes(settings)
        builtin = DocumentPreparer(settings, describer, text)
        rich = DocumentPreparer(docling_settings(given, settings), describer, text)
        await stack.enter_async_context(builtin)
        await stack.enter_async_context(rich)

        @cache
        def preparer(converter: str | None, secrets: SecretsPolicy) -> Preparer:
            local = (rich if converter == DOCLING else builtin).treating(secrets)
            if workers is None or converter == DOCLING:
                return local
            return RayPreparer(local, workers, secrets, only_text=describer is not None)

        yield lambda source: preparer(source.settings.converter, source.settings.secrets or "mask")


def preparing_workers(config: Config) -> RayPreparers | None:
    """Return what has a cluster's workers prepare documents, if they are to."""
    given = config.workers
    if given.ray is None or given.preparers == 0:
        return None
    workers = 0 if given.preparers == "auto" else given.preparers
    return RayPreparers(Cluster(given.ray, workers, cpus=0.0), preparer_settings(config.documents))


def preparer_settings(given: DocumentsSection) -> PreparerSettings:
    """Return how the built-in converter works."""
    limits = DocumentLimits(
        size_bytes=given.max_size_bytes,
        pages=given.max_pages,
        text_bytes=given.max_text_bytes,
        expanded_bytes=given.max_expanded_bytes,
    )
    return PreparerSettings(
        workers=given.parsers,
        memory_bytes=given.memory_bytes,
        step_limit_s=given.step_limit_s,
        limits=limits,
        ocr=Ocr(enabled=given.ocr, languages=given.ocr_languages),
    )


def docling_settings(given: DocumentsSection, settings: PreparerSettings) -> PreparerSettings:
    """Return how docling works: one document at a time, since its models are in each process."""
    own = given.docling
    return replace(
        settings,
        workers=1,
        converter=DOCLING,
        models=own.models_dir.expanduser().absolute(),
        memory_bytes=own.memory_bytes,
        step_limit_s=own.step_limit_s,
        recycle_over_bytes=own.memory_bytes * 3 // 4,
    )


@asynccontextmanager
async def open_describer(given: VisionTable) -> AsyncGenerator[Describer]:
    """Yield the vision model that describes pictures. Raises ConfigError for a missing file or key."""
    if given.path is not None and given.projector is not None:
        files = [file.expanduser().absolute() for file in (given.path, given.projector)]
        for file in files:
            if not file.is_file():
                raise ConfigError(
                    f"documents.vision: {file} does not exist; download the model there or change the path"
                )
        async with LlamaDescriber(files[0], files[1], given.threads, given.limit_s) as describer:
            yield describer
        return
    key = given.key("documents.vision", given.model) or ""
    if key:
        register_secret(key)
    timeout = aiohttp.ClientTimeout(total=given.limit_s)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield OpenAiDescriber(session, given.url or "", given.model, key)
