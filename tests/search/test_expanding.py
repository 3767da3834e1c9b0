import pytest

from syncd.search.expanding import Stretch, section_around, without_overlaps
from tests.pipeline.parts import write
from tests.search.test_search import keys, searching

__all__ = ["searching"]
FILES = {
    "store.py": "".join(
        [
            "import os\n\n\n",
            "class Store:\n    def open(self):\n        return os.open('the lighthouse', 0)\n\n",
            "    def close(self):\n        return os.close('the harbour, where boats lie')\n\n",
            "    def sync(self):\n        return os.sync('the breakwater, which is long')\n\n\n",
            "def other():\n    return 'the dunes beyond, and the beach before them'\n",
        ]
    ),
    "sea.md": "# Sea\n\nThe sea is wide, and it is deep as well, they say.\n\n## Tides\n\nThe moon makes them, twice a day, everywhere.\n\n"
    "They are higher in spring, when the moon is new or full, and in some bays.\n\nThey are low at other times, and seldom stay away.\n\n## Fish\n\nHerrings swim in shoals, which are very large.\n",
}


def lines_of(key, first, last):
    return "".join(FILES[key].splitlines(keepends=True)[first - 1 : last])


async def test_a_hit_is_shown_with_lines_around_it_or_with_all_it_is_in(parts, folder, target, searching):
    await parts.sync(folder, target)
    (plain,) = await searching("harbour")
    first, last = plain.metadata["start_line"], plain.metadata["end_line"]
    (wider,) = await searching("harbour", expand=2)
    assert (wider.lines, wider.id) == ((first - 2, last + 2), plain.id)
    assert wider.text == lines_of("store.py", first - 2, last + 2)
    assert wider.text[wider.own_start :].startswith(plain.text)
    assert [wider.text[start:end] for start, end in wider.highlights] == ["harbour"]
    (section,) = await searching("harbour", expand="section")
    assert (section.text, "dunes" in section.text) == (lines_of("store.py", *section.lines), False)
    assert all(word in section.text for word in ("class Store", "lighthouse", "harbour", "breakwater"))
    (tides,) = await searching("seldom", expand="section")
    assert ("## Tides" in tides.text, "Herrings" in tides.text) == (True, False)


async def test_hits_of_a_document_that_touch_are_shown_once(parts, folder, target, searching):
    await parts.sync(folder, target)
    query = "harbour breakwater lighthouse herrings"
    single = await searching(query, rules=frozenset())
    assert sorted(keys(single)) == ["sea.md", *3 * ["store.py"]]
    shown = await searching(query, rules=frozenset(), expand=3)
    assert sorted(keys(shown)) == ["sea.md", "store.py"]
    (code,) = (hit for hit in shown if hit.metadata["key"] == "store.py")
    assert code.text == lines_of("store.py", *code.lines)
    assert sorted([code.id, *code.also]) == sorted(hit.id for hit in single if hit.metadata["key"] == "store.py")
    assert [hit.id for hit in shown] == [hit.id for hit in single if hit.id in {one.id for one in shown}]


async def test_an_expanded_hit_that_has_to_be_cut_keeps_its_own_text(parts, folder, target, searching):
    write(folder, {"long.md": "".join(f"Paragraph {n} says what {n} says.\n\n" for n in range(80)) + "A lobster.\n"})
    await parts.sync(folder, target)
    (hit,) = await searching("lobster", expand=100, max_tokens=60)
    assert (hit.cut, "lobster" in hit.text) == (True, True)
    assert hit.lines[1] == 161


async def test_a_hit_inside_a_line_of_several_chunks_keeps_its_highlights_and_its_own_text(
    parts, folder, target, searching
):
    sentences = " ".join(f"Sentence {n} of the line says so." for n in range(40))
    write(folder, {"line.md": f"{sentences} The lobster is here. {sentences}\n"})
    await parts.sync(folder, target)
    (plain,) = await searching("lobster")
    (wider,) = await searching("lobster", expand=0)
    assert [wider.text[start:end] for start, end in wider.highlights] == ["lobster"]
    assert wider.text[wider.own_start :].startswith(plain.text)
    (cut,) = await searching("lobster", expand=0, max_tokens=80)
    assert (cut.cut, "lobster" in cut.text) == (True, True)


async def test_a_hit_beyond_the_chunks_that_are_read_of_a_line_is_shown_as_it_is(
    parts, folder, target, searching, monkeypatch
):
    sentences = " ".join(f"Sentence {n} of the line says so." for n in range(40))
    write(folder, {"line.md": f"{sentences} The lobster is here.\n"})
    await parts.sync(folder, target)
    (plain,) = await searching("lobster")
    monkeypatch.setattr("syncd.store.texts.MAX_CHUNKS", 3)
    assert await searching("lobster", expand=0) == [plain]


@pytest.mark.parametrize(
    ("place", "bounds"),
    [(0, (0, 3)), (1, (0, 3)), (2, (1, 2)), (4, (4, 5)), (5, (4, 5))],
)
def test_a_section_begins_before_the_first_chunk_that_is_inside_it(place, bounds):
    paths = [[], ["A"], ["A", "b"], ["A"], [], ["C"]]
    assert section_around(paths, place) == bounds


def test_stretches_that_touch_are_one():
    found = without_overlaps([Stretch(10, 12, (0,)), Stretch(1, 3, (1,)), Stretch(4, 5, (2,)), Stretch(7, 8, (3,))])
    assert found == [Stretch(1, 5, (1, 2)), Stretch(7, 8, (3,)), Stretch(10, 12, (0,))]
