"""Files made to break parsers: each ends in a clean error within its limits, or is read harmlessly."""

from __future__ import annotations

import io
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZipFile

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.errors import PermanentError
from syncd.model.formats import document_suffixes
from syncd.pipeline.parse.task import Ocr
from syncd.pipeline.prepare.process import PreparerSettings
from tests.pipeline.parse.documents import (
    archive,
    docx,
    encoded,
    epub,
    odf,
    paragraph,
    pdf,
    pptx,
    shape,
    written,
    xlsx,
    xlsx_members,
)
from tests.pipeline.parse.reading import PartReader, text_of

SUFFIXES = sorted(document_suffixes())
pytestmark = pytest.mark.asyncio(loop_scope="module")
_MEMORY_BYTES = 1 << 30


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict() -> AsyncIterator[PartReader]:
    settings = PreparerSettings(workers=1, memory_bytes=_MEMORY_BYTES, step_limit_s=30, ocr=Ocr(enabled=False))
    async with PartReader(settings) as pool:
        yield pool


async def _fails(pool: PartReader, data: bytes, name: str, words: str = ".") -> None:
    with pytest.raises(PermanentError, match=words) as caught:
        await text_of(pool, data, name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_an_empty_document_is_said_to_be_empty(strict: PartReader, suffix: str) -> None:
    await _fails(strict, b"", f"a{suffix}", "is empty")


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_noise_is_refused(strict: PartReader, suffix: str) -> None:
    await _fails(strict, bytes(range(256)) * 40, f"a{suffix}", "cannot be read as")


def _inflating(member: str, mebibytes: int) -> bytes:
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as package, package.open(member, "w", force_zip64=True) as stream:
        for _ in range(mebibytes):
            stream.write(bytes(1 << 20))
    return out.getvalue()


def _declaring(declared_bytes: int, mib: int) -> bytes:
    """Return an archive whose one part, of `mib` MiB, says that it has another size."""
    data = bytearray(_inflating("word/document.xml", mib))
    for at in (data.index(b"word/document.xml") - 30 + 22, data.rindex(b"word/document.xml") - 46 + 24):
        data[at : at + 4] = declared_bytes.to_bytes(4, "little")
    return bytes(data)


async def test_an_archive_that_unpacks_to_over_a_gigabyte_is_seen_in_its_directory(strict: PartReader) -> None:
    await _fails(strict, _declaring(1_100 << 20, 1), "a.docx", "unpacks to 1,100 MiB, over 1,024 MiB")


@pytest.mark.parametrize(
    ("member", "name"),
    [("word/document.xml", "a.docx"), ("xl/workbook.xml", "a.xlsx"), ("ppt/presentation.xml", "a.pptx")],
)
async def test_a_part_that_grows_two_hundredfold_is_a_bomb(strict: PartReader, member: str, name: str) -> None:
    await _fails(strict, _inflating(member, 40), name, "archive bomb")


@pytest.mark.parametrize(("method", "said"), [(ZIP_BZIP2, "bzip2"), (ZIP_LZMA, "LZMA")])
@pytest.mark.parametrize("name", ["a.docx", "a.epub", "a.xlsx"])
async def test_parts_packed_in_a_way_that_unpacks_without_bounds_are_not_unpacked(
    strict: PartReader, method: int, said: str, name: str
) -> None:
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as package:
        package.writestr("word/document.xml", "<w/>")
        package.writestr("mimetype", bytes(1 << 20), method)
    await _fails(strict, out.getvalue(), name, f"its part mimetype is packed with {said}.* save it again")


async def test_a_part_is_unpacked_no_further_than_it_declares(strict: PartReader) -> None:
    await _fails(strict, _declaring(100, 64), "a.docx", "is damaged")


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_comments_before_no_page_are_read_or_refused_at_once(strict: PartReader, suffix: str) -> None:
    data = b"<!---->" * 60 + b"and no page"
    if suffix in (".html", ".htm", ".xht", ".xhtml", ".csv", ".tsv", ".tab"):
        assert "and no page" in await text_of(strict, data, f"a{suffix}")
    else:
        await _fails(strict, data, f"a{suffix}", "is no notebook" if suffix == ".ipynb" else "cannot be read as")


async def test_a_page_behind_comments_and_a_declaration_is_a_page_under_any_name(strict: PartReader) -> None:
    page = b'\xef\xbb\xbf <?xml version="1.0"?><!-- a > b --> <!--->-->\n<!DOCTYPE  html><p>words'
    assert "words" in await text_of(strict, page, "a.xls")


async def test_an_archive_whose_own_name_is_garbled_is_damaged(strict: PartReader) -> None:
    data = bytearray(archive({"mimetype": "application/epub+zip"}))
    begin = 30 + len("mimetype")  # after the local header
    data[begin : begin + 3] = b"\xff\xff\xff"
    await _fails(strict, bytes(data), "a.epub", "is damaged")


async def test_an_archive_that_lies_about_its_sizes_is_damaged(strict: PartReader) -> None:
    data = bytearray(docx(paragraph("x" * 5_000)))
    at = data.index(b"word/document.xml") - 30
    directory = data.rindex(b"word/document.xml") - 46
    data[at + 22 : at + 26] = data[directory + 24 : directory + 28] = (10).to_bytes(4, "little")
    await _fails(strict, bytes(data), "a.docx", "is damaged")


async def test_a_page_that_inflates_to_half_a_gigabyte_ends_with_its_process(strict: PartReader) -> None:
    packer = zlib.compressobj(1)
    drawn = b"".join(packer.compress(b"q Q " * (1 << 18)) for _ in range(512)) + packer.flush()
    await _fails(strict, pdf(["x"], content=drawn), "a.pdf")


async def test_entities_are_neither_fetched_nor_multiplied(strict: PartReader) -> None:
    outside = '<!DOCTYPE w [<!ENTITY e SYSTEM "file:///etc/hostname">]>'
    laughs = '<!DOCTYPE w [<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {chr(98 + at)} "{f"&{chr(97 + at)};" * 10}">' for at in range(12)
    )
    for prolog, entity in ((outside, "&e;"), (laughs + "]>", "&m;")):
        members = {"word/document.xml": f"{prolog}<w>{entity}</w>", "_rels/.rels": "<r/>"}
        await _fails(strict, archive(members), "a.docx", "not well-formed")


async def test_no_format_fetches_what_an_entity_names(strict: PartReader, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    entity = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>'
    sheet = xlsx_members({"S": {"A1": "a &e; b"}})
    sheet = {name: entity + str(data) if "worksheets" in name else data for name, data in sheet.items()}
    named = {
        "a.xlsx": archive(sheet),
        "a.odt": odf("text", "<text:p>a &e; b</text:p>", prolog=entity),
        "a.epub": epub(["a &e; b"], prolog=entity),
        "a.html": f"{entity}<p>a &e; b</p>".encode(),
    }
    for name, data in named.items():
        try:
            said = await text_of(strict, data, name)
        except PermanentError as error:
            said = str(error)
        assert "SECRET" not in said


async def test_deep_nesting_is_refused(strict: PartReader) -> None:
    deep = "<w:tbl><w:tr><w:tc>" * 20_000 + paragraph("x") + "</w:tc></w:tr></w:tbl>" * 20_000
    await _fails(strict, docx(deep), "a.docx", "nested too deeply")
    await _fails(strict, b"<table><tr><td>" * 20_000, "a.html", "nested over")


async def test_spans_of_a_hundred_million_cells_are_cut(strict: PartReader) -> None:
    page = b'<table><tr><td colspan="100000000" rowspan="100000000">x</td><td>y</td></tr></table>'
    assert "x" in await text_of(strict, page, "a.html")
    row = '<table:table-cell table:number-columns-repeated="99999999"><text:p>x</text:p></table:table-cell>'
    text = await text_of(
        strict, odf("text", f"<table:table><table:table-row>{row}</table:table-row></table:table>"), "a.odt"
    )
    assert len(text) < 10_000


async def test_pages_that_hold_themselves_do_not_hang(strict: PartReader) -> None:
    data = pdf(["x"]).replace(b"/Kids[4 0 R]/Count 1", b"/Kids[2 0 R]/Count 1")
    await _fails(strict, data, "a.pdf")


async def test_a_picture_of_too_many_pixels_is_refused(strict: PartReader) -> None:
    data = encoded(written([], (1, 1)))
    header = data.index(b"IHDR")
    body = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + data[header + 12 : header + 17]
    huge = data[:header] + body + zlib.crc32(body).to_bytes(4, "big") + data[header + 21 :]
    await _fails(strict, huge, "a.png", "60000 x 60000 pixels")


async def test_what_a_file_is_counts_more_than_its_name(strict: PartReader) -> None:
    assert await text_of(strict, docx(paragraph("words")), "a.pdf") == "words\n\n"
    assert "words" in await text_of(strict, pdf(["words"]), "a.docx")
    assert "words" in await text_of(strict, b"<html><body><p>words", "a.xls")


async def _read_or_refused(pool: PartReader, data: bytes, name: str) -> bool:
    """Whether little text came out, or an error that names the document."""
    try:
        return len(await text_of(pool, data, name)) < 100_000
    except PermanentError as error:
        return name in str(error)


_SAMPLES = {
    ".docx": docx(paragraph("a", "H1") + paragraph("b", number=(1, 0))),
    ".pptx": pptx([shape("a", "title")]),
    ".xlsx": xlsx({"S": {"A1": "a", "B2": 1.0}}),
    ".odt": odf("text", "<text:p>a</text:p>"),
    ".pdf": pdf(["a"]),
    ".png": encoded(written(["a"], (50, 50))),
    ".html": b"<h1>a</h1><table><tr><td>b</table>",
    ".csv": b"a,b\n1,2\n",
}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    suffix=st.sampled_from(list(_SAMPLES)),
    at=st.floats(0, 1),
    noise=st.binary(min_size=1, max_size=40),
    cut=st.booleans(),
)
async def test_damaged_documents_are_read_or_refused_in_words(
    strict: PartReader, suffix: str, at: float, noise: bytes, cut: bool
) -> None:
    data = _SAMPLES[suffix]
    place = int(at * len(data))
    damaged = data[:place] + noise + (b"" if cut else data[place + len(noise) :])
    assert await _read_or_refused(strict, damaged, f"a{suffix}")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(suffix=st.sampled_from([*SUFFIXES, ".py", ".md", ""]), data=st.binary(max_size=2_000))
async def test_any_bytes_under_any_suffix_are_read_or_refused_in_words(
    strict: PartReader, suffix: str, data: bytes
) -> None:
    assert await _read_or_refused(strict, data, f"a{suffix}")
