import pytest

from syncd.errors import NotFoundError
from syncd.model import Target
from syncd.search.judged import JudgedQuestion, TextPlace
from syncd.search.made_questions import in_turns, made_of, made_questions
from syncd.store.texts import TextChunk

FILES = {
    "docs/index.md": "# Start here\n\nSee [how lamps are lit at dusk](guide/lamp.md#oil) and [the missing page](gone.md).\n",
    "docs/guide/lamp.md": "# Lighting the big lamp\n\nThe keeper lights it.\n",
    "store.py": 'def close(path):\n    """Close what was opened at a path. It waits."""\n    return path\n',
}


def made(text, key, stage, **metadata):
    chunk = TextChunk(text, {"start_line": 1, "end_line": 3, "stage": stage, **metadata})
    return list(made_of(chunk, key, frozenset(FILES)))


def test_links_headings_and_docstrings_make_questions():
    (heading,) = made(FILES["docs/guide/lamp.md"], "docs/guide/lamp.md", "markdown")
    assert heading == JudgedQuestion("Lighting the big lamp", [TextPlace("docs/guide/lamp.md", 1, 1)], "heading")
    (link,) = made(FILES["docs/index.md"], "docs/index.md", "markdown")
    assert (link.text, link.answers) == ("how lamps are lit at dusk", [TextPlace("docs/guide/lamp.md")])
    assert link.made_from == {"docs/index.md"}
    (docstring,) = made(FILES["store.py"], "store.py", "code", symbol="close")
    assert (docstring.text, docstring.kind) == ("Close what was opened at a path", "docstring")


@pytest.mark.parametrize(
    "comment",
    [
        "/**\n * Opens the valve of the tank.\n */",
        "/** Opens the valve of the tank. */",
        "/// Opens the valve of the tank.",
        "// Opens the valve of the tank. Twice.",
    ],
)
def test_comments_of_other_languages_are_docstrings(comment):
    (one,) = made(f"{comment}\nfn open() {{}}\n", "a.rs", "code", symbol="open")
    assert one.text == "Opens the valve of the tank"
    assert made(f"{comment}\n", "a.rs", "code") == []


def test_kinds_take_turns_and_what_several_places_answer_asks_for_none():
    def one(text, kind, key="a"):
        return JudgedQuestion(text, [TextPlace(key)], kind)

    some = [one(f"heading {n}", "heading") for n in range(9)] + [one("a link", "link"), one("A Link", "link", "b")]
    some += [one("said of a", "docstring"), one("Said of A", "docstring")]
    found = in_turns(some, 4)
    assert [question.kind for question in found] == ["docstring", "heading", "heading", "heading"]
    assert in_turns(some, 4) == found


async def test_a_collection_makes_its_questions(parts, folder, target):
    with pytest.raises(NotFoundError, match="never wrote"):
        await made_questions(parts.store, Target(target.database, "nowhere"), 9)
    await parts.sync(folder, target)
    found = await made_questions(parts.store, target, 9)
    assert {question.kind for question in found} == {"link", "docstring", "heading"}
    assert await made_questions(parts.store, target, 1) == found[:1]
