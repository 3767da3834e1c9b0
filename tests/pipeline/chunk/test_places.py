"""Headings and names that are none, and names behind macros."""

import pytest

from syncd.model import Chunk, Chunking, Part
from syncd.pipeline.chunk import chunk_document

LINES = "    n += weigh(n, 1);\n" * 20
FILLER = "".join(f"Note {number}: {'read the dial and write it down. ' * 12}\n\n" for number in range(30))


def chunks(text: str, path: str) -> list[Chunk]:
    parts = [Part(text, "markdown" if path.endswith(".md") else "text")]
    return [chunk for found in chunk_document(parts, path, Chunking()) for chunk in found]


@pytest.mark.parametrize(
    "html",
    [
        "<!--\n# Old\n\nDo not use.\n-->\n",
        "<!-- one\n## Old\n-->\n",
        "<pre>\n# stop the service\n\n# Old\n</pre>\n",
        "<script type='x'>\n# Old\n</script>\n",
        "text\n<style>\n# Old\n</style>\n",
        "{/*\n# Old\n\n## Older\n*/}\n",
    ],
)
def test_nothing_in_comments_and_preformatted_text_is_a_heading(html):
    found = chunks(f"# Guide\n\n## Install\n\n{html}\n{FILLER}## End\n\n{FILLER}", "a.md")
    scopes = {chunk.scope for chunk in found if "Note 29" in chunk.text and chunk.scope}
    assert scopes == {("Guide", "Install"), ("Guide", "End")}
    assert not any("Old" in place for chunk in found for place in (*chunk.scope, chunk.symbol))


def test_one_that_is_never_closed_hides_no_headings():
    found = chunks(f"# Guide\n\n<!-- forgotten\n\n## End\n\n{FILLER}", "a.md")
    assert any(chunk.scope == ("Guide", "End") for chunk in found)
    assert any(
        chunk.scope == ("Guide", "End") for chunk in chunks(f"# Guide\n\n<!-- done -->\n\n## End\n\n{FILLER}", "a.md")
    )


@pytest.mark.parametrize(
    "macro", ["HARBOUR_API", "Q_EXPORT", 'DLL("x")', "HARBOUR_API PACKED", "HARBOUR_API DEPRECATED(1) PACKED"]
)
def test_a_class_behind_an_export_macro_has_its_own_name(macro):
    body = "".join(f"  int load{at}(int n) {{\n{LINES}    return n;\n  }}\n" for at in range(8))
    found = chunks(f'#include "a.h"\n\nclass {macro} Ferry : public Vessel {{\n public:\n{body}}};\n', "a.cpp")
    assert (found[0].symbol, found[0].symbol_kind) == ("Ferry", "class")
    assert {chunk.scope for chunk in found[1:]} == {("Ferry",)}
    assert macro in found[0].text
