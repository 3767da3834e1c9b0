"""XHTML and XML declarations, as files and chapters have them."""

import pytest

from syncd.html.charset import declares
from syncd.html.whole_document import whole_document

HEAD = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script src="x"/></head><body>'


@pytest.mark.parametrize("tag", ["a", "b", "em", "section", "aside", "textarea", "select", "svg"])
def test_an_element_that_closes_itself_holds_nothing(tag):
    page = f"{HEAD}<h1>Tides</h1><p>one</p><{tag} id='x'/><p>two<br/>three</p></body></html>"
    assert whole_document(page.encode()).replace("  \n", "\n") == "# Tides\n\none\n\ntwo\nthree\n"


def test_a_title_that_closes_itself_makes_a_page_xhtml_whatever_else_it_says():
    for before in ("<html>", '<?xml version="1.0"?><html>', "<!DOCTYPE html><html>"):
        assert (
            whole_document(f"{before}<head><title/></head><body><h1>Tides</h1></body></html>".encode()) == "# Tides\n"
        )


def test_text_in_cdata_is_text():
    page = f"{HEAD}<p><![CDATA[a < b & <c>]]></p></body></html>"
    assert whole_document(page.encode()) == "a < b & <c>\n"


@pytest.mark.parametrize("encoding", ["windows-1251", "koi8-r", "shift_jis", "iso-8859-2", "utf-8"])
def test_an_xml_declaration_says_how_a_page_is_encoded(encoding):
    text = {"shift_jis": "港の門", "iso-8859-2": "Żółw"}.get(encoding, "Порт")
    page = f'<?xml version="1.0" encoding="{encoding}"?>\n{HEAD}<h1>{text}</h1></body></html>'.encode(encoding)
    assert declares(page)
    assert whole_document(page) == f"# {text}\n"


def test_a_page_that_says_nothing_is_read_as_it_is_told():
    page = "<h1>Порт</h1>".encode("cp1251")
    assert not declares(page)
    assert whole_document(page, encoding="windows-1251") == "# Порт\n"
    assert declares(b'<meta charset="koi8-r"><h1>\xf0</h1>')
    assert declares(b"plain")
