"""Every grammar of the wheel loads, has a file or a reason, and needs no network."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest
from tree_sitter_language_pack import SupportedLanguage

from syncd.pipeline.chunk.languages import EMBEDDED, INTERPRETERS, NAMES, SUFFIXES, grammar, grammar_of

OFFLINE = """
import socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("the network was asked")

socket.socket = socket.create_connection = socket.getaddrinfo = refuse
from syncd.model import Chunking, Part
from tests.pipeline.chunking import chunks_of_document

files = {"a.py": "def f():\\n    pass\\n", "b.rs": "fn f() {}\\n", "c.cs": "class C {}\\n", "d.yaml": "a: 1\\n", "e.erb": "<%= x %>\\n",
    "f.kt": "fun f() {}\\n", "g.zig": "fn f() void {}\\n", "h.sql": "SELECT 1;\\n", "i.md": "# A\\n"}
for path, text in files.items():
    chunks = chunks_of_document([Part(text, "text")], path, Chunking())
    assert chunks and chunks[0].stage in ("code", "markdown") and not chunks[0].note, (path, chunks)
print("parsed", len(files))
"""


def names_of_the_wheel() -> set[str]:
    return set(get_args(SupportedLanguage))


def test_every_grammar_of_the_wheel_loads():
    assert [name for name in sorted(names_of_the_wheel()) if grammar(name) is None] == []


def test_every_grammar_has_a_suffix_or_a_name_or_stands_inside_other_files():
    assert set(SUFFIXES.values()) | set(NAMES.values()) | EMBEDDED == names_of_the_wheel()
    assert set(INTERPRETERS.values()) <= names_of_the_wheel()


def test_an_unknown_grammar_is_none():
    assert grammar("klingon") is None


@pytest.mark.parametrize("prefix", [[], ["unshare", "--user", "--net"]], ids=["sockets refuse", "no network namespace"])
def test_grammars_need_no_network(prefix: list[str]):
    if prefix and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make network namespaces")
    done = subprocess.run([*prefix, sys.executable, "-c", OFFLINE], capture_output=True, text=True, check=False)
    assert done.stdout == "parsed 9\n", done.stderr


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("src/a.py", "", "python"),
        ("A.RS", "", "rust"),
        ("win\\dir\\x.cs", "", "csharp"),
        ("docker/Dockerfile", "", "dockerfile"),
        ("Dockerfile.dev", "", "dockerfile"),
        ("CMakeLists.txt", "", "cmake"),
        ("requirements-dev.txt", "", "requirements"),
        ("go.mod", "", "gomod"),
        (".gitignore", "", "gitignore"),
        ("run", "#!/usr/bin/env python3\n", "python"),
        ("run", "#!/usr/bin/env -S uv run --script\n", "python"),
        ("run", "#!/bin/sh -e\n", "bash"),
        ("run", "no shebang", ""),
        ("notes.txt", "#!/bin/sh\n", "bash"),
        ("a.unknown", "", ""),
        ("a.h", "int f(void);\n", "c"),
        ("a.h", "#pragma once\nnamespace n {}\n", "cpp"),
        ("a.h", "@interface A\n@end\n", "objc"),
        ("a.m", "x = 1;\n", "matlab"),
        ("a.m", "#import <A.h>\n", "objc"),
        ("a.v", "module m;\nendmodule\n", "verilog"),
        ("a.ts", "<?xml version='1.0'?>\n", "xml"),
        ("a.ts", "let a = 1\n", "typescript"),
        ("README.md", "", "markdown"),
    ],
)
def test_a_file_is_read_with_the_grammar_of_its_name_or_content(path: str, content: str, expected: str):
    assert grammar_of(path, content.encode()) == expected
