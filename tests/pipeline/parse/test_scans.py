"""Reading what is only a picture, with whichever engine is there, and asking a vision model about it."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from syncd.errors import PermanentError, RetryableError
from syncd.pipeline.parse import ocr
from syncd.pipeline.parse.ocr_engine import tessdata
from syncd.pipeline.parse.task import Ocr
from syncd.pipeline.parse.vision import OpenAiDescriber
from syncd.pipeline.prepare.process import PreparerSettings
from tests.pipeline.parse.documents import docx, encoded, paragraph, written
from tests.pipeline.parse.reading import PartReader, on_pages, parts_of, text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
_LINES = ["The quick brown fox", "jumps over the dog"]
needs_tesseract = pytest.mark.skipif(tessdata(["eng"]) is None, reason="tesseract-ocr is not installed")

_WITHOUT_TESSERACT = PreparerSettings(workers=1, ocr=Ocr(languages=("xyz",)))
"""No installation has data for this language, so the engine that brings its own is used."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeing() -> AsyncIterator[PartReader]:
    async with PartReader(PreparerSettings(workers=1)) as pool:
        yield pool


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def without_tesseract() -> AsyncIterator[PartReader]:
    # in less than the default limit, for machines whose libraries and threads take more of it
    async with PartReader(replace(_WITHOUT_TESSERACT, memory_bytes=1280 << 20)) as pool:
        yield pool


def _sees(text: str) -> bool:
    return all(word in text for word in ("quick", "brown", "jumps", "dog"))


@needs_tesseract
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
async def test_a_picture_file_is_read(seeing: PartReader, kind: str) -> None:
    assert _sees(await text_of(seeing, encoded(written(_LINES), kind), f"a.{kind.lower()}"))


@needs_tesseract
async def test_a_scanned_page_in_a_pdf_is_read(seeing: PartReader) -> None:
    assert _sees(await text_of(seeing, encoded(written(_LINES), "PDF"), "scan.pdf"))


async def test_without_tesseract_the_bundled_engine_reads(without_tesseract: PartReader) -> None:
    assert _sees(await text_of(without_tesseract, encoded(written(_LINES)), "a.png"))
    page = written(_LINES, (1650, 2200))
    assert _sees(await text_of(without_tesseract, encoded(page, "PDF", resolution=200), "scan.pdf"))


async def test_the_bundled_engine_says_when_its_memory_is_too_small() -> None:
    async with PartReader(replace(_WITHOUT_TESSERACT, memory_bytes=1 << 29)) as pool:
        with pytest.raises(PermanentError, match=r"a\.png needs more than 0\.5 GiB of memory"):
            await text_of(pool, encoded(written(_LINES).resize((2200, 2200))), "a.png")


@needs_tesseract
async def test_each_frame_of_a_tiff_is_a_page(seeing: PartReader) -> None:
    out = io.BytesIO()
    written([_LINES[0]]).save(out, "TIFF", save_all=True, append_images=[written([_LINES[1]])])
    pages = on_pages(await parts_of(seeing, out.getvalue(), "a.tiff"))
    assert "quick" in pages[1]
    assert "jumps" in pages[2]


@needs_tesseract
async def test_writing_in_a_picture_inside_a_document_stands_beside_its_alt_text(seeing: PartReader) -> None:
    inner = '<w:r><w:drawing><wp:docPr descr="A sign"/><a:blip r:embed="p"/></w:drawing></w:r>'
    members = {"media__p.png": encoded(written(_LINES))}
    data = docx(paragraph("before") + paragraph(inner=inner), {"p": ("image", "media/p.png")}, **members)
    text = await text_of(seeing, data, "a.docx")
    assert text.startswith("before\n\n![A sign. Text in the picture: The quick brown fox")


async def test_a_picture_without_writing_says_so(seeing: PartReader) -> None:
    with pytest.raises(PermanentError, match="contains no readable text"):
        await text_of(seeing, encoded(written([])), "a.png")


@pytest.mark.parametrize(
    ("text", "kept"), [("Sales 2024 grew", True), ("| ~ - . _", False), ("ab", False), ("x y z w q", False)]
)
async def test_only_plausible_writing_is_kept(text: str, kept: bool) -> None:
    assert bool(ocr.looks_like_writing(text)) is kept


async def test_lines_become_paragraphs_where_there_is_a_gap() -> None:
    lines = [((0, 0, 50, 10), "a"), ((60, 1, 90, 11), "b"), ((0, 14, 50, 24), "c"), ((0, 60, 50, 70), "d")]
    assert list(ocr.paragraphs(lines)) == ["a b\nc", "d"]


async def test_a_tall_heading_stays_above_small_text() -> None:
    lines = [((0, 100, 50, 150), "Heading"), ((0, 60, 50, 72), "above"), ((0, 160, 50, 172), "below")]
    assert " ".join(ocr.paragraphs(lines)).split() == ["above", "Heading", "below"]


@pytest_asyncio.fixture(loop_scope="module")
async def endpoint() -> AsyncIterator[tuple[TestServer, list[dict[str, object]], list[int]]]:
    seen: list[dict[str, object]] = []
    status = [200]

    async def answer(request: web.Request) -> web.Response:
        seen.append(json.loads(await request.text()))
        body = {"choices": [{"message": {"content": " A door. "}}]}
        return web.json_response(body, status=status[0])

    app = web.Application(client_max_size=10 << 20)
    app.router.add_post("/v1/chat/completions", answer)
    async with TestServer(app) as server:
        yield server, seen, status


async def test_a_vision_endpoint_gets_the_picture_and_gives_words(endpoint) -> None:
    server, seen, status = endpoint
    async with aiohttp.ClientSession() as session:
        describer = OpenAiDescriber(session, str(server.make_url("/v1")), "eyes", "key")
        assert await describer.describe(encoded(written([]))) == "A door."
        message = seen[0]["messages"][0]["content"]  # type: ignore[index]
        assert message[1]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
        status[0] = 503
        with pytest.raises(RetryableError, match="answered 503"):
            await describer.describe(b"x")
        status[0] = 400
        with pytest.raises(PermanentError, match="refused a picture: 400"):
            await describer.describe(b"x")


async def test_a_vision_endpoint_that_is_away_is_tried_again(unused_tcp_port: int) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(RetryableError, match="cannot be used"):
            await OpenAiDescriber(session, f"http://127.0.0.1:{unused_tcp_port}", "eyes").describe(b"x")
