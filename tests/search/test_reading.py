import pytest

from syncd.errors import NotFoundError
from syncd.model import Target
from syncd.search.passages import Selection
from syncd.search.reading import read_text
from tests.pipeline.parts import write

LAMP = "# Lamps\n\nThe keeper lights the lamp.\n\n## Oil\n\nEvery lamp needs oil.\n"
FILES = {"docs/lamp.md": LAMP, "store/client.py": "def make(name):\n    return name\n"}


async def test_a_document_is_read_from_the_store_as_it_was_synced(parts, folder, target):
    await parts.sync(folder, target)
    (folder / "docs/lamp.md").unlink()

    async def read(key, **wanted):
        return await read_text(parts.store, target, key, Selection(**wanted), 1000)

    whole = await read("docs/lamp.md")
    assert (whole.passage.text, whole.passage.next_line, whole.documents) == (LAMP, None, 1)
    assert (await read("docs/lamp.md", first_line=3, last_line=3)).passage.text == "The keeper lights the lamp.\n"
    assert (await read("docs/lamp.md", heading="Oil")).passage.text.endswith("Every lamp needs oil.\n")
    assert (await read("store/client.py", heading="make")).passage.text == FILES["store/client.py"]
    with pytest.raises(NotFoundError, match=r"did you mean docs/lamp\.md\?"):
        await read("lamp.md")
    with pytest.raises(NotFoundError, match="no such part"):
        await read("docs/lamp.md", first_line=99)
    with pytest.raises(NotFoundError, match="never wrote"):
        await read_text(parts.store, Target(target.database, "nowhere"), "a", Selection(), 1000)


SECTIONS = "".join(f"# Part {n}\n\nThe keeper of part {n} has a lamp and much oil.\n\n" for n in range(12))


@pytest.fixture
async def long_document(parts, folder, target, monkeypatch):
    """Read a document of more chunks than are read at once."""
    write(folder, {"long.md": SECTIONS})
    await parts.sync(folder, target)
    monkeypatch.setattr("syncd.search.reading.MAX_CHUNKS", 2)
    monkeypatch.setattr("syncd.store.texts.MAX_CHUNKS", 2)

    async def read(max_tokens=1000, **wanted):
        return (await read_text(parts.store, target, "long.md", Selection(**wanted), max_tokens)).passage

    return read


async def test_a_document_of_more_chunks_than_are_read_at_once_is_read_whole(long_document):
    assert (await long_document()).text == SECTIONS
    read, at = "", 0
    while at is not None:
        found = await long_document(max_tokens=40, first_byte=at)
        read, at = read + found.text, found.next_byte
    assert read == SECTIONS


async def test_a_heading_is_found_wherever_in_a_document_it_is(long_document):
    for n in (0, 5, 11):
        assert f"The keeper of part {n} has" in (await long_document(heading=f"Part {n}")).text
    with pytest.raises(NotFoundError, match="no such part"):
        await long_document(heading="Part 12")


async def paginated(parts, own=None):
    """Give each section of the long document a page; `own`: what the document itself says under that name."""
    page = "json_extract(metadata, '$.start_line') / 4 + 1"
    pages = f"'$.page', {page}" if own is None else f"'$.page', ?, '$.syncd_page', {page}"
    statement = (
        f"UPDATE chunks SET metadata = json_set(metadata, {pages}) WHERE json_extract(metadata, '$.key') = 'long.md'"
    )
    await parts.store.database.write(lambda c: c.execute(statement, () if own is None else (own,)))


@pytest.mark.parametrize("own", [None, "cover", 3])
async def test_pages_are_found_wherever_in_a_document_they_are(parts, long_document, own):
    await paginated(parts, own)
    page = (await long_document(first_page=11, last_page=11)).text
    assert ("part 10 has" in page, "part 9 has" in page, "part 11 has" in page) == (True, False, False)
    assert (await long_document(last_page=12)).text == SECTIONS
    assert "part 1 has" not in (await long_document(last_page=1)).text
    assert (await long_document(first_page=2)).text == SECTIONS[SECTIONS.index("# Part 1") :]
    with pytest.raises(NotFoundError, match="no such part"):
        await long_document(first_page=13)


async def test_what_is_asked_of_pages_headings_and_lines_counts_together(parts, long_document):
    await paginated(parts)
    assert "part 4 has" in (await long_document(first_page=5, last_page=6, heading="Part 4")).text
    with pytest.raises(NotFoundError, match="no such part"):
        await long_document(first_page=5, last_page=6, heading="Part 9")
    with pytest.raises(NotFoundError, match="no such part"):
        await long_document(last_page=2, heading="Part 9")
    with pytest.raises(NotFoundError, match="no such part"):
        await long_document(last_page=2, first_line=20)


async def test_a_chunk_that_reaches_into_a_page_is_on_it(parts, folder, target, long_document):
    await paginated(parts)
    statement = (
        "UPDATE chunks SET metadata = json_set(metadata, '$.last_page', 11) WHERE json_extract(metadata, '$.page') = 10"
    )
    await parts.store.database.write(lambda c: c.execute(statement))
    assert "part 9 has" in (await long_document(first_page=11, last_page=11)).text
