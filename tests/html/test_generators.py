"""Pages in the shape that documentation generators give them: the text is ours, the markup is what each of them writes.

Sphinx and MkDocs themselves build the sites of tests/sources/web/test_generators.py; these do not install here.
"""

import pytest

from syncd.sources.web.extract import extract

PROSE = "The client keeps what the server sends until the program ends or somebody asks it to forget all of it. " * 4

DOCUSAURUS = f"""<!doctype html><html lang=en><head><meta name=generator content="Docusaurus v3.7.0"><title>Use | Demo</title></head>
<body><div role=region aria-label="Skip to main content"><a class=skipToContent_x href="#__docusaurus_skipToContent_fallback">Skip to
main content</a></div><nav aria-label=Main class="theme-layout-navbar navbar"><a href="/">Demo</a></nav>
<main class=docMainContainer_x><article><nav class=theme-doc-breadcrumbs><ul class=breadcrumbs><li>Use</li></ul></nav>
<div class="tocCollapsible_x theme-doc-toc-mobile"><button type=button class="clean-btn tocButton_x">On this page</button></div>
<div class="theme-doc-markdown markdown"><header><h1>Use</h1></header><p>{PROSE}</p>
<h2 class="anchor anchorWithStickyNavbar_x" id="cookies">Cookies<a href="#cookies" class=hash-link>\u200b</a></h2><p>Kept.</p>
<h2 class="anchor" id="share-1">Share<a href="#share-1" class=hash-link>\u200b</a></h2>
<div class="language-python codeBlockContainer_x theme-code-block"><div class=codeBlockContent_x><pre tabindex=0
class="prism-code language-python codeBlock_x"><code class=codeBlockLines_x><span class=token-line><span class="token keyword">def</span>
f():<br></span><span class=token-line>    pass<br></span></code></pre><div class=buttonGroup_x><button type=button title=Copy
class=clean-btn>Copy</button></div></div></div>
<div class="theme-tabs-container tabs-container"><ul role=tablist class=tabs><li role=tab aria-selected=true class=tabs__item>npm</li>
<li role=tab aria-selected=false class=tabs__item>Yarn</li></ul><div class=margin-top--md><div role=tabpanel class=tabItem_x>npm add
demo</div><div role=tabpanel class=tabItem_x hidden>yarn add demo</div></div></div>
<details class="details_x alert"><summary>Why?</summary><div><div class=collapsibleContent_x>Because.</div></div></details>
</div><footer class=theme-doc-footer><a href="https://x/edit">Edit this page</a></footer></article>
<nav class="pagination-nav docusaurus-mt-lg"><a href="/next">Next</a></nav></main></body></html>"""

RUSTDOC = f"""<!doctype html><html lang=en><head><meta name=generator content=rustdoc><title>Share in demo - Rust</title></head>
<body class="rustdoc struct"><nav class=sidebar><h2><a href="#">Share</a></h2></nav><main><div class=width-limiter>
<section id=main-content class=content><div class=main-heading><h1>Struct <span class=struct>Share</span>&nbsp;<button
id=copy-path title="Copy item path to clipboard">Copy item path</button></h1><span class=sub-heading><a class=src
href="../src/demo.rs.html#1">Source</a></span></div>
<pre class="rust item-decl"><code>pub struct Share {{ <span class=comment>/* private fields */</span> }}</code></pre>
<details class="toggle top-doc" open><summary class=hideme><span>Expand description</span></summary><div class=docblock>
<p>{PROSE}</p><h2 id="pagination"><a class=doc-anchor href="#pagination">§</a>Pagination</h2><p>One row a page.</p>
<div class=example-wrap><pre class="rust rust-example-rendered"><code><a href="#1" id=1 data-nosnippet>1</a><span class=kw>let </span>s = 1;
<a href="#2" id=2 data-nosnippet>2</a>s.print();</code></pre></div></div></details>
<h2 id=implementations class=section-header>Implementations<a href="#implementations" class=anchor>§</a></h2>
<div id=implementations-list><details class="toggle implementors-toggle" open><summary><section id="impl-Share" class=impl>
<a class="src rightside" href="../src/demo.rs.html">Source</a><a href="#impl-Share" class=anchor>§</a>
<h3 class=code-header>impl <a class=struct href="struct.Share.html">Share</a></h3></section></summary><div class=impl-items>
<details class="toggle method-toggle" open><summary><section id="method.print" class=method><a class="src rightside"
href="../src/demo.rs.html#3">Source</a><h4 class=code-header>pub fn <a href="#method.print" class=fn>print</a>(&amp;self, by: <a class=primitive
href="u8.html">u8</a>) -&gt; Option&lt;<a href="x.html">u8</a>&gt;<div class=where>where Self: Sized,</div></h4>
</section></summary><div class=docblock><p>Prints all.</p></div></details></div></details></div></section></div></main></body></html>"""

JAVADOC = f"""<!DOCTYPE HTML><html lang=en><head><meta name=generator content="javadoc/ClassWriter"><title>Pager</title></head>
<body class=class-declaration-page><div class=main-grid><header class=flex-header><nav><a href="index.html">Overview</a></nav></header>
<main role=main><div class=header><h1 title="Class Pager" class=title>Class Pager&lt;<a href="T.html">T</a>&gt;</h1></div><section class=class-description
id=class-description><div class=type-signature><span class=modifiers>public class </span><span class="element-name type-name-label">Pager
</span></div><div class=block>{PROSE}</div></section><section class=summary><ul class=summary-list><li><section
class=method-summary id=method-summary><h2>Method Summary</h2><div id=method-summary-table><div class=table-tabs role=tablist><button
id=tab0 role=tab aria-selected=true aria-controls=shown class=active-table-tab>All Methods</button><button id=tab2 role=tab
aria-selected=false aria-controls=shown class=table-tab>Concrete Methods</button></div><div id=shown role=tabpanel aria-labelledby=tab0>
<div class="summary-table two-column-summary"><div class="table-header col-first">Type</div><div class="table-header col-last">Method</div>
<div class="col-first even-row-color"><code>void</code></div><div class="col-last even-row-color"><code><a href="#print">print</a>(x)</code></div>
<div class="col-first odd-row-color"><code>int</code></div><div class="col-last odd-row-color"><div class=block>Skips.</div></div></div></div>
</div></section></li></ul></section><section class=details><ul class=details-list><li><section class=method-details
id=method-detail><h2>Method Details</h2><ul class=member-list><li><section class=detail id="print(java.lang.String)"><h3>print</h3>
<div class=member-signature><span class=modifiers>public</span>&nbsp;<span class=return-type>void</span>&nbsp;<span
class=element-name>print</span><wbr><span class=parameters>(<a href="String.html">String</a>&nbsp;row_name)</span></div>
<div class=block>Prints a row.</div></section></li><li><section class=detail id=skip><h3>skip</h3><div class=member-signature>
<span class=modifiers>public</span>&nbsp;<span class=element-name>skip</span>()</div><div class=block>Skips a row.</div></section></li>
</ul></section></li></ul></section></main></div></body></html>"""

MDBOOK = f"""<!DOCTYPE HTML><html lang=en class="light sidebar-visible"><head><title>Print - Demo</title></head><body><div id=body-container>
<nav id=sidebar class=sidebar><div class=sidebar-scrollbox>Chapters</div></nav><div id=page-wrapper class=page-wrapper><div class=page>
<div id=menu-bar class="menu-bar sticky"><h1 class=menu-title>Demo</h1><a href="print.html" title="Print this book">Print</a></div>
<div id=content class=content><main><h1 id=print><a class=header href="#print">Print</a></h1><p>{PROSE}</p>
<h2 id=cookies><a class=header href="#cookies">Cookies</a></h2><pre><pre class=playground><code class="language-rust editable"
><span class=boring>fn main() {{
</span>println!("a");
<span class=boring>}}</span></code></pre></pre></main><nav class=nav-wrapper aria-label="Page navigation"><a rel=next
href="next.html">Next</a></nav></div></div></div></div></body></html>"""

VITEPRESS = f"""<!DOCTYPE html><html lang=en-US><head><meta name=generator content="VitePress v1.6.3"><title>Start | Demo</title></head><body>
<div id=app><div class=Layout><a href="#VPContent" class="VPSkipLink visually-hidden">Skip to content</a><header class=VPNav>Demo</header>
<div class="VPContent has-sidebar" id=VPContent><div class="VPDoc has-sidebar has-aside"><div class=container><div class=aside><div
class=VPDocAsideOutline>On this page</div></div><div class=content><div class=content-container><main class=main><div
class="vp-doc _start"><div><h1 id=start tabindex=-1>Start <a class=header-anchor href="#start">\u200b</a></h1><p>{PROSE}</p>
<h2 id=sign-up tabindex=-1>Sign up <a class=header-anchor href="#sign-up">\u200b</a></h2><div class=vp-code-group><div class=tabs>
<input type=radio name=group-0 id=tab-0 checked><label data-title=npm for=tab-0>npm</label><input type=radio name=group-0 id=tab-1>
<label data-title=pnpm for=tab-1>pnpm</label></div><div class=blocks><div class="language-sh vp-adaptive-theme active"><button
title="Copy Code" class=copy></button><span class=lang>sh</span><pre class="shiki vp-code"><code><span class=line><span>npm add
demo</span></span></code></pre></div><div class="language-sh vp-adaptive-theme line-numbers-mode"><button title="Copy Code"
class=copy></button><span class=lang>sh</span><pre class="shiki vp-code"><code><span class=line>pnpm add demo</span>
<span class=line>pnpm start</span></code></pre><div class=line-numbers-wrapper aria-hidden=true><span class=line-number>1</span><br><span
class=line-number>2</span><br></div></div></div></div></div></div></main><footer class=VPDocFooter><nav class=prev-next>Next
page</nav></footer></div></div></div></div></div></div></div></body></html>"""

PAGES = {
    "Docusaurus": (
        DOCUSAURUS,
        [
            "# Use",
            "## Cookies",
            "## Share",
            "def\nf():\n    pass\n```",
            "**npm**",
            "**Yarn**",
            "yarn add demo",
            "Why?",
            "Because.",
        ],
        ["On this page", "Skip to", "Copy", "Edit this", "Next", "\u200b"],
    ),
    "rustdoc": (
        RUSTDOC,
        [
            "# Struct Share\n",
            "pub struct Share {",
            "## Pagination",
            "let s = 1;\ns.print();",
            "### `impl Share`",
            "#### `pub fn print(&self, by: u8) -> Option<u8> where Self: Sized,`\n",
        ],
        ["§", "1let", "Expand", "Copy", "Source"],
    ),
    "javadoc": (
        JAVADOC,
        [
            "# Class Pager<T>\n",
            "**All Methods**\n\n| Type | Method |\n| --- | --- |\n| `void` | `print(x)` |\n| `int` | Skips. |\n",
            "`public class Pager`",
            "\n## Method Details",
            "\n### print\n",
            "`public void print(String row_name)`",
            "### skip",
            "`public skip()`",
        ],
        ["Overview", "Concrete"],
    ),
    "mdBook": (
        MDBOOK,
        ["# Print\n", "## Cookies", '```rust\nfn main() {\nprintln!("a");\n}\n```'],
        ["Chapters", "Next"],
    ),
    "VitePress": (
        VITEPRESS,
        ["# Start\n", "## Sign up\n", "**npm**", "npm add\ndemo", "**pnpm**", "```sh\npnpm add demo\npnpm start\n```"],
        ["Skip to", "On this", "\nsh\n", "\n1", "\u200b", "Next"],
    ),
}


@pytest.mark.parametrize(("page", "kept", "left_out"), PAGES.values(), ids=PAGES)
def test_a_generated_page_keeps_headings_signatures_tabs_and_code(page: str, kept: list[str], left_out: list[str]):
    text = extract(page.encode(), "http://docs.example/x", "text/html", 100).markdown
    assert [part for part in kept if part not in text] == []
    assert [part for part in left_out if part in text] == []


def test_signs_of_code_are_no_chrome_whatever_the_highlighter_calls_them():
    signs = "<span class='token tag punctuation'>&lt;</span><span class='token tag'>b</span><span class='token print'>&gt;</span>1"
    code = f"<pre><code class=language-jsx><span class=token-line>return {signs};</span></code></pre>"
    page = f"<main><article><h1>Share</h1><p>{PROSE}</p>{code}<p>Then <code><span class=tag>&lt;i&gt;</span></code>.</p></article></main>"
    text = extract(page.encode(), "http://docs.example/", "text/html", 0).markdown
    assert "```jsx\nreturn <b>1;\n```" in text
    assert "Then `<i>`." in text


def test_what_stands_on_lines_of_its_own_in_a_title_is_parted():
    hero = "<h1 class=heading><span class=name>Harbour</span><span class=text>Ferries on time</span></h1>"
    page = f"<main><div class=VPHero>{hero}<p class=tagline>The roster</p></div><p>{PROSE}</p></main>"
    assert extract(page.encode(), "http://docs.example/", "text/html", 0).markdown.startswith(
        "# Harbour Ferries on time\n"
    )
