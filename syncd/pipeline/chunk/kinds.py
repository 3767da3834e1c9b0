"""What a syntax node is, judged by the name of its kind: grammars call like things alike, so no table per language."""

from __future__ import annotations

import re

FUNCTION, TYPE, KEYED, GLUE, INNER, STATEMENTS = 1, 2, 4, 8, 16, 32
CALLBACK, ARGUMENTS, SPOKEN, LIST, WRAPPER, HEADED = 64, 128, 256, 512, 1024, 2048
DEFINES = FUNCTION | TYPE | KEYED | WRAPPER | HEADED
"""Plain numbers, not an IntFlag: they are tested for every node, and an IntFlag costs a quarter of the walk."""

NAMED = r"(?:_(?:definition|declaration|item|statement|specifier|spec|stmt|def|decl|implementation|expression)){1,2}"

WRAPPERS = frozenset(
    ("export_statement", "decorated_definition", "template_declaration", "ambient_declaration", "statement")
)

_KINDS = (
    (
        FUNCTION,
        r"(?:^|_)(?:function|method|constructor|destructor|func|fun|procedure|subroutine|init|deinit|defun|fn|subprogram"
        rf"|getter|setter|operator|macro)(?:{NAMED}$|_clause$)|(?:^|_)(?:function|method|subroutine|procedure)$",
    ),
    (
        TYPE,
        r"(?:^|_)(?:class|struct|enum|interface|trait|impl|module|mod|namespace|package|object|protocol|extension|record"
        rf"|union|type|contract|library|service|message|table|view|resource|companion|rule){NAMED}$"
        r"|^(?:class|module|struct|message|service|enum|table|table_array_element|section|contract)$|^create_\w+$",
    ),
    (
        KEYED,
        r"^(?:pair|block_mapping_pair|attribute|property|assignment|binding|lexical_declaration|variable_declaration"
        r"|value_definition)$",
    ),
    (GLUE, r"comment|^attribute_(?:item|list)$|annotation|decorator|^inner_attribute"),
    (
        INNER,
        r"(?:^|_)(?:body|block|suite|clause|parameters?|arguments|identifier|name|list|then|else|elif|elsif|catch"
        r"|finally|except|rescue|ensure|modifiers?|superclass|heritage|type)$",
    ),
    (
        STATEMENTS,
        r"(?:^|_)(?:body|block|statements?|suite|program|module|source_file|unit|then|declarations?|members?|document"
        r"|(?:declaration|variant|statement|member|item)_list|stream|stylesheet|source|ERROR)$"
        r"|^preproc_(?:if|else|elif)",
    ),
    (CALLBACK, r"^(?:arrow_function|function|function_expression|func_literal|anonymous_function\w*)$"),
    (ARGUMENTS, r"argument"),
    (SPOKEN, r"^(?:call|list|list_lit|list_literal|sexp|fun_def|par_tup_lit)$"),
    (LIST, r"^(?:array|object|list|dictionary|tuple|table|element)$|argument|_list$|_mapping$|_sequence$"),
    (WRAPPER, rf"^(?:{'|'.join(sorted(WRAPPERS))})$"),
)
"""Flag and pattern: a function, a type, something with a key; glued to what follows; part of one whole; holding statements;
perhaps only an argument; an argument list; perhaps a definition spoken as a call; a list of equals; around a definition."""
_PATTERNS = tuple((flag, re.compile(pattern)) for flag, pattern in _KINDS)

_SPOKEN_LANGUAGES = frozenset(("clojure", "commonlisp", "elisp", "elixir", "fennel", "janet", "racket", "scheme"))
"""Where a definition is written as a call or list, so that its node kind does not tell."""
SPOKEN_TYPES = frozenset((b"defmodule", b"defprotocol", b"defimpl", b"defclass", b"defstruct", b"defrecord"))
_HEADED = {
    "css": frozenset(("rule_set", "media_statement", "keyframes_statement")),
    "hcl": frozenset(("block",)),
    "make": frozenset(("rule",)),
    "scss": frozenset(("rule_set", "media_statement", "mixin_statement")),
    "terraform": frozenset(("block",)),
}
"""Where the text before the opening bracket or colon is the name."""


_TYPES = {"sql": frozenset(("insert",))}
"""What else gives its name to what is in it: rows belong to a table."""


def flags_of(kind: str, language: str) -> int:
    """Return what nodes of this kind are in this language, as a sum of flags."""
    flags = sum(flag for flag, pattern in _PATTERNS if pattern.search(kind))
    if language not in _SPOKEN_LANGUAGES:
        flags &= ~SPOKEN
    if kind in _TYPES.get(language, ()):
        flags |= TYPE
    return flags | HEADED if kind in _HEADED.get(language, ()) else flags
