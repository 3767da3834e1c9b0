"""What of a page is content, and what it looks like as Markdown."""

from syncd.sources.web.extract import HtmlPage, extract

WORDS = "The harbour wakes early and the ferries leave one after the other while the fog still lies on the water. "
OG = '<meta property="og:type" content="article">'


def read(body: str, head: str = "") -> HtmlPage:
    return extract(f"<html><head><title>T</title>{head}</head><body>{body}</body></html>".encode(), "http://h/", "", 10)


def test_cells_over_several_columns_and_rows_make_a_whole_pipe_table():
    page = read(
        "<main><table><tr><th colspan=2>Both</th><th>C</th></tr><tr><td rowspan=2>a</td><td>b</td><td>c</td></tr>"
        "<tr><td>d</td><td>e</td></tr><tr><td>short</td></tr></table></main>"
    )
    assert page.markdown.splitlines() == [
        "| Both |  | C |",
        "| --- | --- | --- |",
        "| a | b | c |",
        "| a | d | e |",
        "| short |  |  |",
    ]


def test_no_tag_is_left_where_emphasis_cannot_be_written():
    page = read("<main><p>A <em>word</em><em>s</em> and <strong>more</strong> of <code>&lt;em&gt;</code>.</p></main>")
    assert page.markdown == "A words and more of `<em>`.\n"


def test_emphasis_is_kept_where_it_can_be_written():
    assert read("<main><p>A <em>word</em> and <strong>more</strong>.</p></main>").markdown == "A *word* and **more**.\n"


def test_an_article_is_told_from_what_stands_around_it_and_keeps_its_structure():
    teasers = "".join(f"<div><h3>Teaser {number}</h3><p>Read on</p></div>" for number in range(6))
    page = read(
        f"<div class=x>{teasers}</div><div class=post-text><h1>Harbour</h1><p>{WORDS * 3}</p><h2 id=fog>Fog</h2>"
        f"<p>{WORDS * 4}</p><table><tr><th>Ferry</th><th>Leaves</th></tr><tr><td>First</td><td>at five</td></tr></table>"
        f"<p>{WORDS * 2} <a href=/next>next ferry</a></p></div>",
        OG,
    )
    assert "Teaser" not in page.markdown
    assert page.markdown.startswith("# Harbour\n\nThe harbour wakes")
    assert "| First | at five |" in page.markdown
    assert "[next ferry](http://h/next)" in page.markdown
    start, fragment = page.anchors[0]
    assert fragment == "fog"
    assert page.markdown.encode()[start:].startswith(b"## Fog")


def test_a_list_of_cards_is_kept_although_no_text_in_it_is_dense():
    cards = "".join(
        f"<div><h3>Ferry {number}</h3><p>{9 + number} euros, {number} hours</p></div>" for number in range(60)
    )
    page = read(f"<main><h1>All ferries</h1>{cards}</main>", OG)
    assert page.markdown.startswith("# All ferries")
    assert all(f"### Ferry {number}\n" in page.markdown for number in range(60))


def test_documentation_keeps_what_its_container_holds():
    page = read(
        f'<div class=docsearch-box></div><article><h1>API</h1><p>{WORDS}</p><ul class=links><li><a href="/a">a()</a></li>'
        '<li><a href="/b">b()</a></li></ul><img alt="How it hangs together" src=/i.png></article>',
        OG,
    )
    assert "[a()](http://h/a)" in page.markdown
    assert "How it hangs together" in page.markdown


def test_sections_headings_and_names_that_are_called_like_chrome_are_content():
    titles = ["Cookies", "Pagination", "Sign Up", "Related", "Tags"]
    sections = "".join(
        f'<section id="{title.lower().replace(" ", "-")}"><h2>{title}</h2><p>{title}: {WORDS}</p></section>'
        for title in titles
    )
    names = "".join(
        f'<dl class="py function"><dt class="sig" id="{name}"><code>{name}(page)</code></dt><dd>{WORDS}</dd></dl>'
        for name in ("print", "skip", "share")
    )
    rest = f"<p>{WORDS * 40}</p>"
    page = read(f'<main><h1>API</h1>{rest}{sections}<h2 class="anchor" id="search-form">Search form</h2>{names}</main>')
    for title in [*titles, "Search form"]:
        assert f"## {title}" in page.markdown
    assert all(f"{title}: The harbour" in page.markdown for title in titles)
    assert all(f"{name}(page)" in page.markdown for name in ("print", "skip", "share"))


def test_sections_and_rows_keep_ids_of_their_titles_whatever_their_classes_and_numbers():
    page = read(
        f'<main><h1>API</h1><p>{WORDS * 40}</p><section class="detail" id="share"><h3>share</h3><p>Shares it.</p></section>'
        f'<section class="level2" id="cookies-1"><h2>Cookies</h2><p>Kept here.</p></section><div class="sect1" id="_pagination">'
        f'<h2>Pagination</h2><p>By tens.</p></div><table><tr><th>Option</th><th>Use</th></tr><tr id="print"><td>print</td>'
        f"<td>Prints it.</td></tr></table></main>"
    )
    assert all(text in page.markdown for text in ("### share", "Shares it.", "Kept here.", "By tens.", "Prints it."))


def test_what_is_called_chrome_and_has_no_such_title_is_left_out():
    boxes = '<section id="cookies"><p>We use cookies.</p></section><div class="share" id="share"><h3>Share</h3></div>'
    page = read(f"<main><h1>Harbour</h1><p>{WORDS * 5}</p>{boxes}</main>")
    assert "We use" not in page.markdown
    assert "Share" not in page.markdown
