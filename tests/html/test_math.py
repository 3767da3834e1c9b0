"""Formulas stand once on a page, as they were written."""

import pytest

from syncd.html.whole_document import whole_document

MATHML = "<math><semantics><mrow><mi>a</mi><mo>=</mo><msup><mi>b</mi><mn>2</mn></msup></mrow>{}</semantics></math>"
TEX = '<annotation encoding="application/x-tex">a=b^2</annotation>'


@pytest.mark.parametrize(
    "formula",
    [
        '<span class="katex"><span class="katex-mathml">'
        + MATHML.format(TEX)
        + '</span><span class="katex-html" aria-hidden="true"><span>a</span><span>=</span><span>b</span><span>2</span></span></span>',
        '<span class="MathJax_Preview">[math]</span><span class="MathJax"><span>a=b2</span></span><script type="math/tex">a=b^2</script>',
        '<script type="math/tex; mode=display">a=b^2</script>',
        MATHML.format(TEX),
        '<math alttext="a=b^2"><mi>a</mi><mo>=</mo><mi>b</mi></math>',
        "<mjx-container><svg><g/></svg><mjx-assistive-mml>"
        + MATHML.format(TEX)
        + "</mjx-assistive-mml></mjx-container>",
    ],
)
def test_a_formula_stands_there_once(formula):
    assert whole_document(f"<p>Thus {formula} holds.</p>".encode()) == "Thus a=b^2 holds.\n"


def test_rendered_formulas_without_a_source_and_their_pictures_are_kept_once():
    rendered = '<span class="katex"><span class="katex-html" aria-hidden="true">a=b</span></span>'
    assert whole_document(f"<p>Thus {rendered} holds.</p>".encode()) == "Thus a=b holds.\n"
    wiki = f'<span class="mwe-math-element"><span>{MATHML.format(TEX)}</span><img class="mwe-math-fallback-image-inline" alt="a=b^2"></span>'
    assert whole_document(f"<p>Thus {wiki} holds.</p>".encode()) == "Thus a=b^2 holds.\n"


@pytest.mark.parametrize(
    ("formula", "written"),
    [
        (MATHML.format("").removeprefix("<math>").removesuffix("</math>"), "a=b^2"),
        ("<mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mn>1</mn></mrow></mfrac>", r"\frac{a}{b+1}"),
        ("<msqrt><mi>x</mi><mo>-</mo><mn>1</mn></msqrt>", r"\sqrt{x-1}"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", r"\sqrt[3]{x}"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>10</mn></msubsup>", "x_i^{10}"),
        ("<munderover><mo>∑</mo><mi>i</mi><mi>n</mi></munderover><mi>i</mi>", "∑_i^ni"),
        (
            "<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr><mtr><mtd><mn>0</mn></mtd></mtr></mtable>",
            r"1 & 0 \\ 0",
        ),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", "(a, b)"),
        ("<mrow>" * 300 + "x" + "</mrow>" * 300, "x"),
    ],
)
def test_one_without_a_source_is_written_in_a_line(formula: str, written: str):
    assert whole_document(f"<p>Thus <math>{formula}</math> holds.</p>".encode(), 1000) == f"Thus {written} holds.\n"
