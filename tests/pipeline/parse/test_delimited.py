"""CSV and its kin: encodings, delimiters, titles, and the lines of the file itself."""

# ruff: noqa: RUF001 - words in other letters

from __future__ import annotations

import pytest

from syncd.errors import PermanentError
from syncd.model import Chunking
from syncd.pipeline.chunk import chunk_document
from tests.pipeline.parse.reading import PartReader, parts_of, text_of, warnings_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1251", "Судно;Порт\nЛадога;Выборг\nОнега;Азов\n"),
        ("koi8_r", "Судно;Порт\nЛадога;Выборг\nОнега;Азов\n"),
        ("cp866", "Судно;Порт\nЛадога;Выборг\nОнега;Азов\n"),
        ("iso8859_5", "Судно;Порт\nЛадога;Выборг\nОнега;Азов\n"),
        ("mac_cyrillic", "Судно;Порт\nЛадога;Выборг\nОнега;Азов\n"),
        ("utf-16-le", "Судно;Порт\nЛадога;Выборг\nОнега;Азов\n"),
        ("utf-16-be", "Schiff;Hafen\nMöwe;Lübeck\n"),
        ("iso8859_2", "Statek;Port\nŚwiatowid;Łódź\nGrażyna;Świnoujście\n"),
        ("iso2022_jp", "船名;港\n富士丸;横浜\n桜丸;神戸\n"),
        ("hz", "船名;港口\n长江号;武汉\n黄河号;天津\n"),
        ("gb18030", "船名;港口\n长江号;武汉\n黄河号;天津\n"),
        ("cp932", "船名;港\n富士丸;横浜\n桜丸;神戸\n"),
        ("cp949", "배;항구\n한강호;부산\n백두호;인천\n"),
        ("cp1253", "Πλοίο;Λιμάνι\nΑθηνά;Πειραιάς\n"),
        ("cp1252", "Schiff;Hafen\nMöwe;Lübeck\nGröße;Köln\n"),
    ],
)
async def test_a_file_that_does_not_say_its_encoding_is_read_as_it_looks_which_is_said(
    pool: PartReader, encoding: str, text: str
) -> None:
    first = text.splitlines()[0].split(";")
    data = text.encode(encoding)
    assert (await text_of(pool, data, "a.csv")).startswith(f"| {first[0]} | {first[1]} |\n")
    assert text.split()[-1].split(";")[1] in await text_of(pool, data, "a.csv")
    assert await warnings_of(pool, data, "a.csv") == {"encoding_guessed": 1}


async def test_where_the_first_letters_beyond_ascii_come_late_they_are_looked_for(pool: PartReader) -> None:
    data = ("a;b\n" + "plain;words\n" * 20_000 + "Тула;Омск\n" * 3).encode("cp1251")
    assert "| Тула | Омск |" in await text_of(pool, data, "a.csv")


async def test_what_looks_like_no_text_is_refused(pool: PartReader) -> None:
    for data in (b"a;b\n\xff\x80\xff\x90;1\n" * 9, b"a;b\n\x81\xff\x8d\xff;1\n"):
        with pytest.raises(PermanentError, match=r"how a\.csv is encoded could not be found out: save it as UTF-8"):
            await text_of(pool, data, "a.csv")
    assert await warnings_of(pool, "größe;b\n1;2".encode(), "a.csv") == {}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
async def test_what_is_valid_utf_8_is_believed_whatever_characters_it_has(pool: PartReader, mark: str) -> None:
    text = await text_of(pool, f"{mark}name,city\nMüller,Köln\nJos\ufffd,Par\x85is\n\x1a".encode(), "a.csv")
    assert "| Jos\ufffd |" in text
    assert "\x1a" not in text
    assert await text_of(pool, b"a,b\r\n1,2\r\n\x1a", "a.csv") == await text_of(pool, b"a,b\r\n1,2\r\n", "a.csv")


async def test_commas_in_sentences_part_no_columns(pool: PartReader) -> None:
    text = 'remark\nRope, tar\n"Nails, too"\nNothing; else\n'
    assert (
        await text_of(pool, text.encode(), "a.csv")
        == "| remark |\n| --- |\n| Rope, tar |\n| Nails, too |\n| Nothing; else |\n\n"
    )
    assert "| a | b |" in await text_of(pool, b"Report\nof May\nby hand\na,b\n1,2\n", "a.csv")


@pytest.mark.parametrize(
    "text", ["gate\n06:15\n08:40\n", "link\nhttps://example.org/a?x=1\nhttps://example.org/b\n", "x\n1\n"]
)
async def test_one_column_stays_one(pool: PartReader, text: str) -> None:
    lines = text.split()
    assert (
        await text_of(pool, text.encode(), "a.csv")
        == "\n".join([f"| {lines[0]} |", "| --- |", *(f"| {line} |" for line in lines[1:])]) + "\n\n"
    )


async def test_times_between_commas_do_not_part_rows(pool: PartReader) -> None:
    assert "| ramp | 20:53:06 | 2027-09-01T19:28:21 |" in await text_of(
        pool, b"ramp,20:53:06,2027-09-01T19:28:21\nquay,21:03:16,2027-09-02T19:28:21\n", "a.csv"
    )


async def test_a_declared_delimiter_and_title_lines_are_no_header(pool: PartReader) -> None:
    table = "| who | fee |\n| --- | --- |\n| Ann | 3,5 |\n| Bo | 4,0 |\n\n"
    assert await text_of(pool, b"sep=;\r\nwho;fee\r\nAnn;3,5\r\nBo;4,0\r\n", "a.csv") == table
    assert await text_of(pool, b'"sep=;"\nwho;fee\nAnn;3,5\nBo;4,0\n', "a.csv") == table
    titled = b"Fees of the harbour\n\nAs of May;\nwho;fee\nAnn;3,5\nBo;4,0\n"
    assert await text_of(pool, titled, "a.csv") == f"Fees of the harbour\n\nAs of May\n\n{table}"


async def test_a_tsv_file_is_a_table_too(pool: PartReader) -> None:
    assert await text_of(pool, b"a\tb\n1\t2\n", "a.tsv") == "| a | b |\n| --- | --- |\n| 1 | 2 |\n\n"


async def test_chunks_name_the_lines_of_the_file_itself(pool: PartReader) -> None:
    rows = [f'no{at},"two\nlines",{"x" * 60}' for at in range(6_000)]
    data = ("id,note,more\n" + "\n".join(rows)).encode()
    parts = await parts_of(pool, data, "a.csv")
    assert len(parts) == 2
    lines = data.decode().split("\n")
    for chunk in [chunk for chunks in chunk_document(parts, "a.csv", Chunking()) for chunk in chunks]:
        ids = [cell.split(" | ")[0].strip("| ") for cell in chunk.text.splitlines() if cell.startswith("| no")]
        first, last = int(ids[0][2:]), int(ids[-1][2:])
        assert chunk.span.start_line == (1 if first == 0 else 2 + 2 * first)
        assert chunk.span.end_line == 3 + 2 * last
        assert lines[1 + 2 * first].startswith(ids[0])
