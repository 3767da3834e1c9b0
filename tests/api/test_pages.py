"""What a browser gets, and how little of it can be misused."""

import re

import pytest

from syncd.dashboard import page_files

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
FILES = sorted(page_files())
MAX_BYTES = 300_000


async def opened(api, path, **headers):
    async with api._session.get(api.url + path, headers=headers) as answer:
        return answer.status, answer.headers, await answer.text()


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (BROWSER["accept"], True),
        ("TEXT/HTML;q=0.5", True),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
    ],
)
async def test_the_address_shows_browsers_the_dashboard_and_programs_what_it_is(api, accept, is_page):
    status, headers, body = await opened(api, "/", accept=accept)
    assert (status, headers["vary"]) == (200, "Accept")
    assert headers["content-type"].startswith("text/html" if is_page else "application/json")
    assert ("<title>syncd" in body) == is_page
    assert ('"openapi": "/openapi.json"' in body) != is_page


@pytest.mark.parametrize("path", ["/", "/docs", *(f"/dashboard/{name}" for name in FILES)])
async def test_pages_run_nothing_but_their_own_files(api, path):
    status, headers, body = await opened(api, path, **BROWSER)

    assert status == 200
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert set(policy.values()) == {"'none'", "'self'"}, "nothing inline, no other host"
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert (await opened(api, path, **BROWSER, **{"if-none-match": headers["etag"]}))[0] == 304
    if path.endswith(".js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|localStorage|sessionStorage", body
        )
    if not path.endswith(".svg"):
        assert not re.search(r"""(?:src|href|import|url)\W{1,3}(?:https?:)?//""", body), "everything is here"
        assert not re.search(r"<script(?! type=\"module\" src=)|<style| style=| on[a-z]+=", body) or path.endswith(
            ".js"
        )


async def test_the_document_of_the_api_travels_compressed_since_pages_are_made_of_it(api):
    _, headers, body = await opened(api, "/openapi.json", **{"accept-encoding": "gzip"})
    assert headers["content-encoding"] == "gzip"
    assert int(headers["content-length"]) < len(body) / 5


async def test_answers_of_the_api_are_no_pages(api):
    for path in ("/api/v1/sources", "/health", "/nowhere", "/openapi.json"):
        _, headers, _ = await opened(api, path, **{"x-chroma-token": api.token})
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["nothing.js", "__init__.py", "..%2f__init__.py", "%2e%2e%2fapi%2fauth.py"])
async def test_no_other_file_is_served(api, name):
    assert (await opened(api, f"/dashboard/{name}"))[0] == 404


def test_all_of_it_is_small():
    assert sum(len(file.body) for file in page_files().values()) < MAX_BYTES
