"""Tabs, accordions and hidden parts: all of what people can see of a page is read, under the labels they click."""

import pytest

from syncd.html.whole_document import whole_document
from syncd.sources.web.extract import extract

PROSE = "<p>" + "The harbour wakes early and the ferries leave one after the other. " * 5 + "</p>"
OG = '<meta property="og:type" content="website"><meta property="og:title" content="Harbour">'


def read(body: str, head: str = "") -> str:
    page = f"<!doctype html><html><head><title>T</title>{head}</head><body><main>{PROSE}{body}</main></body></html>"
    return extract(page.encode(), "http://h/", "", 10).markdown


TABS = {
    "named by their panels": (
        "<div role=tablist><button role=tab id=t1>Linux</button><button role=tab id=t2>Windows</button></div>"
        "<div role=tabpanel aria-labelledby=t1>apt install demo</div>"
        "<div role=tabpanel aria-labelledby=t2 hidden>choco install demo</div>"
    ),
    "naming their panels": (
        "<ul role=tablist><li role=tab aria-controls=p1>Linux</li><li role=tab aria-controls=p2>Windows</li></ul>"
        "<div role=tabpanel id=p1>apt install demo</div><div role=tabpanel id=p2 hidden>choco install demo</div>"
    ),
    "in the order of their panels": (
        "<ul role=tablist><li role=tab>Linux</li><li role=tab>Windows</li></ul><div>"
        "<div role=tabpanel>apt install demo</div><div role=tabpanel hidden>choco install demo</div></div>"
    ),
    "radio buttons with a panel each": (
        "<input type=radio name=s id=a checked><label for=a>Linux</label><div>apt install demo</div>"
        "<input type=radio name=s id=b><label for=b>Windows</label><div>choco install demo</div>"
    ),
    "radio buttons above their panels": (
        "<input type=radio name=s id=a checked><input type=radio name=s id=b>"
        "<div class=tabbed-labels><label for=a>Linux</label><label for=b>Windows</label></div>"
        "<div class=tabbed-content><div>apt install demo</div><div>choco install demo</div></div>"
    ),
}


@pytest.mark.parametrize("tabs", TABS.values(), ids=TABS)
def test_every_tab_is_read_under_its_label(tabs: str):
    expected = "**Linux**\n\napt install demo\n\n**Windows**\n\nchoco install demo\n"
    assert read(tabs).endswith(expected)
    assert whole_document(f"<body>{PROSE}{tabs}".encode()).endswith(expected)


def test_tabs_inside_tabs_keep_their_own_labels():
    inner = "<div role=tablist><b role=tab>npm</b><b role=tab>Yarn</b></div><p role=tabpanel>npm i</p><p role=tabpanel>yarn add</p>"
    page = read(
        f"<div role=tablist><b role=tab>Node</b><b role=tab>Deno</b></div><div role=tabpanel>{inner}</div>"
        "<div role=tabpanel hidden>deno add</div>"
    )
    labels = [line for line in page.splitlines() if line.startswith("**")]
    assert labels == ["**Node**", "**npm**", "**Yarn**", "**Deno**"]


def test_the_only_panel_that_is_there_is_that_of_the_selected_tab():
    page = read(
        "<div role=tablist><b role=tab>A</b><b role=tab aria-selected=true>B</b></div><p role=tabpanel>Of B</p>"
    )
    assert "**B**\n\nOf B" in page


@pytest.mark.parametrize("head", ["", OG], ids=["plain", "with a second opinion"])
@pytest.mark.parametrize(
    "question",
    [
        '<button class="accordion">How do I pay?</button><div class=panel hidden><p>With any card.</p></div>',
        "<button aria-expanded=false aria-controls=x>How do I pay?</button><p>…</p><div id=x hidden>With any card.</div>",
        "<div class=q><button aria-expanded=false>How do I pay?</button></div><div><p>With any card.</p></div>",
        "<h3><button aria-expanded=false aria-controls=x>How do I pay?</button></h3><div id=x hidden>With any card.</div>",
    ],
)
def test_the_questions_of_an_accordion_are_read_with_their_answers(question: str, head: str):
    page = read(question, head)
    assert "How do I pay?" in page
    assert "With any card." in page
    assert page.index("How do I pay?") < page.index("With any card.")


def test_a_tab_that_holds_its_panel_keeps_it_under_its_own_heading():
    page = read(
        "<div role=tablist><div role=tab id=t><h2><a aria-controls=p>Rebates</a></h2>"
        "<div role=tabpanel id=p aria-labelledby=t><p>Up to $100 a year.</p></div></div></div>"
    )
    assert "## [Rebates]" in page or "## Rebates" in page
    assert "Up to $100 a year." in page


def test_what_is_hidden_until_it_is_found_is_read():
    assert "Refunds take a week." in read(
        "<section hidden=until-found><h2>Refunds</h2><p>Refunds take a week.</p></section>"
    )


@pytest.mark.parametrize(
    "control",
    [
        "<button>Copy</button><p>x</p>",
        '<button aria-expanded=false aria-controls=m>Open the menu</button><div id=m class="nav-menu">Home Shop</div>',
        "<header><button aria-expanded=false aria-controls=m>Sections</button></header><div id=m>Home Shop</div>",
        "<form><button>Is it good?</button><p>Vote here</p></form>",
        "<div role=dialog hidden><button class=question>Are you sure?</button><div>Yes</div></div>",
        "<div><button aria-expanded=false aria-controls=f>Colour</button></div><ul id=f><li><button>Red</button></ul>",
    ],
)
def test_buttons_that_open_no_content_are_left_out(control: str):
    button = control.partition("<button")[2].partition(">")[2].partition("<")[0]
    assert button not in read(control)
