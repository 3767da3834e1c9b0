r"""MathML without a source beside it, written in a line as TeX writes it: `\frac{a}{b}`, `x_{i}^{2}`."""

from __future__ import annotations

from turbohtml import Element

_MAX_DEPTH = 100
_SCRIPTS = {
    "msub": "_",
    "msup": "^",
    "msubsup": "_^",
    "munder": "_",
    "mover": "^",
    "munderover": "_^",
}
"""What the children after the first are: below, above."""
_UNREAD = frozenset(("annotation", "annotation-xml", "mphantom", "none", "mprescripts"))


def in_line(formula: Element, depth: int = 0) -> str:
    """Return a formula's signs in one line. Deeper than anybody writes it, its text as it stands."""
    if depth > _MAX_DEPTH:
        return formula.text
    parts = [child for child in formula.children if isinstance(child, Element) and child.tag not in _UNREAD]
    if not parts:
        return " ".join(formula.text.split())
    inner = [in_line(part, depth + 1) for part in parts]
    match formula.tag:
        case "mtable":
            return " \\\\ ".join(inner)
        case "mtr" | "mlabeledtr":
            return " & ".join(inner)
        case "mfrac" if len(inner) == 2:
            return f"\\frac{{{inner[0]}}}{{{inner[1]}}}"
        case "msqrt":
            return f"\\sqrt{{{''.join(inner)}}}"
        case "mroot" if len(inner) == 2:
            return f"\\sqrt[{inner[1]}]{{{inner[0]}}}"
        case tag if tag in _SCRIPTS:
            marks = zip(_SCRIPTS[tag], inner[1:], strict=False)
            return inner[0] + "".join(mark + _grouped(text) for mark, text in marks)
        case "mfenced":
            return f"{formula.attr('open') or '('}{', '.join(inner)}{formula.attr('close') or ')'}"
        case _:
            return "".join(inner)


def _grouped(text: str) -> str:
    return text if len(text) == 1 else f"{{{text}}}"
