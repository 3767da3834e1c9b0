"""Prose in other markup languages than Markdown: headings lead to a place, and what is one thing stays whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.model import Chunk, Chunking, Part
from syncd.pipeline.chunk import chunk_document
from syncd.pipeline.chunk.markups import MARKUPS

PROSE = "".join(f"Step {number}. {'The crew repeats this until the foreman signs. ' * 6}\n\n" for number in range(40))
CODE = "".join(f"    turn({number})  # one more turn of the drum\n" for number in range(40))
ROWS = [(f"rope {number}", f"{number} m of hemp, checked") for number in range(160)]

RST = f"""============
Winch guide
============

Intro.

.. _greasing:

Greasing
--------

{PROSE}
.. code-block:: python
   :caption: turns

{CODE}
Rope care
---------

{PROSE}
The :class:`Rope` class
~~~~~~~~~~~~~~~~~~~~~~~

{PROSE}"""
ORG = f"""#+TITLE: Winch guide
#+AUTHOR: A. Crew

Intro.

* TODO [#A] Greasing :deck:oil:
:PROPERTIES:
:ID: 7
:END:

{PROSE}
#+CAPTION: turns
#+BEGIN_SRC python
{CODE}#+END_SRC

* Rope care

{PROSE}
** The =Rope= class

{PROSE}"""
ADOC = f"""= Winch guide
:toc:

Intro.

[[greasing]]
== Greasing

{PROSE}
.turns
[source,python]
----
{CODE}
== no heading
----

== Rope care

{PROSE}
=== The `Rope` class

{PROSE}"""
TEX = rf"""\documentclass{{article}}
\title{{Winch guide}}
\begin{{document}}
Intro.

\section{{Greasing\label{{sec:g}}}}
{PROSE}
\begin{{lstlisting}}[language=Python]
{CODE}
\section{{no heading}}
\end{{lstlisting}}

\section*{{Rope~care}}
{PROSE}
\subsection[Class]{{The \texttt{{Rope}} class}}
{PROSE}
\end{{document}}
"""
TEXTS = {"a.rst": RST, "a.org": ORG, "a.adoc": ADOC, "a.tex": TEX}
NAMES = list(TEXTS)


def chunks(text: str, path: str, **options: Any) -> list[Chunk]:
    return [chunk for found in chunk_document([Part(text, "text")], path, Chunking(**options)) for chunk in found]


def paths(found: list[Chunk]) -> list[str]:
    """Where chunks stand: the headings above each, and that in it."""
    return [" > ".join([*chunk.scope, *([chunk.symbol] if chunk.symbol else [])]) for chunk in found]


@pytest.mark.parametrize("name", NAMES)
def test_chunks_know_the_headings_above_them(name: str) -> None:
    found = chunks(TEXTS[name], name)
    places = list(dict.fromkeys(paths(found)))
    last = "The =Rope= class" if name == "a.org" else "The Rope class"
    assert places == [
        "Winch guide",
        "Winch guide > Greasing",
        "Winch guide > Rope care",
        f"Winch guide > Rope care > {last}",
    ]
    assert all(chunk.stage == "markdown" and not chunk.note for chunk in found)
    assert {chunk.language for chunk in found} == {
        {"a.rst": "rst", "a.org": "org", "a.adoc": "asciidoc", "a.tex": "latex"}[name]
    }
    assert f"{name}\nWinch guide > Greasing\n" in {chunk.context for chunk in found}


@pytest.mark.parametrize("name", NAMES)
def test_a_heading_stays_with_its_body_and_a_listing_whole_with_what_leads_to_it(name: str) -> None:
    found = chunks(TEXTS[name], name)
    heading = next(chunk for chunk in found if "Rope" in chunk.text and chunk.symbol == "Rope care")
    assert "Step 0" in heading.text
    greasing = next(chunk for chunk in found if "Greasing" in chunk.text)
    assert "Step 0" in greasing.text
    assert ("greasing" in greasing.text) == (name in ("a.rst", "a.adoc"))
    listing = next(chunk for chunk in found if "turn(0)" in chunk.text)
    assert "turn(39)" in listing.text
    assert "turns" in listing.text or name == "a.tex"


@pytest.mark.parametrize("name", NAMES)
def test_chunks_tile_the_file_and_stand_on_its_lines(name: str) -> None:
    text = TEXTS[name]
    lines = text.splitlines(keepends=True)
    found = chunks(text, name, max_size_bytes=1024)
    assert "".join(chunk.text for chunk in found) == text
    assert len(found) > 5
    for chunk in found:
        assert "".join(lines[chunk.span.start_line - 1 : chunk.span.end_line]) == chunk.text


TABLES = {
    "a.rst": "+------+------+\n| rope | what |\n+======+======+\n" + "".join(f"| {a} | {b} |\n+------+------+\n" for a, b in ROWS),
    "b.rst": "======= =====\nrope    what\n======= =====\n" + "".join(f"{a}  {b}\n" for a, b in ROWS) + "======= =====\n",
    "a.org": "#+NAME: ropes\n| rope | what |\n|------+------|\n" + "".join(f"| {a} | {b} |\n" for a, b in ROWS),
    "a.adoc": ".Ropes\n|===\n|rope |what\n\n" + "".join(f"|{a} |{b}\n" for a, b in ROWS) + "|===\n",
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_does_not_fit_repeats_its_header(name: str) -> None:
    found = chunks(f"{TABLES[name]}\nThe end.\n", name, max_size_bytes=2000)
    inside = [chunk for chunk in found if "rope 80" in chunk.text or "rope 120" in chunk.text]
    assert inside
    for chunk in inside:
        assert "rope" in chunk.context.splitlines()[-1]
        assert "what" in chunk.context.splitlines()[-1]


def test_a_table_that_fits_is_whole() -> None:
    for name, table in TABLES.items():
        found = chunks(f"{PROSE}\n{table}\n{PROSE}", name, max_size_bytes=16_000)
        assert any(table in chunk.text for chunk in found), name


LISTS = {
    "a.rst": "- {0}\n\n  More of it.\n\n  - nested {0}\n",
    "a.org": "- {0}\n\n  More of it.\n\n  - nested {0}\n",
    "a.adoc": "* {0}\n+\n----\nMore of it.\n----\n\n** nested {0}\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_an_item_keeps_what_belongs_to_it(name: str) -> None:
    items = [LISTS[name].format(f"item {number} {'with words ' * 30}") for number in range(30)]
    for chunk in chunks("".join(items), name):
        assert chunk.text in "".join(items)
        assert chunk.text.lstrip().startswith(("- item", "* item"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.rst", "Text::\n\n    Title\n    =====\n\n.. comment\n\n   Title\n   -----\n\n=====  =====\na      b\n=====  =====\n1      2\n=====  =====\n\nEnd.\n"),
        ("a.rst", "A paragraph of\ntwo lines\n=====\n\n- item\n\n-----\n\nEnd.\n"),
        ("a.org", "#+BEGIN_QUOTE\n,* no headline\n#+END_QUOTE\n*bold* words\n"),
        ("a.adoc", "----\n== no\n----\n\n....\n== no\n....\n\n////\n== no\n////\n"),
        ("a.tex", "% \\section{no}\n\\begin{verbatim}\n\\section{no}\n\\begin{table}\n\\end{verbatim}\n"),
    ],
)  # fmt: skip
def test_what_only_looks_like_a_heading_is_none(name: str, text: str) -> None:
    assert [
        block.title for block in MARKUPS[chunks(text, name)[0].language](text.encode()) if block.kind == "heading"
    ] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.org", "#+BEGIN_SRC\nforgotten\n\n* Winch\n\ntext\n"),
        ("a.adoc", "----\nforgotten\n\n== Winch\n\ntext\n"),
        ("a.tex", "\\begin{table}\nforgotten\n\n\\section{Winch}\n\ntext\n"),
        ("a.tex", "\\begin{custom}\n\\section{Winch}\ntext\n\\end{custom}\n"),
        ("a.rst", "=====  =====\na      b\n\nWinch\n=====\n\ntext\n"),
        ("a.adoc", "Winch\n-----\n\ntext\n"),
    ],
)
def test_what_is_never_closed_hides_no_heading(name: str, text: str) -> None:
    assert chunks(text, name)[-1].symbol == "Winch"


def test_nothing_that_a_text_names_is_read() -> None:
    for name, text in {
        "a.tex": "\\input{/etc/passwd}\n\\include{secret}\n",
        "a.rst": ".. include:: /etc/passwd\n\n.. literalinclude:: /etc/passwd\n",
        "a.adoc": "include::/etc/passwd[]\n",
        "a.org": '#+INCLUDE: "/etc/passwd"\n',
    }.items():
        assert [chunk.text for chunk in chunks(text, name)] == [text]


PIECES = ["= ", "== a", "a\n", "===", "----", "|===", "+--+", "+==+", "| a", "* ", "** a", "#+BEGIN_x", "#+END_x", ":END:", ":a:", "\\begin{a}",
    "\\end{a}", "\\section{", "\\begin{verbatim}", "\\end{verbatim}", "::", ".. a::", ".. _a:", "[a]", ".a", "+", "  ", "\n", "\n\n", "}", "é", "|---"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES)).map("".join), st.sampled_from([*NAMES]))
@settings(max_examples=300, deadline=None)
def test_any_text_is_tiled(text: str, name: str) -> None:
    found = chunks(text, name, max_size_bytes=64, target_size_bytes=32)
    assert "".join(chunk.text for chunk in found) == ("" if not text or text.isspace() else text)
    assert all(len(chunk.text.encode()) <= 64 for chunk in found)
