"""Formulas of a page, once each and as they were written: renderers put them there two or three times."""

from __future__ import annotations

from turbohtml import Document, Element, Text

from syncd.html.mathml import in_line

_RENDERED = ".MathJax,.MathJax_Display,.MathJax_SVG,.MathJax_SVG_Display,.MathJax_CHTML,.MJXc-display,.MathJax_Preview"
_SOURCES = "script[type^='math/tex'],script[type^='math/asciimath']"
_PICTURES = "img.mwe-math-fallback-image-inline,img.mwe-math-fallback-image-display"


def settle_math(document: Document) -> None:
    """Write each formula as its source, where the page has that, and take its renderings out."""
    sources = document.select(_SOURCES)
    if sources:
        document.remove(_RENDERED)
    for script in sources:
        script.replace_with(Text(script.text.strip()))
    for rendered in document.select(".katex-html"):
        if (whole := rendered.closest(".katex")) is not None and whole.select_one("math") is not None:
            rendered.decompose()
    for picture in document.select(_PICTURES):
        if isinstance(around := picture.parent, Element) and around.select_one("math") is not None:
            picture.decompose()
    for container in document.select("mjx-container"):
        spoken = container.select_one("mjx-assistive-mml math")
        if spoken is not None:
            container.replace_with(spoken)
    for formula in document.select("math"):
        if formula.parent is not None:
            formula.replace_with(Text(_source(formula) or in_line(formula)))


def _source(formula: Element) -> str:
    """Return the TeX that a MathML formula carries, or says in its place; '' where it has none."""
    for annotation in formula.select("annotation,annotation-xml"):
        if "tex" in (annotation.attr("encoding") or "").lower():
            return annotation.text.strip()
    return (formula.attr("alttext") or "").strip()
