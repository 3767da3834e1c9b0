"""Code of a page as its author wrote it: every line on its own, without line numbers, its language named; signatures as code."""

from __future__ import annotations

import re

from turbohtml import Element, Text

from syncd.html.tables import CELLS, elements_in

LANGUAGE = re.compile(
    r"(?:^|\s)(?:language|lang|highlight|highlight-source|sourceCode|brush:?)[-_ ]?([\w+#.-]+)", re.IGNORECASE
)
NO_LANGUAGE = frozenset(
    {
        "",
        "default",
        "none",
        "notranslate",
        "text",
        "plaintext",
        "plain",
        "txt",
        "source",
        "syntax",
        "highlight",
        "nohighlight",
    }
)
NUMBERS = (
    ".linenos,.lineno,.linenumber,.linenumbers,.line-number,.line-numbers,.ln,.lnt,.lnos,.source-line-no,.hljs-ln-n,"
    ".hljs-ln-numbers,.blob-num,.react-syntax-highlighter-line-number,.linenodiv,[data-line-number],a[data-nosnippet]"
)
"""What Pygments, Rouge, Chroma, Doxygen, javadoc, rustdoc, highlight.js and GitHub call the numbers of lines."""
NUMBERS_BESIDE = ".line-numbers-wrapper,.src-line-numbers,.example-line-numbers"
"""The same, outside the code: VitePress and rustdoc."""
NUMBER_CELL = re.compile(
    r"(?:^|[\s_-])(?:line-?no?s?|gutter|lineno|lntd|blob-num|ln-numbers|line-?num\w{0,4})(?:$|[\s_-])"
)
LINE_HOLDERS = "div,p,li,tr"
LINES = "span.line,.token-line,.code-line,code"
"""What may hold a line each where nothing else parts lines."""
SIGNATURES = ".member-signature,.type-signature"
SIGNATURE_HEADINGS = ".code-header"
"""Signatures that are headings, in rustdoc."""
SIGNATURE_NAMES = ".descname,.sig-name"
"""What Sphinx calls the name in a signature."""
CLASS_CHARS = 300


def settle_code(root: Element) -> None:
    """Give every code block one `pre` and one `code` that names its language, and every signature one `code`."""
    settle_signatures(root)
    for numbers in root.select(NUMBERS_BESIDE):
        drop_numbers(numbers)
    for badge in root.select("span.lang"):
        if isinstance(badge.parent, Element) and "language-" in css_classes(badge.parent):
            badge.decompose()
    for table in root.select("table"):
        if table.parent is not None:
            settle_numbered_table(table)
    for fragment in root.select("div.fragment"):
        if is_outermost(fragment, "div.fragment") and any(
            "line" in css_classes(child).split() for child in elements_in(fragment)
        ):
            fragment.replace_with(block_of(fragment))
    for code in root.select("code"):
        if is_outermost(code, "pre,td,th,code") and code.select_one("br,div") is not None:
            code.replace_with(block_of(code))
    for pre in root.select("pre"):
        if pre.parent is not None and is_outermost(pre, "pre"):
            pre.replace_with(block_of(pre))


def is_outermost(element: Element, selector: str) -> bool:
    """Return whether an element is inside none that `selector` matches."""
    parent = element.parent
    return not isinstance(parent, Element) or parent.closest(selector) is None


def block_of(block: Element) -> Element:
    """Return a code block made of `block`. Changes `block`."""
    language = code_language(block)
    for inner in block.select("pre"):
        inner.unwrap()
    code = Element("code", {"class": f"language-{language}"} if language else None, [Text(code_text(block))])
    made = Element("pre", None, [code])
    if ident := block.attr("id"):
        made.attrs["id"] = ident
    return made


def code_text(block: Element) -> str:
    """Return the text of a code block, line by line, without the numbers of its lines. Changes `block`."""
    for numbers in block.select(NUMBERS):
        drop_numbers(numbers)
    for line_break in block.select("br"):
        line_break.replace_with(Text("\n"))
    for line in block.select(LINE_HOLDERS):
        if line.select_one(LINE_HOLDERS) is None:
            end_line(line)
    if "\n" not in block.text.strip("\n"):
        for line in block.select(LINES):
            if line.select_one(LINES) is None:
                end_line(line)
    text = block.text
    return text.rstrip("\n") + "\n" if text.endswith("\n\n") else text


def end_line(line: Element) -> None:
    """Part a line from what stands before and after it, unless it is parted already."""
    before, after = line.previous_sibling, line.next_sibling
    if before is not None and before.text and not before.text.endswith("\n"):
        line.insert_before(Text("\n"))
    if not line.text.endswith("\n") and not (after is not None and after.text.startswith("\n")):
        line.append(Text("\n"))


def drop_numbers(element: Element) -> None:
    """Remove an element that holds nothing but numbers of lines."""
    if is_numbers(element):
        element.decompose()


def is_numbers(element: Element) -> bool:
    """Return whether there is nothing but numbers in an element."""
    return all(word.isdigit() for word in element.text.split())


def settle_numbered_table(table: Element) -> None:
    """Make a code block of a table whose first column numbers the lines of code in its second."""
    rows = [
        [cell for cell in elements_in(row) if cell.tag in CELLS]
        for row in table.select("tr")
        if row.closest("table") == table
    ]
    if not rows or not all(len(cells) == 2 and is_number_cell(cells[0]) for cells in rows):
        return
    language = code_language(rows[0][1].select_one("pre") or rows[0][1])
    lines = [code_text(code).removesuffix("\n") for _, code in rows]
    text = "\n".join(lines) + "\n"
    if table.closest("pre") is not None:
        table.replace_with(Text(text))
        return
    attributes = {"class": f"language-{language}"} if language else None
    table.replace_with(Element("pre", attributes, [Text(text)]))


def is_number_cell(cell: Element) -> bool:
    """Return whether a cell numbers lines: it says so, or holds preformatted numbers."""
    named = NUMBER_CELL.search(css_classes(cell)) is not None or cell.select_one(NUMBERS) is not None
    return is_numbers(cell) and (named or cell.select_one("pre") is not None or "data-line-number" in cell.attrs)


def settle_signatures(root: Element) -> None:
    """Write signatures as code: as text their stars and underscores would be read as emphasis."""
    for term in root.select("dt"):
        if term.select_one(SIGNATURE_NAMES) is not None:
            # Sphinx writes its arrow for the two characters of the language.
            text = " ".join(term.text.split()).replace(" \u2192 ", " -> ")
            term.clear()
            term.append(Element("code", None, [Text(text)]))
    for heading in root.select(SIGNATURE_HEADINGS):
        for condition in heading.select(".where"):
            condition.insert_before(Text(" "))
        text = " ".join(heading.text.split())
        heading.clear()
        heading.append(Element("code", None, [Text(text)]))
    for signature in root.select(SIGNATURES):
        text = " ".join(signature.text.split())
        signature.clear()
        signature.append(Element("p", None, [Element("code", None, [Text(text)])]))


def code_language(pre: Element) -> str:
    """Return the language that `pre`, its code or up to three ancestors name, or ''."""
    inner = pre.select_one("code")
    above = [element for element, _ in zip(pre.ancestors, range(3), strict=False) if isinstance(element, Element)]
    for element in [inner, pre, *above] if inner else [pre, *above]:
        if declared := element.attr("data-lang") or element.attr("data-language"):
            return declared[:30].lower()
        match = LANGUAGE.search(css_classes(element))
        if match and (name := match[1].strip("-_").lower()) not in NO_LANGUAGE:
            return name[:30]
    return ""


def css_classes(element: Element) -> str:
    """Return the beginning of an element's classes."""
    return (element.attr("class") or "")[:CLASS_CHARS]
