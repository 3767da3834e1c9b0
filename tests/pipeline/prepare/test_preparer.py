"""What a document does to a parser process: it ends in words for its owner, and the pool is whole again."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import os
import signal
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from syncd.errors import PermanentError
from syncd.model import Chunking, PageMark, Part
from syncd.pipeline.parse.task import DocumentLimits, Ocr
from syncd.pipeline.parse.vision import with_descriptions
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.pipeline.prepare.process import PreparerSettings
from tests.pipeline.parse.documents import docx, encoded, paragraph, pdf, pptx, shape, written
from tests.pipeline.parse.reading import PartReader, on_pages, parts_of, text_of

_GOOD = docx(paragraph("fine"))
_NO_OCR = Ocr(enabled=False)


def _parsers() -> list[psutil.Process]:
    # Not `children()`: that leaves out those whose start time a step of the clock has put before their parent's.
    mine = (each for each in psutil.process_iter(["ppid", "cmdline"]) if each.info["ppid"] == os.getpid())
    return [each for each in mine if "tests.pipeline.parse.parts_worker" in (each.info["cmdline"] or ())]


def _signal(number: signal.Signals) -> int:
    """Send `number` to the one parser process; its id."""
    (process,) = _parsers()
    os.kill(process.pid, number)
    return process.pid


async def test_a_document_whose_parser_fills_its_folder_is_given_up_and_the_next_one_is_read() -> None:
    settings = PreparerSettings(workers=1, scratch_bytes=16 << 20, ocr=_NO_OCR)
    async with DocumentPreparer(settings, module="tests.pipeline.prepare.faulty_worker") as pool:
        with pytest.raises(PermanentError, match=r"b\.docx was not read to its end: its parser wrote more than 16 MiB"):
            await chunks_of(pool, docx(paragraph("fill")), "b.docx")
        assert await chunks_of(pool, _GOOD, "a.docx") == ["fine\n\n"]


async def test_a_hanging_document_is_given_up_and_the_next_one_is_read() -> None:
    settings = PreparerSettings(workers=1, step_limit_s=2, ocr=_NO_OCR)
    async with DocumentPreparer(settings, module="tests.pipeline.prepare.faulty_worker") as pool:
        with pytest.raises(PermanentError, match=r"b\.docx timed out: a step of reading took longer than 2 s"):
            await chunks_of(pool, docx(paragraph("hang")), "b.docx")
        assert await chunks_of(pool, _GOOD, "c.docx") == ["fine\n\n"]


async def chunks_of(pool: DocumentPreparer, data: bytes, name: str) -> list[str]:
    async with aclosing(pool.prepare(io.BytesIO(data), name, None, name, Chunking())) as batches:
        return [chunk.text async for batch in batches for chunk in batch]


async def test_a_document_whose_process_somebody_stops_is_read_by_another() -> None:
    async with PartReader(PreparerSettings(workers=1, step_limit_s=2, ocr=_NO_OCR)) as pool:
        assert await text_of(pool, _GOOD, "a.docx") == "fine\n\n"
        stopped = _signal(signal.SIGSTOP)
        assert await text_of(pool, _GOOD, "b.docx") == "fine\n\n"
        assert not psutil.pid_exists(stopped)


async def test_a_document_whose_process_dies_gets_one_more_chance_in_a_fresh_one() -> None:
    async with PartReader(PreparerSettings(workers=1, ocr=_NO_OCR)) as pool:
        assert await text_of(pool, _GOOD, "a.docx") == "fine\n\n"
        killed = _signal(signal.SIGKILL)
        assert await text_of(pool, _GOOD, "b.docx") == "fine\n\n"
        assert [process.pid for process in _parsers()] != [killed]


async def test_parts_read_before_a_death_are_not_read_twice() -> None:
    data = pdf([f"page {at}" for at in range(1, 351)])
    async with PartReader(PreparerSettings(workers=1, ocr=_NO_OCR)) as pool:
        await text_of(pool, _GOOD, "warm.docx")
        parts: list[Part] = []
        async with aclosing(pool.parse(io.BytesIO(data), "a.pdf")) as stream:
            async for part in stream:
                if not parts:
                    _signal(signal.SIGKILL)
                parts.append(part)
    assert list(on_pages(parts)) == list(range(1, 351))
    assert sum(len(part.pages) for part in parts) == 350


async def test_leaving_a_document_early_ends_its_process_and_frees_its_place() -> None:
    data = pdf([f"page {at}" for at in range(1, 351)])
    async with PartReader(PreparerSettings(workers=1, ocr=_NO_OCR)) as pool:
        async with aclosing(pool.parse(io.BytesIO(data), "a.pdf")) as stream:
            await anext(stream)
        assert _parsers() == []
        assert await text_of(pool, _GOOD, "b.docx") == "fine\n\n"


async def test_processes_are_replaced_after_their_number_of_documents_and_gone_at_the_end() -> None:
    settings = PreparerSettings(workers=1, documents_per_worker=2, ocr=_NO_OCR)
    seen: list[int] = []
    async with PartReader(settings) as pool:
        for _ in range(3):
            await text_of(pool, _GOOD, "a.docx")
            seen += [process.pid for process in _parsers()]
    assert len(seen) == 2
    assert seen[0] != seen[1]
    assert _parsers() == []


async def test_a_broken_document_costs_no_process() -> None:
    async with PartReader(PreparerSettings(workers=1, ocr=_NO_OCR)) as pool:
        await text_of(pool, _GOOD, "a.docx")
        before = [process.pid for process in _parsers()]
        with pytest.raises(PermanentError, match=r"b\.docx is damaged"):
            await text_of(pool, _GOOD.replace(b"PK\x01\x02", b"XX\x01\x02"), "b.docx")
        with pytest.raises(PermanentError, match="not well-formed"):
            await text_of(pool, docx("<w:p>"), "c.docx")
        assert [process.pid for process in _parsers()] == before


async def test_what_a_process_leaves_in_its_folder_is_not_written_through(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("kept")
    async with PartReader(PreparerSettings(workers=1, ocr=_NO_OCR)) as pool:
        await text_of(pool, _GOOD, "a.docx")
        (process,) = _parsers()
        scratch = Path(process.cmdline()[-2])
        (scratch / "document").unlink()
        (scratch / "document").symlink_to(kept)
        assert await text_of(pool, _GOOD, "b.docx") == "fine\n\n"
    assert kept.read_text() == "kept"


async def test_memory_stays_below_its_cap_and_going_over_is_said() -> None:
    body = paragraph("x") * 400_000
    settings = PreparerSettings(workers=1, memory_bytes=300 << 20, ocr=_NO_OCR)
    async with PartReader(settings) as pool:
        with pytest.raises(PermanentError, match=r"a\.docx needs more than 0\.29\d* GiB of memory"):
            await text_of(pool, docx(body), "a.docx")
        assert await text_of(pool, _GOOD, "b.docx") == "fine\n\n"


async def test_limits_of_size_text_and_pages_are_said() -> None:
    limits = DocumentLimits(size_bytes=20_000, text_bytes=50, pages=2)
    settings = PreparerSettings(workers=1, limits=limits, ocr=_NO_OCR)
    async with PartReader(settings) as pool:
        with pytest.raises(PermanentError, match=r"a\.txt is 0 MiB, over the limit"):
            await text_of(pool, b"a" * 20_001, "a.txt")
        with pytest.raises(PermanentError, match="of text: split it"):
            await text_of(pool, docx(paragraph("many words " * 10)), "a.docx")
        with pytest.raises(PermanentError, match="over 2 pages: split it"):
            await text_of(pool, pptx([shape(str(at)) for at in range(3)]), "a.pptx")


class _Describer:
    def __init__(self) -> None:
        self.seen: list[bytes] = []

    async def describe(self, picture: bytes) -> str:
        self.seen.append(picture)
        return "A drawing of a door."


async def test_a_vision_model_describes_pictures_at_their_place() -> None:
    inner = '<w:r><w:drawing><wp:docPr descr="door"/><a:blip r:embed="p"/></w:drawing></w:r>'
    data = docx(
        paragraph("before") + paragraph(inner=inner) + paragraph("after"),
        {"p": ("image", "media/p.png")},
        media__p="",
        **{"media__p.png": encoded(written([]))},
    )
    describer = _Describer()
    async with PartReader(PreparerSettings(workers=1, ocr=_NO_OCR), describer) as pool:
        assert await text_of(pool, data, "a.docx") == "before\n\n![door]()\n\nA drawing of a door.\n\nafter\n\n"
    assert [picture[:3] for picture in describer.seen] == [b"\xff\xd8\xff"]


def test_inserted_descriptions_move_the_page_marks_behind_them() -> None:
    part = Part("äb\n\ncd\n\n", "markdown", (PageMark(0, 1), PageMark(5, 2)))
    found = with_descriptions(part, [(5, "seen"), (9, "")])
    assert found.text == "äb\n\nseen\n\ncd\n\n"
    assert found.pages == (PageMark(0, 1), PageMark(5, 2))


async def test_documents_are_read_side_by_side() -> None:
    async with PartReader(PreparerSettings(workers=2, ocr=_NO_OCR)) as pool:
        found = await asyncio.gather(*(text_of(pool, docx(paragraph(f"number {at}")), "a.docx") for at in range(6)))
        assert found == [f"number {at}\n\n" for at in range(6)]
        assert len(_parsers()) == 2
        assert await parts_of(pool, b"", "empty.txt") == []


async def test_a_process_is_not_taken_for_grown_because_its_parent_is_large() -> None:
    ballast = b"x" * (400 << 20)
    settings = PreparerSettings(workers=1, ocr=_NO_OCR, recycle_over_bytes=380 << 20)
    async with PartReader(settings) as pool:
        assert await text_of(pool, _GOOD, "a.docx")
        assert len(_parsers()) == 1
    assert len(ballast) == 400 << 20


@pytest.mark.skipif(importlib.util.find_spec("docling") is not None, reason="docling is installed")
async def test_without_the_extra_the_docling_converter_says_what_to_install() -> None:
    async with PartReader(PreparerSettings(workers=1, converter="docling")) as pool:
        with pytest.raises(PermanentError, match=r"pip install 'syncd\[docling\]'"):
            await text_of(pool, _GOOD, "a.docx")
        assert "| b |" in await text_of(pool, b"a,b\n1,2\n", "a.csv")


def test_a_new_html_engine_makes_pages_and_books_anew_and_no_other_format() -> None:
    pool = DocumentPreparer()
    assert pool.fingerprint("a.html") == pool.fingerprint("a.epub") == pool.fingerprint("page", "text/html") != ""
    others = {pool.fingerprint(name) for name in ("a.docx", "a.pdf", "a.csv", "a.md", "a.py")}
    assert "" in others
    assert pool.fingerprint("a.html") not in others
