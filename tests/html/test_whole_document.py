"""A file keeps all that its readers saw, whoever wrote it."""

import pytest

from syncd.html.whole_document import TooDeepError, whole_document


def read(body: str) -> str:
    return whole_document(body.encode())


def test_chrome_of_a_website_is_text_of_a_file():
    text = read(
        "<header>Head</header><aside>Aside</aside><main>Main</main><form><p>Form</p></form><footer>Foot</footer>"
    )
    assert text == "Head\n\nAside\n\nMain\n\nForm\n\nFoot\n"


def test_menus_scripts_and_hidden_elements_are_left_out():
    assert read("<nav>Menu</nav><script>x()</script><p hidden>no</p><button>Go</button><p>yes</p>") == "yes\n"


def test_pictures_keep_their_addresses_and_links_are_as_written():
    assert read('<p><img src="a.png" alt="A map"> <a href="../b.html">b</a></p>') == "![A map](a.png) [b](../b.html)\n"


def test_links_to_scripts_and_within_the_page_become_their_text():
    assert read('<p><a href="javascript:x()">run</a> <a href="#top">up</a></p>') == "run up\n"


def test_a_table_without_head_takes_its_first_row_for_it():
    assert read("<table><tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2</td></tr></table>").splitlines() == [
        "| a | b |",
        "| --- | --- |",
        "| 1 | 2 |",
    ]


def test_a_table_inside_one_that_only_places_it_stays_a_table():
    text = read("<table><tr><td>Left<table><tr><th>a</th></tr><tr><td>1</td></tr></table></td></tr></table>")
    assert text == "Left\n\n| a |\n| --- |\n| 1 |\n"


def test_a_table_inside_a_cell_of_a_table_is_text_of_that_cell():
    inner = "<table><tr><td>1</td><td>2</td></tr></table>"
    text = read(f"<table><tr><td>a</td><td>b</td></tr><tr><td>{inner}</td><td>x</td></tr></table>")
    assert text.splitlines()[-1] == "| 1 2 | x |"


def test_items_that_only_hold_a_numbered_list_of_one_keep_its_number():
    assert read('<ul><li><ol start="3"><li>Mix</li></ol></li><li><ol start="4"><li>Wait</li></ol></li></ul>') == (
        "- 3. Mix\n- 4. Wait\n"
    )


def test_an_empty_title_of_xhtml_does_not_swallow_the_chapter():
    text = read(
        '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body><h1>One</h1><p>a</p></body></html>'
    )
    assert text == "# One\n\na\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_pages_nested_too_deeply_are_refused_in_any_encoding(encoding: str):
    with pytest.raises(TooDeepError):
        whole_document(("<div>" * 20_000 + "x").encode(encoding))


@pytest.mark.parametrize(
    ("text", "encoding", "head"),
    [
        ("Größe Łódź", "utf-8", ""),
        ("Größe Łódź", "utf-16", ""),
        ("Łódź", "iso-8859-2", '<meta charset="iso-8859-2">'),
        ("“Größe” €", "cp1252", ""),
        ("Größe", "utf-8", '<meta charset="iso-8859-1">'),
        ("Größe", "cp1252", '<meta charset="no-such-thing">'),
    ],
)
def test_text_is_read_in_its_real_encoding(text: str, encoding: str, head: str):
    assert whole_document(f"{head}<p>{text}</p>".encode(encoding)) == f"{text}\n"


def test_a_cell_over_several_rows_stands_in_each():
    table = "<table><tr><th>Zone</th><th>Who</th></tr><tr><td rowspan=3>North <b>bank</b></td><td>Ida</td></tr><tr><td>Bo</td></tr><tr></tr></table>"
    assert whole_document(table.encode()) == (
        "| Zone | Who |\n| --- | --- |\n| North **bank** | Ida |\n| North **bank** | Bo |\n| North **bank** |  |\n"
    )
    long = f"<table><tr><td rowspan=2>{'x' * 400}</td><td>1</td></tr><tr><td>2</td></tr></table>"
    assert whole_document(long.encode()).endswith("|  | 2 |\n")


def test_words_are_not_torn_apart_by_how_they_are_pronounced():
    page = "<p><ruby>倉庫<rp>(</rp><rt>そうこ</rt><rp>)</rp></ruby>の鍵は<ruby><rb>受付</rb><rtc><rt>うけつけ</rt></rtc></ruby>に</p>"
    assert whole_document(page.encode()) == "倉庫の鍵は受付に\n"
