"""Office equations (OMML, ECMA-376 part 1 chapter 22.1) as LaTeX."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element

M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"

_ACCENTS = {
    "\u0302": "hat", "\u0303": "tilde", "\u0304": "bar", "\u0305": "overline", "\u0307": "dot", "\u0308": "ddot",
    "\u030c": "check", "\u0306": "breve", "\u20d7": "vec", "\u0301": "acute", "\u0300": "grave",
    "\u23de": "overbrace", "\u23df": "underbrace", "\u2192": "overrightarrow",
}  # fmt: skip
_LARGE = {
    "\u2211": "sum", "\u220f": "prod", "\u2210": "coprod", "\u222b": "int", "\u222c": "iint", "\u222d": "iiint",
    "\u222e": "oint", "\u22c3": "bigcup", "\u22c2": "bigcap", "\u22c1": "bigvee", "\u22c0": "bigwedge",
}  # fmt: skip
_FUNCTIONS = frozenset(
    [
        "arccos",
        "arcsin",
        "arctan",
        "arg",
        "cos",
        "cosh",
        "cot",
        "coth",
        "csc",
        "deg",
        "det",
        "dim",
        "exp",
        "gcd",
        "hom",
        "inf",
        "ker",
        "lg",
        "lim",
        "liminf",
        "limsup",
        "ln",
        "log",
        "max",
        "min",
        "Pr",
        "sec",
        "sin",
        "sinh",
        "sup",
        "tan",
        "tanh",
    ]
)
_SYMBOLS = {
    **{chr(0x3B1 + at): name for at, name in enumerate(
        ["alpha", "beta", "gamma", "delta", "varepsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi", "o", "pi", "rho", "varsigma", "sigma", "tau", "upsilon", "varphi", "chi", "psi", "omega"]) if name != "o"},
    "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi",
    "Ψ": "Psi", "Ω": "Omega", "ϵ": "epsilon", "ϕ": "phi", "∞": "infty", "±": "pm", "∓": "mp", "\u00d7": "times",
    "÷": "div", "⋅": "cdot", "∙": "cdot", "≤": "leq", "≥": "geq", "≠": "neq", "≈": "approx", "≡": "equiv",
    "\u223c": "sim", "∝": "propto", "∈": "in", "∉": "notin", "⊂": "subset", "⊆": "subseteq", "\u222a": "cup", "∩": "cap",
    "∅": "emptyset", "∀": "forall", "∃": "exists", "∂": "partial", "∇": "nabla", "→": "to", "←": "leftarrow",
    "⇒": "Rightarrow", "⇔": "Leftrightarrow", "↔": "leftrightarrow", "…": "ldots", "⋯": "cdots", "⋮": "vdots",
    "⋱": "ddots", "\u2032": "prime", "√": "surd", "∑": "sum", "∏": "prod", "∫": "int", "⟨": "langle", "⟩": "rangle",
}  # fmt: skip
_ESCAPED = {"%": "\\%", "#": "\\#", "&": "\\&", "$": "\\$", "_": "\\_", "{": "\\{", "}": "\\}"}


def to_latex(math: Element) -> str:
    """Return the LaTeX of an oMath element, without delimiters."""
    return " ".join(_children(math).split())


def _children(element: Element | None) -> str:
    if element is None:
        return ""
    return "".join(_RENDER.get(child.tag.removeprefix(M), _children)(child) for child in element)


def _of(element: Element, name: str) -> str:
    return _children(element.find(M + name))


def _setting(element: Element, path: str, default: str) -> str:
    found = element.find("/".join(M + step for step in path.split("/")))
    return default if found is None else found.get(M + "val", default)


def _run(run: Element) -> str:
    text = "".join(node.text or "" for node in run.iter(M + "t"))
    out = "".join(f"\\{_SYMBOLS[c]} " if c in _SYMBOLS else _ESCAPED.get(c, c) for c in text)
    plain = _setting(run, "rPr/sty", "") == "p" or run.find(f"{M}rPr/{M}nor") is not None
    if text.strip() in _FUNCTIONS:
        return "\\" + text.strip() + " "
    if plain and len(text.strip()) > 1 and any(c.isalpha() for c in text) and text == out:
        return "\\text{" + text + "}"
    return out


def _fraction(element: Element) -> str:
    kind = _setting(element, "fPr/type", "bar")
    over, under = _of(element, "num"), _of(element, "den")
    if kind == "noBar":
        return f"\\binom{{{over}}}{{{under}}}"
    return f"{over}/{under}" if kind == "lin" else f"\\frac{{{over}}}{{{under}}}"


def _radical(element: Element) -> str:
    degree = _of(element, "deg")
    return f"\\sqrt[{degree}]{{{_of(element, 'e')}}}" if degree.strip() else f"\\sqrt{{{_of(element, 'e')}}}"


def _delimiters(element: Element) -> str:
    left, right = _setting(element, "dPr/begChr", "("), _setting(element, "dPr/endChr", ")")
    between = _setting(element, "dPr/sepChr", "|")
    inner = between.join(_children(part) for part in element.findall(M + "e"))
    return f"\\left{_fence(left)}{inner}\\right{_fence(right)}"


def _fence(character: str) -> str:
    if not character:
        return "."
    known = {"{": "\\{", "}": "\\}", "‖": "\\|", "⟨": "\\langle ", "⟩": "\\rangle ", "⌈": "\\lceil ", "⌉": "\\rceil ",
             "⌊": "\\lfloor ", "⌋": "\\rfloor "}  # fmt: skip
    return known.get(character, character)


def _nary(element: Element) -> str:
    character = _setting(element, "naryPr/chr", "\u222b")
    sign = "\\" + _LARGE[character] if character in _LARGE else character
    lower, upper = _of(element, "sub"), _of(element, "sup")
    limits = (f"_{{{lower}}}" if lower.strip() else "") + (f"^{{{upper}}}" if upper.strip() else "")
    return f"{sign}{limits} {_of(element, 'e')}"


def _function(element: Element) -> str:
    name = _of(element, "fName").strip()
    return f"{name}({_of(element, 'e')})" if name.startswith("\\") else f"{name} {_of(element, 'e')}"


def _accent(element: Element) -> str:
    name = _ACCENTS.get(_setting(element, "accPr/chr", "\u0302"), "hat")
    return f"\\{name}{{{_of(element, 'e')}}}"


def _group(element: Element) -> str:
    name = _ACCENTS.get(_setting(element, "groupChrPr/chr", "\u23df"), "underbrace")
    return f"\\{name}{{{_of(element, 'e')}}}"


def _bar(element: Element) -> str:
    name = "overline" if _setting(element, "barPr/pos", "bot") == "top" else "underline"
    return f"\\{name}{{{_of(element, 'e')}}}"


def _matrix(element: Element) -> str:
    rows = [" & ".join(_children(part) for part in row.findall(M + "e")) for row in element.findall(M + "mr")]
    return "\\begin{matrix}" + " \\\\ ".join(rows) + "\\end{matrix}"


def _array(element: Element) -> str:
    rows = [_children(part) for part in element.findall(M + "e")]
    return "\\begin{array}{l}" + " \\\\ ".join(rows) + "\\end{array}"


def _limit(element: Element, mark: str) -> str:
    base = _of(element, "e").strip()
    command = base if base.startswith("\\") else f"\\operatorname*{{{base}}}"
    return f"{command}{mark}{{{_of(element, 'lim')}}} "


def _nothing(element: Element) -> str:
    return ""


_RENDER: dict[str, Callable[[Element], str]] = {
    "r": _run,
    "f": _fraction,
    "rad": _radical,
    "d": _delimiters,
    "nary": _nary,
    "func": _function,
    "acc": _accent,
    "groupChr": _group,
    "bar": _bar,
    "m": _matrix,
    "eqArr": _array,
    "limLow": lambda element: _limit(element, "_"),
    "limUpp": lambda element: _limit(element, "^"),
    "sSup": lambda e: f"{_of(e, 'e')}^{{{_of(e, 'sup')}}}",
    "sSub": lambda e: f"{_of(e, 'e')}_{{{_of(e, 'sub')}}}",
    "sSubSup": lambda e: f"{_of(e, 'e')}_{{{_of(e, 'sub')}}}^{{{_of(e, 'sup')}}}",
    "sPre": lambda e: f"{{}}_{{{_of(e, 'sub')}}}^{{{_of(e, 'sup')}}}{_of(e, 'e')}",
    **dict.fromkeys(("fPr", "radPr", "dPr", "naryPr", "funcPr", "accPr", "groupChrPr", "barPr", "mPr", "eqArrPr", "limLowPr", "limUppPr", "sSupPr", "sSubPr", "sSubSupPr", "sPrePr", "ctrlPr", "rPr", "argPr", "oMathParaPr"), _nothing),
}  # fmt: skip
