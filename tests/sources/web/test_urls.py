import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.sources.web.crawl_scope import plain_url
from syncd.sources.web.urls import UrlError, normal, trap_reason, url_pattern


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HTTP://EXAMPLE.com:80/a/../b?b=2&a=1&utm_source=x#f", "http://example.com/b?a=1&b=2"),
        ("https://example.com.:443", "https://example.com/"),
        ("/%7ea%2fb", "http://base/~a%2Fb"),
        ("//other/x", "http://other/x"),
        ("?page=2", "http://base/dir/p?page=2"),
        ("/x;jsessionid=AB12?sid=0123456789abcdef0123&q", "http://base/x?q"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://b\u00fccher.example/\u00fc", "http://xn--bcher-kva.example/%C3%BC"),
    ],
)
def test_every_page_has_one_spelling(text: str, expected: str):
    assert normal(text, "http://base/dir/p").text == expected


@pytest.mark.parametrize("text", ["ftp://h/", "javascript:0", "http://u:p@h/", "http://[", "http://", "/" + "x" * 3000])
def test_what_is_no_page_address_is_refused(text: str):
    with pytest.raises(UrlError):
        normal(text, "http://base/" if text.startswith("/") else None)


@given(st.text(max_size=80), st.text(max_size=40))
def test_the_one_spelling_is_its_own(path: str, query: str):
    try:
        once = normal(f"/{path}?{query}", "https://example.com/dir/")
    except UrlError:
        return
    assert normal(once.text) == once
    assert plain_url(once.text) == once


def test_pages_that_differ_in_digits_share_a_pattern():
    assert url_pattern(normal("http://h/2024/05?p=1")) == url_pattern(normal("http://h/1999/12?p=77"))
    assert url_pattern(normal("http://h/about")) is None


def test_mazes_are_recognised_by_their_addresses():
    assert trap_reason(normal("http://h/a/b/a/b/a/b/a/b"))
    assert trap_reason(normal("http://h" + "/s" * 21))
    assert trap_reason(normal("http://h/?" + "&".join(f"a{n}=1" for n in range(13))))
    assert trap_reason(normal("http://h/en/docs/a/b/c")) is None
