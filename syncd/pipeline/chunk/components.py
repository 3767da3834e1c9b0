"""Files of user interface components (Vue, Svelte, Astro): markup with scripts in it, which are cut by their own language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from syncd.pipeline.chunk.code import Syntax, syntax
from syncd.pipeline.chunk.languages import grammar
from syncd.pipeline.chunk.lines import text_cuts
from syncd.pipeline.chunk.solver import ChunkLimits, Cuts

COMPONENTS = frozenset(("astro", "svelte", "vue"))
SECTION_COST = 1.0
_BEGIN = re.compile(rb"<!--|<(script|style)(?=[\s>])", re.IGNORECASE)
_ENDS = {
    b"script": re.compile(rb"</script(?=[\s>])", re.IGNORECASE),
    b"style": re.compile(rb"</style(?=[\s>])", re.IGNORECASE),
}
_TAG_SIGN = re.compile(rb"[>\"']")
_MAX_TAG_BYTES = 4096
_LANGUAGE = re.compile(rb"\slang\s{0,9}=\s{0,9}[\"']?(\w{1,20})")
_TYPE = re.compile(rb"\stype\s{0,9}=\s{0,9}[\"']?([\w/+.-]{1,60})")
_SCRIPT_TYPES = (b"module", b"text/javascript", b"text/typescript")
_GRAMMARS = {b"ts": "typescript", b"typescript": "typescript", b"tsx": "tsx", b"js": "javascript", b"jsx": "javascript"}
_FRONT = re.compile(rb"\s{0,999}---[ \t]*\r?\n")
_FRONT_END = re.compile(rb"^---[ \t]*\r?$", re.MULTILINE)
_BLANKED = bytes(sign if sign in b"\r\n" else 0x20 for sign in range(256))


class _Section(NamedTuple):
    """An element that is not markup: it begins at `begin`, and its content is from `start` to `end`."""

    begin: int
    start: int
    end: int
    grammar: str
    """What reads a script, '' for a style and for unknown languages."""


def component_syntax(data: bytes, name: str, limits: ChunkLimits) -> Syntax:
    """Return where a component may be cut, and what its scripts define: by their language in them, by lines elsewhere."""
    sections = list(_sections(data, name))
    scripts = [section for section in sections if section.grammar]
    found = Syntax({}, [])
    for language in dict.fromkeys(script.grammar for script in scripts):
        _add_scripts(found, data, [script for script in scripts if script.grammar == language], limits)
    at = 0
    for start, end in [*((script.start, script.end) for script in scripts), (len(data), len(data))]:
        found.cuts.update({at + cut: cost for cut, cost in text_cuts(data[at:start], limits).items() if cut})
        at = end
    for section in sections:
        _part(found.cuts, data, section)
    found.definitions.sort(key=lambda definition: definition.start)
    return found


def _add_scripts(found: Syntax, data: bytes, scripts: Sequence[_Section], limits: ChunkLimits) -> None:
    """Add what is in scripts of one language, parsed with blanks for all else, so that every offset is the file's."""
    language = grammar(scripts[0].grammar)
    if language is None:
        return
    kept, at = list[bytes](), 0
    for script in scripts:
        kept += [data[at : script.start].translate(_BLANKED), data[script.start : script.end]]
        at = script.end
    tree = syntax(b"".join(kept), scripts[0].grammar, language, limits)
    found.cuts.update(tree.cuts)
    found.definitions.extend(tree.definitions)


def _part(cuts: Cuts, data: bytes, section: _Section) -> None:
    """Prefer cuts before and after a section to others, and leave its first line to what opens it."""
    content = data[section.start : section.end]
    first = section.start + len(content) - len(content.lstrip())
    for at in [at for at in (data.rfind(b"\n", 0, first) + 1, first) if at > section.begin]:
        cuts.pop(at, None)
    for at in (data.rfind(b"\n", 0, section.begin) + 1, data.find(b"\n", section.end) + 1):
        if at:
            cuts[at] = SECTION_COST


def _sections(data: bytes, name: str) -> Iterator[_Section]:
    """Yield scripts and styles in order. What is never closed ends the search: what follows is cut by lines."""
    at = 0
    front = _FRONT.match(data) if name == "astro" else None
    if front and (end := _FRONT_END.search(data, front.end())):
        yield _Section(0, front.end(), end.start(), "typescript")
        at = end.end()
    while found := _BEGIN.search(data, at):
        if found[1] is None:
            start, end = 0, data.find(b"-->", found.end())
            at = end + 3
        else:
            start = _tag_end(data, found.end())
            closing = _ENDS[found[1].lower()].search(data, start) if start else None
            end = at = closing.start() if closing else -1
        if end < 0:
            return
        if start:
            yield _Section(found.start(), start, end, _grammar(data[found.start() : start], found[1].lower(), name))


def _tag_end(data: bytes, at: int) -> int:
    """Return where a tag ends whose attributes begin at `at`, 0 when it is not closed."""
    limit = at + _MAX_TAG_BYTES
    while found := _TAG_SIGN.search(data, at, limit):
        if found[0] == b">":
            return found.end()
        at = data.find(found[0], found.end(), limit) + 1
        if not at:
            break
    return 0


def _grammar(tag: bytes, element: bytes, name: str) -> str:
    kind = _TYPE.search(tag)
    if element != b"script" or (kind and kind[1].lower() not in _SCRIPT_TYPES):
        return ""
    language = _LANGUAGE.search(tag)
    if language:
        return _GRAMMARS.get(language[1].lower(), "")
    return "typescript" if name == "astro" else "javascript"
