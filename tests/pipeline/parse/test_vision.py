"""Pictures described by a vision model on this machine, through llama.cpp."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from syncd.app.preparers import open_describer
from syncd.config.documents import VisionTable
from syncd.errors import ConfigError, PermanentError, RetryableError
from syncd.pipeline.parse.task import Ocr
from syncd.pipeline.parse.vision_llama import LlamaDescriber
from syncd.pipeline.prepare.process import PreparerSettings
from tests.pipeline.parse.documents import docx, encoded, paragraph, written
from tests.pipeline.parse.reading import PartReader, text_of
from tests.pipeline.parse.vision_model import write_language_model, write_projector

pytestmark = pytest.mark.asyncio(loop_scope="module")
PLAIN, BUSY = encoded(written([]), "JPEG"), encoded(written(["A", "B", "C"]).rotate(90), "JPEG")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("vision")
    write_language_model(folder / "model.gguf")
    write_projector(folder / "mmproj.gguf")
    return folder / "model.gguf", folder / "mmproj.gguf"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def describer(files: tuple[Path, Path]) -> AsyncIterator[LlamaDescriber]:
    async with LlamaDescriber(*files, threads=1) as found:
        yield found


async def test_what_the_model_says_depends_on_the_picture(describer: LlamaDescriber) -> None:
    words = await describer.describe(PLAIN)
    assert len(words) > 20
    assert await describer.describe(PLAIN) == words
    assert await describer.describe(BUSY) != words


async def test_its_words_stand_where_the_picture_stood(describer: LlamaDescriber) -> None:
    picture = paragraph(inner='<w:r><w:drawing><wp:docPr descr="A sign"/><a:blip r:embed="p"/></w:drawing></w:r>')
    body = paragraph("before") + picture + paragraph("after")
    data = docx(body, {"p": ("image", "media/p.png")}, **{"media__p.png": encoded(written([]))})
    async with PartReader(PreparerSettings(workers=1, ocr=Ocr(enabled=False)), describer) as pool:
        before, sign, words, after, _ = (await text_of(pool, data, "a.docx")).split("\n\n")
    assert (before, sign, after) == ("before", "![A sign]()", "after")
    assert len(words) > 20


async def test_a_model_that_dies_over_a_picture_is_started_again_for_the_next(files: tuple[Path, Path]) -> None:
    async with LlamaDescriber(*files, threads=1) as own:
        before = {process.pid for process in _models()}
        words = await own.describe(PLAIN)
        (process,) = (each for each in _models() if each.pid not in before)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(PermanentError, match="failed on a picture"):
            await own.describe(PLAIN)
        assert await own.describe(PLAIN) == words
    assert {process.pid for process in _models()} == before


def _models() -> list[psutil.Process]:
    mine = (each for each in psutil.process_iter(["ppid", "cmdline"]) if each.info["ppid"] == os.getpid())
    return [each for each in mine if "syncd.pipeline.parse.vision_worker" in (each.info["cmdline"] or ())]


async def test_files_that_are_no_model_or_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF but not really")
    async with LlamaDescriber(tmp_path / "a.gguf", tmp_path / "a.gguf") as wrong:
        with pytest.raises(RetryableError, match=r"a\.gguf cannot be loaded"):
            await wrong.describe(PLAIN)
    missing = VisionTable(path=tmp_path / "b.gguf", projector=tmp_path / "a.gguf")
    with pytest.raises(ConfigError, match=r"b\.gguf does not exist"):
        async with open_describer(missing):
            pass
