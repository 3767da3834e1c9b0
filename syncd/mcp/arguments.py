"""What agents may ask: the arguments of each tool."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from syncd.api.reading import Number, Offset
from syncd.schema import OwnModel
from syncd.search import Mode
from syncd.search.paths import SoughtContent

Name = Annotated[str, Field(min_length=1, max_length=512)]


class SearchArguments(OwnModel):
    """What to look for, and where."""

    query: Annotated[str, Field(min_length=1, max_length=8192)]
    """A question, words, a symbol, a path or an error message."""
    collections: Annotated[tuple[Name, ...], Field(max_length=20, strict=False)] = ()
    """Names of collections; empty: all of them."""
    paths: Annotated[tuple[Name, ...], Field(max_length=20, strict=False)] = ()
    """Only documents whose key starts with one of these or, with * or ? in it, matches it."""
    content: SoughtContent | None = None
    """Only code, docs (documentation and other text) or config; omitted: everything."""
    languages: Annotated[tuple[Name, ...], Field(max_length=20, strict=False)] = ()
    """Only chunks in these languages, in lower case: python, typescript, markdown, …"""
    limit: Annotated[int, Field(ge=1, le=50)] | None = None
    """The most hits; omitted: 5, or with max_tokens as many of 50 as fit."""
    offset: Annotated[int, Field(ge=0, le=1000)] = 0
    lines: Annotated[int, Field(ge=1, le=200)] = 10
    """The most lines shown of each hit."""
    expand: Annotated[int, Field(ge=0, le=100)] | Literal["section"] | None = None
    """Show hits whole, with this many lines before and after, or the section or definition that each is in; omitted: `lines` of each."""
    max_tokens: Annotated[int, Field(ge=500, le=8000)] | None = None
    """The most tokens of the whole reply, by a high estimate: the best hits that fit."""
    mode: Mode = "hybrid"
    """hybrid, sparse (words alone), dense (meaning alone), phrase (letter by letter) or regex (RE2)."""
    database: Name | None = None
    """Only collections of this database."""


class ReadArguments(OwnModel):
    """Which document, and what of it."""

    collection: Name
    key: Annotated[str, Field(min_length=1, max_length=4096)]
    """The document's key, as search and list show it."""
    first_line: Number = 1
    last_line: Number | None = None
    first_page: Number | None = None
    last_page: Number | None = None
    heading: Annotated[str, Field(max_length=1000)] = ""
    """Only the section of this title, or the definition of this name."""
    first_byte: Offset = 0
    """Only what begins at this byte of the text or later: `next_byte` of the reply before, with the other arguments unchanged."""
    database: Name | None = None


class RelatedArguments(OwnModel):
    """Which place, and how much of what is like it."""

    collection: Name
    key: Annotated[str, Field(min_length=1, max_length=4096)]
    """The document's key, as search and list show it."""
    line: Number = 1
    """A line of what others should be like, such as a hit's first_line."""
    limit: Annotated[int, Field(ge=1, le=50)] = 5
    lines: Annotated[int, Field(ge=1, le=200)] = 10
    """The most lines shown of each hit."""
    database: Name | None = None


class ListArguments(OwnModel):
    """Nothing for all collections; a collection for its documents."""

    collection: Name | None = None
    path: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Only documents whose key starts with this or, with * or ? in it, matches it."""
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    offset: Annotated[int, Field(ge=0)] = 0
    database: Name | None = None
