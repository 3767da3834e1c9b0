"""What kind of file a path names: tests, copies of others' code, generated, superseded, documentation, configuration. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from syncd.runtime.linear import LinearPattern

PathKind = Literal["tests", "vendored", "generated", "legacy", "docs", "config"]

SoughtContent = Literal["code", "docs", "config"]

_CONFIG = frozenset(
    [
        "json",
        "yaml",
        "toml",
        "ini",
        "properties",
        "xml",
        "dockerfile",
        "gitignore",
        "gitattributes",
        "requirements",
        "gomod",
        "gosum",
        "pymanifest",
        "hcl",
        "terraform",
        "csv",
        "tsv",
        "psv",
        "kconfig",
        "readline",
    ]
)
"""Languages of files that configure or list."""
_FOLDERS: dict[PathKind, str] = {
    "tests": r"tests?|testing|__tests__|specs?|testdata|test[-_]\w+|\w+[-_]tests?|fixtures?|mocks?|__mocks__|e2e|bench(?:es|marks?)?",
    "vendored": r"vendor(?:ed)?|third[-_]party|3rdparty|node_modules|bower_components|site-packages|_?deps|external",
    "generated": r"(?:__)?generated(?:__)?|gen|dist|autogen|locales?|i18n|translations",
    "legacy": r"legacy|deprecated|obsolete|old|compat|_?backports?|archive[ds]?",
    "docs": r"docs?|documentation|examples?|samples?|tutorials?|demos?|website",
}
_FILES: dict[PathKind, str] = {
    "tests": r"(?:test_.*|.*[_.-](?:test|tests|spec)\.\w+|.*[a-z\d](?:Test|Tests|TestCase|Spec)\.\w+|tests?\.\w+|conftest\.py)",
    "vendored": r".*[.-]min\.(?:js|css)",
    "generated": r".*(?:_pb2(?:_grpc)?\.pyi?|\.pb\.(?:go|cc|h)|\.g\.(?:dart|cs)|[._-]generated\.\w+|\.gen\.\w+|\.designer\.cs|\.lock|\.snap)"
    r"|package-lock\.json|go\.sum",
    "legacy": r"(?:.*(?:legacy|deprecated|compat|[^a-z]old)|old)\.\w+",
    "docs": r"(?:readme|changelog|changes|contributing|history|license|news)(?:\..*)?|.*\.(?:md|mdx|markdown|rst|adoc|txt|org)",
    "config": r"\..+|.*\.(?:json|ya?ml|toml|ini|cfg|conf|properties|xml|gradle|lock|editorconfig)|dockerfile|makefile",
}
_IN_FOLDER: Mapping[PathKind, LinearPattern] = {
    kind: LinearPattern(kind, f"^(?i:{words})$") for kind, words in _FOLDERS.items()
}
_AS_FILE: Mapping[PathKind, LinearPattern] = {
    kind: LinearPattern(kind, f"^(?:{words})$" if kind == "tests" else f"^(?i:{words})$")
    for kind, words in _FILES.items()
}


@lru_cache(1 << 14)
def kinds_of_path(key: str) -> frozenset[PathKind]:
    """Return the kinds of file that a document's key tells, by its folders and its name; none for ordinary code."""
    *folders, name = key.split("/")
    found: set[PathKind] = {kind for kind, pattern in _AS_FILE.items() if pattern.found_in(name)}
    for kind, pattern in _IN_FOLDER.items():
        if any(pattern.found_in(folder) for folder in folders):
            found.add(kind)
    return frozenset(found)


@lru_cache(1 << 14)
def content_of(key: str) -> SoughtContent:
    """Return what a document holds, by its key: what has a programming language is code; PDF, pages and plain text are docs."""
    # Tree-sitter and all that cuts texts, which the daemon needs for nothing else: 5 MiB.
    from syncd.pipeline.chunk.languages import grammar_of
    from syncd.pipeline.chunk.markups import MARKUPS

    language = grammar_of(key, b"")
    if language in _CONFIG:
        return "config"
    return "code" if language and language not in MARKUPS and language not in ("html", "bibtex") else "docs"
