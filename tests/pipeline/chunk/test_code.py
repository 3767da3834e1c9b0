"""Source code is cut where its structure allows it."""

from __future__ import annotations

import pytest

from syncd.model import Chunk, Chunking, Part
from tests.pipeline.chunking import chunks_of_document


def chunks_of(text: str, path: str, target: int = 400, maximum: int = 2000) -> list[Chunk]:
    chunking = Chunking(max_size_bytes=maximum, target_size_bytes=target)
    chunks = chunks_of_document([Part(text, "text")], path, chunking)
    assert "".join(chunk.text for chunk in chunks) == text
    return chunks


def holding(chunks: list[Chunk], text: str) -> Chunk:
    return next(chunk for chunk in chunks if text in chunk.text)


def python_function(name: str, statements: int = 12) -> str:
    body = "".join(f"    value_{number} = compute({number}) + {number}\n" for number in range(statements))
    return f"# Why {name} is there,\n# in two lines.\n@decorated\ndef {name}(argument):\n{body}    return value_0\n\n\n"


def test_functions_up_to_the_limit_stay_whole_with_comments_and_decorators():
    functions = [python_function(f"function_{number}", 5 + 5 * number) for number in range(9)]
    chunks = chunks_of("import os\n\n\n" + "".join(functions), "a.py")
    for function in functions:
        assert sum(function.strip() in chunk.text for chunk in chunks) == 1


def test_a_function_over_the_limit_is_cut_between_statements():
    function = python_function("long", 150)
    chunks = chunks_of(function, "a.py")
    assert len(chunks) > 3
    assert all(chunk.text.lstrip().startswith(("#", "value_", "return")) for chunk in chunks)
    assert chunks[0].text.count("value_") > 1
    assert all(chunk.scope == ("long",) for chunk in chunks[1:])
    assert all(chunk.symbol == "long" or chunk.symbol.startswith("value_") for chunk in chunks)


def test_a_class_header_stays_with_its_first_member_and_names_the_others_scope():
    methods = "".join(f"    def method_{number}(self):\n" + "        self.work()\n" * 14 + "\n" for number in range(6))
    chunks = chunks_of(f'class Widget(Base):\n    """What it is."""\n\n{methods}', "w.py")
    assert "def method_0" in holding(chunks, "class Widget").text
    last = holding(chunks, "def method_5")
    assert last.scope == ("Widget",)
    assert last.symbol.startswith("method_")
    assert last.symbol_kind == "function"
    assert last.language == "python"
    assert last.context == "w.py\nWidget\n"


def test_a_long_class_header_is_not_cut_from_its_first_member():
    bases = "".join(f"    InterfaceNumber{number},\n" for number in range(15))
    methods = "".join(f"    void method{number}() {{\n" + "        work();\n" * 22 + "    }\n\n" for number in range(3))
    chunks = chunks_of(f"class Widget implements\n{bases}    Last {{\n\n{methods}}}\n", "Widget.java")
    assert "void method0" in holding(chunks, "class Widget").text


def test_errors_in_the_source_do_not_stop_it_from_being_cut_at_functions():
    text = "def broken(:\n    ((( ]\n\n" + "".join(python_function(f"f{number}", 8) for number in range(8))
    chunks = chunks_of(text, "a.py")
    assert {chunk.stage for chunk in chunks} == {"code"}
    assert sum(chunk.text.startswith("# Why") for chunk in chunks) >= 3


def test_callbacks_are_cut_but_named_functions_are_not():
    tests = "".join(
        f'  it("does {number}", () => {{\n' + "    expect(one).toBe(one);\n" * 12 + "  });\n" for number in range(5)
    )
    chunks = chunks_of(f'describe("all", () => {{\n{tests}}});\n', "a.test.js")
    assert len(chunks) >= 3
    assert all(chunk.text.startswith(("describe", "  it(")) for chunk in chunks)
    text = "const named = () => {\n" + "  call(1);\n" * 150 + "};\n"
    assert [chunk.symbol for chunk in chunks_of(text, "a.js")] == ["named"]


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("a.py", "class A:\n    pass\n", ("A", "class")),
        ("a.py", "@cache\ndef f():\n    pass\n", ("f", "function")),
        ("a.rs", "/// Doc.\npub fn f() -> u8 {\n    1\n}\n", ("f", "function")),
        ("a.rs", "impl Widget {\n    fn f(&self) {}\n}\n", ("Widget", "impl")),
        ("a.go", "package a\n\n// F does.\nfunc (w *W) F() int {\n\treturn 1\n}\n", ("F", "method")),
        ("A.java", "public class A {\n    int f() { return 1; }\n}\n", ("A", "class")),
        ("a.c", "static int *f(void)\n{\n    return 0;\n}\n", ("f", "function")),
        ("a.cc", "template <class T>\nint n::A::f() { return 2; }\n", ("n::A::f", "function")),
        ("a.cs", "namespace N { class A { } }\n", ("N", "namespace")),
        ("a.kt", "fun f(): Int {\n    return 1\n}\n", ("f", "function")),
        ("a.rb", "class A\n  def f\n  end\nend\n", ("A", "class")),
        ("a.php", "<?php\nfunction f() {\n  return 1;\n}\n", ("f", "function")),
        ("a.swift", "func f() -> Int {\n  return 1\n}\n", ("f", "function")),
        ("a.ts", "export class A {\n  f(): number { return 1 }\n}\n", ("A", "class")),
        ("a.ts", "export const f = async () => {\n  return 1;\n};\n", ("f", "function")),
        ("a.ex", "defmodule A do\n  def f(x), do: x\nend\n", ("A", "defmodule")),
        ("a.clj", "(defn f [x]\n  (inc x))\n", ("f", "defn")),
        ("a.sh", "f() {\n  echo 1\n}\n", ("f", "function")),
        ("a.sql", "CREATE TABLE things (a int);\n", ("things", "create_table")),
        ("a.lua", "local function f()\nend\n", ("f", "function")),
        ("a.proto", "message A {\n  string a = 1;\n}\n", ("A", "message")),
        ("a.toml", "[section.inner]\na = 1\n", ("section.inner", "table")),
        ("Makefile", "all: a b\n\techo\n", ("all", "rule")),
    ],
)
def test_a_chunk_names_what_it_defines(path: str, text: str, expected: tuple[str, str]):
    [chunk] = chunks_of(text, path)
    assert (chunk.symbol, chunk.symbol_kind) == expected


def test_minified_unknown_and_huge_sources_are_cut_as_text_and_say_so():
    minified = "function a(){return b(c,d)};" * 2000
    assert {(chunk.stage, chunk.note) for chunk in chunks_of(minified, "a.js")} == {("lines", "minified")}
    unknown = "some words\n" * 200
    assert {(chunk.stage, chunk.note) for chunk in chunks_of(unknown, "a.zzz")} == {("lines", "")}
    huge = "x = 1\n" * 750_000
    chunks = chunks_of(huge, "a.py", target=4000, maximum=8000)
    assert {(chunk.stage, chunk.note) for chunk in chunks} == {("lines", "too large to parse")}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("nested.json", "[\n" * 5_000 + "]\n" * 5_000),
        ("chain.js", "if(a){b()}" + "".join(f"else if(a{n}){{b({n})}}\n" for n in range(3_000))),
        ("nested.py", "".join("  " * depth + "if x:\n" for depth in range(400)) + "  " * 400 + "pass\n"),
        ("string.py", 'x = """' + "word " * 20_000 + '"""\n'),
        ("unclosed.rs", "fn main() {\n" + "(\n" * 9_000),
        ("nul.c", "int a;\0\0\nint f(){return 1;}\n" * 500),
        ("crlf.py", "def f():\r\n    return 1\r\n\r\n" * 500),
        ("list.py", "X = [\n" + "".join(f"    {n},\n" for n in range(9_000)) + "]\n"),
    ],
)
def test_hostile_sources_are_cut_within_the_limit(path: str, text: str):
    chunks = chunks_of(text, path, target=1500, maximum=8192)
    assert max(len(chunk.text.encode()) for chunk in chunks) <= 8192
    assert len(chunks) < len(text) / 300


def test_code_whose_parse_has_failed_is_cut_as_text():
    chunks = chunks_of_document([Part(python_function("f"), "text")], "a.py", Chunking(), parsed_segments=0)
    assert {(chunk.stage, chunk.language, chunk.note) for chunk in chunks} == {("whole", "python", "parser failed")}


def test_an_insertion_changes_only_the_chunks_around_it():
    rows = [f"    entry_{number}: {number * 7919 % 1000},\n" for number in range(3_000)]
    before = {chunk.text for chunk in chunks_of("X = {\n" + "".join(rows) + "}\n", "a.py")}
    rows.insert(100, "    entry_new: 1,\n")
    after = [chunk.text for chunk in chunks_of("X = {\n" + "".join(rows) + "}\n", "a.py")]
    assert sum(text not in before for text in after) < len(after) / 4
