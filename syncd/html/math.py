"""Formulas of a page, once each and as they were written: renderers put them there two or three times."""

from __future__ import annotations

from turbohtml import Document, Element, Text

_RENDERED = ".katex-html,.MathJax,.MathJax_Display,.MathJax_SVG,.MathJax_SVG_Display,.MathJax_CHTML,.MJXc-display,.MathJax_Preview"
_SOURCES = "script[type^='math/tex'],script[type^='math/asciimath']"


def settle_math(document: Document) -> None:
    """Write each formula as its source, where the page has that, and take its renderings out."""
    sources = document.select(_SOURCES)
    if sources or document.select(".katex,.MathJax_Preview"):
        document.remove(_RENDERED)
    for script in sources:
        script.replace_with(Text(script.text.strip()))
    for container in document.select("mjx-container"):
        spoken = container.select_one("mjx-assistive-mml math")
        if spoken is not None:
            container.replace_with(spoken)
    for formula in document.select("math"):
        if formula.parent is not None and (source := _source(formula)):
            formula.replace_with(Text(source))


def _source(formula: Element) -> str:
    """Return the TeX that a MathML formula carries, or says in its place; '' where it has none."""
    for annotation in formula.select("annotation,annotation-xml"):
        if "tex" in (annotation.attr("encoding") or "").lower():
            return annotation.text.strip()
        annotation.decompose()
    return (formula.attr("alttext") or "").strip()
