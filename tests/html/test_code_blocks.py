"""Code comes out of a page line by line as its author wrote it, whatever draws its lines and their numbers."""

import pytest

from syncd.sources.web.extract import extract

PROSE = "<p>" + "The harbour wakes early and the ferries leave one after the other. " * 5 + "</p>"
FENCED = "def add(a, b):\n    return a + b\n\nprint(add(1, 2))\n```"


def read(body: str) -> str:
    page = f"<!doctype html><html><head><title>T</title></head><body><main>{PROSE}{body}</main></body></html>"
    return extract(page.encode(), "http://h/", "", 10).markdown


LINES = ["def add(a, b):", "    return a + b", "", "print(add(1, 2))"]


def lines(form: str, between: str = "") -> str:
    return between.join(form.format(line=line, number=number) for number, line in enumerate(LINES, 1))


NUMBERS = "1\n2\n3\n4"
BLOCKS = {
    "br in spans": f"<pre><code>{lines('<span class=token-line><span>{line}</span><br></span>')}</code></pre>",
    "br between lines": f"<pre>{lines('{line}', '<br>')}</pre>",
    "divs": f"<pre><code>{lines('<div class=line>{line}</div>')}</code></pre>",
    "divs in a div": f"<pre><div>{lines('<div>{line}</div>')}</div></pre>",
    "spans alone": f"<pre><code>{lines('<span class=line>{line}</span>')}</code></pre>",
    "code without pre": f"<div><code>{lines('{line}', '<br>')}</code></div>",
    "Pygments, numbers in lines": f"<div class=highlight><pre>{lines('<span class=linenos>{number}</span>{line}', chr(10))}</pre></div>",
    "Pygments, a table": (
        f"<table class=highlighttable><tr><td class=linenos><div class=linenodiv><pre>{NUMBERS}</pre></div></td>"
        f"<td class=code><div><pre><code>{lines('{line}', chr(10))}\n</code></pre></div></td></tr></table>"
    ),
    "Rouge": (
        f"<div class=highlight><pre><code><table class=rouge-table><tbody><tr><td class='gutter gl'><pre class=lineno>{NUMBERS}\n"
        f"</pre></td><td class=code><pre>{lines('{line}', chr(10))}\n</pre></td></tr></tbody></table></code></pre></div>"
    ),
    "Chroma": (
        f"<table class=lntable><tr><td class=lntd><pre><code>{lines('<span class=lnt>{number}' + chr(10) + '</span>')}</code></pre>"
        f"</td><td class=lntd><pre><code>{lines('<span class=line><span class=cl>{line}' + chr(10) + '</span></span>')}"
        "</code></pre></td></tr></table>"
    ),
    "highlight.js": (
        "<pre><code><table class=hljs-ln>"
        + lines(
            "<tr><td class=hljs-ln-numbers data-line-number={number}><div class=hljs-ln-n data-line-number={number}></div></td>"
            "<td class=hljs-ln-code>{line}</td></tr>"
        )
        + "</table></code></pre>"
    ),
    "SyntaxHighlighter": (
        f"<table><tr><td class=gutter>{lines('<div class=line>{number}</div>')}</td>"
        f"<td class=code><div class=container style='white-space:pre'>{lines('<div class=line>{line}</div>')}</div></td></tr></table>"
    ),
    "Doxygen": f"<div class=fragment>{lines('<div class=line><span class=lineno>    {number}</span>{line}</div>')}</div>",
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_code_keeps_its_lines_and_loses_their_numbers(block: str):
    page = read(block)
    assert page.count("```") == 2
    assert page.partition("```")[2].partition("\n")[2].rstrip() == FENCED
    assert "|" not in page


def test_numbers_that_are_the_code_stay():
    page = read("<pre><code><span class=mi>1</span>\n<span class=mi>2</span>\n</code></pre>")
    assert "```\n1\n2\n```" in page


def test_a_table_of_numbers_and_texts_stays_a_table():
    page = read("<table><tr><td>1</td><td>One</td></tr><tr><td>2</td><td>Two</td></tr></table>")
    assert "| 1 | One |" in page


def test_a_signature_is_code_with_its_stars():
    signature = (
        '<dl class="py function"><dt class="sig sig-object py" id="print"><span class="sig-name descname">print</span>'
        "<span class=sig-paren>(</span><em class=sig-param>*objects</em>, <em class=sig-param>**kw</em>)"
        '<a class=headerlink href="#print">¶</a></dt><dd><p>Prints.</p></dd></dl>'
    )
    assert "`print(*objects, **kw)`" in read(signature)
