"""Browsers log in with a token and hold a cookie, which is good for this daemon's own pages, and never longer than the token."""

from http.cookies import SimpleCookie

import aiohttp
import pytest

from syncd.api import sessions
from syncd.api.sessions import SESSIONS_PER_TOKEN, Sessions

SAME = {"sec-fetch-site": "same-origin"}


async def logged_in(api, token=None, **headers):
    """Log in as a browser does and return the cookie that was set."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
        answer = await browser.post(api.url + "/api/v1/session", json={"token": token or api.token}, headers=headers)
        assert answer.status == 200, await answer.text()
        assert (token or api.token) not in await answer.text()
        (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
        return cookie


def sent(cookie, **headers):
    return {"token": None, "headers": {"cookie": f"{cookie.key}={cookie.value}", **headers}}


async def test_a_cookie_stands_for_the_token_and_no_script_or_other_site_gets_at_it(api):
    cookie = await logged_in(api)

    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Strict", "")
    assert cookie["path"] == "/api/v1"
    assert 0 < int(cookie["max-age"]) <= 24 * 3600
    assert api.token not in cookie.value
    status, who = await api.get("/api/v1/session", **sent(cookie))
    assert (status, who["name"], who["databases"]) == (200, "tests", None)
    assert (await api.post("/api/v1/sources", {}, **sent(cookie, **SAME)))[0] == 400


async def test_behind_a_proxy_that_speaks_https_the_cookie_is_for_https_only(api):
    cookie = await logged_in(api, **{"x-forwarded-proto": "https"})
    assert cookie["secure"] is True


async def test_two_daemons_of_one_host_do_not_overwrite_each_others_cookies(api):
    here, there = await logged_in(api), await logged_in(api, host="127.0.0.1:1")
    assert here.key != there.key


async def test_a_session_ends_with_its_token_with_logging_out_and_by_itself(api, store, monkeypatch):
    token = await store.tokens.create("short-lived", access="read")
    first, second, third = [await logged_in(api, token) for _ in range(3)]
    assert await api.call("DELETE", "/api/v1/session", **sent(first, **SAME)) == (204, None)
    assert (await api.get("/api/v1/sources", **sent(first)))[0] == 401
    assert (await api.get("/api/v1/sources", **sent(second)))[0] == 200

    monkeypatch.setattr(sessions, "SESSION_S", 0.0)
    over = await logged_in(api, token)
    assert (await api.get("/api/v1/sources", **sent(over)))[0] == 401

    third = third if (await api.get("/api/v1/sources", **sent(third)))[0] == 200 else second
    await store.tokens.revoke(token.split("_")[1])
    assert (await api.get("/api/v1/sources", **sent(third)))[0] == 401


@pytest.mark.parametrize(
    ("headers", "is_refused"),
    [
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"origin": "http://evil.example"}, True),
        ({"origin": "null"}, True),
        ({}, True),
        ({"sec-fetch-site": "same-origin"}, False),
        # A proxy gives the daemon another name than the browser knows.
        ({"sec-fetch-site": "same-origin", "origin": "https://syncd.example"}, False),
        ({"origin": "http://OWN"}, False),
    ],
)
async def test_another_pages_request_is_not_logged_in(api, headers, is_refused):
    cookie = await logged_in(api)
    own = api.url.removeprefix("http://")
    headers = {name: value.replace("OWN", own) for name, value in headers.items()}
    status, answer = await api.post("/api/v1/sources", {}, **sent(cookie, **headers))
    assert status == (403 if is_refused else 400), answer


async def test_wrong_tokens_are_told_and_limited_as_in_the_header(api):
    for _ in range(11):
        status, answer = await api.post("/api/v1/session", {"token": "sk_00_abc"}, token=None)
    assert (status, answer["error"]) == (429, "too_many_requests")
    assert (await api.post("/api/v1/session", {"token": "\u00e9"}, token=None))[0] == 401


async def test_a_token_that_is_limited_keeps_its_limits(api, store):
    cookie = await logged_in(api, await store.tokens.create("reader", frozenset({"other"}), access="read"))
    assert (await api.get("/api/v1/sources?database_name=other", **sent(cookie)))[0] == 200
    assert (await api.get(f"/api/v1/sources?database_name={api.database}", **sent(cookie)))[0] == 403
    assert (await api.post("/api/v1/sources", {}, **sent(cookie, **SAME)))[0] == 403
    assert (await api.get("/api/v1/tokens", **sent(cookie)))[0] == 403


async def test_a_token_in_the_header_counts_more_than_a_cookie(api, store):
    cookie = await logged_in(api)
    assert (await api.get("/api/v1/sources", token="sk_00_abc", headers=sent(cookie)["headers"]))[0] == 401


def test_of_one_token_the_latest_sessions_are_kept_and_others_are_left_alone():
    kept = Sessions()
    other = kept.begin("other")
    keys = [kept.begin("one") for _ in range(SESSIONS_PER_TOKEN + 3)]
    assert [kept.token_id(key) for key in keys[:3]] == [None, None, None]
    assert {kept.token_id(key) for key in keys[3:]} == {"one"}
    assert kept.token_id(other) == "other"
