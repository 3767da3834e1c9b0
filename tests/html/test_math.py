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


def test_one_without_a_source_is_its_signs():
    assert whole_document(f"<p>Thus {MATHML.format('')} holds.</p>".encode()) == "Thus a=b2 holds.\n"
