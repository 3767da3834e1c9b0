"""What the configuration says of documents, and what the preparers are told."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest

from syncd.app.preparers import docling_settings, open_preparers, preparer_settings, preparing_workers
from syncd.config import Config
from syncd.errors import ConfigError
from syncd.model import Chunking, Embedding, SourceRecord
from syncd.model.formats import format_named
from syncd.pipeline.embed.engine import Cluster
from syncd.pipeline.parse.task import Ocr
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.pipeline.prepare.process import PreparerSettings
from syncd.pipeline.ray.preparer import RayPreparer
from syncd.sources.folder.settings import FolderSourceSettings, FolderTable

pytestmark = pytest.mark.asyncio

SOURCES = [
    SourceRecord("1", "folder", "d", settings, Embedding(), Chunking(), datetime.now(UTC))
    for settings in (FolderSourceSettings(path="/x"), FolderSourceSettings(path="/x", converter="docling"))
]


async def test_the_configuration_reaches_the_preparers() -> None:
    given = Config.model_validate({
        "documents": {
            "parsers": 3, "memory_bytes": 1 << 30, "step_limit_s": 7, "max_pages": 10, "max_size_bytes": 1000,
            "max_text_bytes": 2000, "max_expanded_bytes": 3000, "ocr": False, "ocr_languages": ["deu", "eng"],
            "docling": {"models_dir": "/models", "memory_bytes": 4 << 30, "step_limit_s": 70},
        }
    }).documents  # fmt: skip
    settings = preparer_settings(given)
    assert (settings.workers, settings.memory_bytes, settings.step_limit_s) == (3, 1 << 30, 7)
    limits = settings.limits
    assert (limits.pages, limits.size_bytes, limits.text_bytes, limits.expanded_bytes) == (10, 1000, 2000, 3000)
    assert settings.ocr == Ocr(enabled=False, languages=("deu", "eng"))
    rich = docling_settings(given, settings)
    assert (rich.converter, rich.models, rich.memory_bytes, rich.step_limit_s) == (
        "docling",
        Path("/models"),
        4 << 30,
        70,
    )
    assert (rich.limits, rich.ocr) == (settings.limits, settings.ocr)


async def test_what_changes_a_documents_text_makes_it_anew_and_leaves_code_alone() -> None:
    pools = [DocumentPreparer(s) for s in (PreparerSettings(), PreparerSettings(ocr=Ocr(languages=("deu",))))]
    assert [pool.fingerprint("a.pdf", None) == format_named("PDF").version for pool in pools] == [True, False]
    assert [pool.fingerprint("a.py", None) for pool in pools] == ["", ""]
    assert pools[1].fingerprint("page", "application/pdf") == pools[1].fingerprint("a.pdf")


async def test_docling_is_chosen_by_the_source() -> None:
    async with open_preparers(Config()) as preparer_of:
        added = [
            preparer_of(source).fingerprint("a.pdf", None).removeprefix(format_named("PDF").version)
            for source in SOURCES
        ]
        assert [choices[:10] for choices in added] == ["", "('docling'"]


async def test_a_clusters_workers_prepare_what_the_built_in_converter_reads_unless_there_are_to_be_none() -> None:
    config = Config.model_validate({"workers": {"ray": "auto", "preparers": 3}})
    workers = preparing_workers(config)
    assert workers is not None
    assert workers.order.cluster == Cluster("auto", 3, cpus=0.0)
    async with open_preparers(config, workers) as preparer_of:
        assert [type(preparer_of(source)) for source in SOURCES] == [RayPreparer, DocumentPreparer]
    for without in ({}, {"workers": {"ray": "auto", "preparers": 0}}):
        assert preparing_workers(Config.model_validate(without)) is None


@pytest.mark.skipif(find_spec("docling") is not None, reason="docling is installed")
async def test_docling_is_asked_for_before_anything_runs() -> None:
    table = {"type": "folder", "name": "a", "path": "/x", "collection": "abc", "converter": "docling"}
    with pytest.raises(ConfigError, match=r"pip install 'syncd\[docling\]'"):
        async with open_preparers(Config(sources=(FolderTable.model_validate(table),))):
            pass
