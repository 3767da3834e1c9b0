"""Components of user interfaces: scripts by their definitions, the rest as text, all on the lines of the file."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.model import Chunk, Chunking, Part
from syncd.pipeline.chunk import chunk_document

STEPS = "".join(f"  total.value += event.detail.amount * {number} // step {number}\n" for number in range(12))
HANDLERS = "".join(f"function handle{number}(event) {{\n{STEPS}  return {number}\n}}\n\n" for number in range(12))
TYPED = HANDLERS.replace("(event)", "(event: Winch.Turn<number>): number")
TEMPLATE = "".join(f'  <li class="row">\n    <b>{{{{ rope{number} }}}}</b> of hemp\n  </li>\n' for number in range(40))
STYLE = "".join(f".row{number} {{\n  color: teal;\n}}\n" for number in range(60))
TEXTS = {
    "a.vue": f'<template>\n{TEMPLATE}</template>\n\n<script setup generics="T extends Array<string>">\n{HANDLERS}</script>\n\n<style>\n{STYLE}</style>\n',
    "b.vue": f'<script lang="ts">\nexport interface Rope {{ n: number }}\n</script>\n<script setup lang="ts">\n{TYPED}</script>\n<template>\n{TEMPLATE}</template>\n',
    "a.svelte": f"<script context='module'>\nlet a = 1\n</script>\n<script>\n{HANDLERS}</script>\n\n<ul>\n{TEMPLATE}</ul>\n\n<style>\n{STYLE}</style>\n",
    "b.svelte": f"<!-- <script>no()</script> -->\n<script lang=ts>\n{TYPED}</script>\n{{#each ropes as rope}}\n{TEMPLATE}{{/each}}\n",
    "a.astro": f"---\n{TYPED}---\n<ul>\n{TEMPLATE}</ul>\n<script>\nfunction last(n: number) {{ return n }}\n</script>\n<style>\n{STYLE}</style>\n",
}  # fmt: skip


def chunks(text: str, path: str, size_bytes: int = 8192, target_bytes: int = 1500) -> list[Chunk]:
    options = Chunking(max_size_bytes=size_bytes, target_size_bytes=target_bytes)
    return [chunk for found in chunk_document([Part(text, "text")], path, options) for chunk in found]


@pytest.mark.parametrize("name", TEXTS)
def test_every_function_is_whole_and_named_by_a_chunk(name: str) -> None:
    found = chunks(TEXTS[name], name)
    for number in range(12):
        holder = next(chunk for chunk in found if f"function handle{number}(" in chunk.text)
        assert f"return {number}\n}}" in holder.text
        assert holder.symbol.startswith("handle")
        assert (holder.symbol_kind, holder.stage, holder.note) == ("function", "code", "")
    assert {chunk.symbol for chunk in found} - {""} <= {f"handle{number}" for number in range(12)} | {
        "Rope",
        "last",
        "a",
    }
    assert {chunk.language for chunk in found} == {name.rpartition(".")[2]}


@pytest.mark.parametrize("name", TEXTS)
def test_chunks_tile_the_file_and_stand_on_its_lines(name: str) -> None:
    text = TEXTS[name]
    lines = text.splitlines(keepends=True)
    found = chunks(text, name, target_bytes=400)
    assert "".join(chunk.text for chunk in found) == text
    assert len(found) > 10
    for chunk in found:
        assert "".join(lines[chunk.span.start_line - 1 : chunk.span.end_line]) == chunk.text


@pytest.mark.parametrize("name", TEXTS)
def test_a_section_stays_with_the_tag_that_opens_it(name: str) -> None:
    for chunk in chunks(TEXTS[name], name, target_bytes=400):
        first, last = chunk.text.strip().splitlines()[0], chunk.text.strip().splitlines()[-1]
        assert not last.startswith(("<script", "<style"))
        assert first != "</script>"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.vue", f"<script>\n{HANDLERS}"),
        ("a.vue", f"<script lang='x>\n{HANDLERS}</script>\n"),
        ("a.vue", f"<script lang='coffee'>\n{HANDLERS}</script>\n"),
        ("a.svelte", f"<script type='text/x-template'>\n{HANDLERS}</script>\n"),
        ("a.svelte", f"<!-- {HANDLERS}"),
        ("a.astro", f"---\n{HANDLERS}"),
        ("a.astro", TEMPLATE),
    ],
)
def test_what_is_no_script_or_never_closed_is_cut_as_text(name: str, text: str) -> None:
    found = chunks(text, name)
    assert "".join(chunk.text for chunk in found) == text
    assert {chunk.symbol for chunk in found} == {""}


PIECES = ["<script>", "<script lang='ts'>", "</script>", "<style>", "</style>", "<!--", "-->", "---\n", "function a() {", "}", "'", '"', ">", "\n", " ", "é", "<"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES)).map("".join), st.sampled_from(["a.vue", "a.svelte", "a.astro"]))
@settings(max_examples=300, deadline=None)
def test_any_text_is_tiled(text: str, name: str) -> None:
    found = chunks(text, name, 64, 32)
    assert "".join(chunk.text for chunk in found) == ("" if not text or text.isspace() else text)
    assert all(len(chunk.text.encode()) <= 64 for chunk in found)
