"""Every page of the dashboard in a real browser, before a real daemon."""

import re

import pytest

pytest.importorskip("playwright.sync_api")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from syncd.sources.web.render import chromium
from syncd.store.checked_rows import keep_checksums
from tests.dashboard.driving import (
    NOTES,
    STRANGER,
    asked,
    dashboard_daemon,
    launched,
    opened,
    synced_source,
    write_notes,
)

pytestmark = pytest.mark.skipif(chromium() is None, reason="no chromium is installed")
MANY_RUNS = 10_000
MANY_DOCUMENTS = 100_000
MOST_ELEMENTS, MOST_BYTES = 1500, 200_000
"""Of a page, and of an answer that it gets from the API."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dashboard")
    write_notes(folder / "notes")
    return folder


@pytest.fixture(scope="module")
def daemon(place, minilm_folder):
    running = dashboard_daemon(place, minilm_folder).start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def source(daemon, place):
    return synced_source(daemon, place / "notes", "notes")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, daemon, source):
    page = opened(browser, daemon)
    yield page
    assert page.problems == []
    page.context.close()


def test_a_wrong_token_is_told_and_a_good_one_opens_the_page_that_was_asked_for(page, daemon):
    page.context.clear_cookies()
    page.goto("/#/collections")
    page.get_by_label("Token", exact=True).fill("sk_00_wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("unknown, revoked or expired")

    page.keyboard.press("Escape")
    page.get_by_label("Token", exact=True).fill(daemon.token())
    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_role("heading", name="Collections")).to_be_visible()
    expect(page.locator("#live")).to_have_text("live")
    assert page.evaluate("document.cookie + JSON.stringify({...localStorage, ...sessionStorage})") == "{}"
    assert daemon.token() not in page.url + page.content()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token", exact=True)).to_be_visible()


def test_an_expired_login_comes_back_to_what_was_being_written(page, daemon):
    page.goto("/#/sources/add")
    page.locator("#type").select_option("folder")
    page.get_by_label("Path", exact=True).fill("/etc")
    page.get_by_label("Target collection name").fill("more")
    page.context.clear_cookies()

    page.get_by_role("button", name="Add the source").click()
    expect(page.get_by_text("Your session has ended")).to_be_visible()
    page.get_by_label("Token", exact=True).fill(daemon.token())
    page.get_by_role("button", name="Log in").click()

    expect(page.locator("#add-source [role=alert]")).to_contain_text("below one of the folders")
    expect(page.get_by_label("Path", exact=True)).to_have_value("/etc")


def test_a_source_of_every_type_can_be_added_and_its_run_is_followed_as_it_goes(page, place):
    page.goto("/#/sources/add")
    for kind in ("GitHub repository", "Website", "S3 bucket", "Folder"):
        expect(page.locator("#type").locator("option", has_text=kind).first).to_be_attached()
    page.locator("#type").select_option("s3")
    expect(page.get_by_label("Aws secret access key")).to_have_attribute("type", "password")

    (place / "more").mkdir()
    (place / "more/a.md").write_text("# More\n\nOf the same.\n")
    (place / "more/b.pdf").write_bytes(b"%PDF-1.7\nnothing of the kind")
    page.locator("#type").select_option("folder")
    page.get_by_label("Path", exact=True).fill(str(place / "more"))
    page.get_by_label("Target collection name").fill("more")
    page.get_by_label("Name", exact=True).fill("more-notes")
    page.get_by_role("button", name="Add the source").click()

    expect(page.get_by_role("heading", name="more-notes")).to_be_visible()
    # Nothing is loaded again: the stream says so.
    expect(page.get_by_role("region", name="Runs of this source")).to_contain_text("complete, with failures")
    page.get_by_role("region", name="Runs of this source").get_by_role("link").first.click()
    documents = page.get_by_role("region", name="Documents of this run")
    expect(documents).to_contain_text("b.pdf")

    (place / "more/b.pdf").rename(place / "more/b.txt")
    (place / "more/b.pdf").write_bytes(b"%PDF-1.7\nstill nothing")
    earlier = page.url
    page.get_by_role("button", name="Retry failures").click()
    page.wait_for_url(lambda url: url != earlier and "#/runs/" in url)
    expect(page.locator("main")).to_contain_text("complete, with failures")

    page.goto("/#/sources")
    listed = page.get_by_role("row", name="more-notes")
    for verb, then, badge in (("Pause", "Resume", "paused"), ("Resume", "Pause", "watching")):
        page.get_by_role("button", name=f"{verb} more-notes").press("Enter")
        # Whoever has no mouse goes on from where they are.
        expect(page.get_by_role("button", name=f"{then} more-notes")).to_be_focused()
        expect(listed).to_contain_text(badge)
    expect(listed).to_contain_text("complete")
    page.get_by_role("link", name="more-notes").click()
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("main")).to_contain_text("kept until it is resumed")
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    page.get_by_role("button", name="Rename…").click()
    page.get_by_label("What is it to be called?").fill("other-notes")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_role("heading", name="other-notes")).to_be_visible()
    page.get_by_role("button", name="Remove…").click()
    page.get_by_label("Delete its documents").check()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("heading", name="Sources")).to_be_visible()
    expect(page.get_by_role("link", name="other-notes")).to_have_count(0)


def test_dropped_files_are_uploaded_and_refused_ones_say_why(page):
    page.goto("/#/sources/upload")
    drop = """([name, text]) => {
        const files = new DataTransfer();
        files.items.add(new File([text], name));
        document.getElementById("drop").dispatchEvent(new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true}));
    }"""
    page.wait_for_selector("#drop")
    page.evaluate(drop, [f"{STRANGER}.md", "# Dropped\n\nA dropped file.\n"])
    expect(page.locator(".hit")).to_contain_text("uploaded")
    page.evaluate(drop, ["empty.md", ""])
    expect(page.locator(".hit").nth(1)).to_contain_text("refused")
    page.get_by_role("link", name="its run").click()
    expect(page.locator("main")).to_contain_text("complete")


def test_a_search_shows_words_meaning_and_both_and_leads_to_the_chunks_over_the_text(page):
    page.goto("/#/search?collection=notes")
    page.get_by_label("Question").fill("keeper of the lighthouse")
    page.get_by_role("button", name="Search").click()
    for name in ("By words", "By meaning", "Both"):
        column = page.locator("section.card", has=page.get_by_role("heading", name=re.compile(f"^{name}")))
        expect(column.locator(".hit").first).to_contain_text("lighthouse.md")
    assert {text.casefold() for text in page.locator("mark").all_text_contents()} >= {"keeper", "lighthouse"}

    page.locator(".hit h3 a").first.click()
    expect(page.locator(".chunk").first).to_contain_text("Chapter 0")
    assert page.locator(".chunk").count() > 1
    expect(page.locator(".chunk.here")).to_have_count(1)

    page.goto("/#/search?collection=notes&q=ferry&path=note-7")
    expect(page.locator(".hit").first).to_contain_text("note-7.md")
    page.goto("/#/search?collection=notes&q=ferry&path=nowhere")
    expect(page.get_by_text("Nothing found.").first).to_be_visible()


def test_what_strangers_write_is_text_wherever_it_stands(page):
    page.goto("/#/search?collection=notes&q=stranger")
    expect(page.locator(".hit").first).to_contain_text("<script>alert(1)</script>")
    page.locator(".hit h3 a").first.click()
    expect(page.locator(".chunk").first).to_contain_text(STRANGER)
    for path in (
        "/#/collections/default_database/notes",
        f"/#/runs/{STRANGER}",
        f"/#/collections/{STRANGER}/{STRANGER}",
        "/#/runs",
    ):
        page.goto(path)
        expect(page.locator("main[aria-busy]")).to_have_count(0)
        assert page.locator("main img, main script").count() == 0
        assert "taken" not in page.title()


def test_held_deletes_are_shown_and_decided_on(page, daemon, place, source):
    for number in range(NOTES):
        (place / f"notes/note-{number}.md").unlink()
    daemon.wait_until(lambda: asked(daemon, "held-deletes") != [])
    page.goto("/#/system")
    page.get_by_role("link", name=f"Look at {NOTES} held deletes").click()
    expect(page.get_by_role("region", name="Held deletes")).to_contain_text("note-3.md")
    page.get_by_role("button", name="Delete them").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete them").click()
    expect(page.get_by_role("region", name="Held deletes")).to_have_count(0)
    daemon.wait_until(lambda: asked(daemon, "held-deletes") == [])


def test_a_token_is_shown_once_and_is_useless_when_it_is_revoked(page):
    page.goto("/#/access")
    page.get_by_label("Name", exact=True).fill("<b>robot</b>")
    page.get_by_label("Databases").fill("default_database")
    page.get_by_role("button", name="Make a token").click()
    token = page.locator(".secret code").inner_text()
    assert token.startswith("sk_")
    page.reload()
    expect(page.get_by_role("button", name="Revoke <b>robot</b>")).to_be_visible()
    assert token not in page.content()
    page.get_by_role("button", name="Revoke <b>robot</b>").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("button", name="Revoke <b>robot</b>")).to_have_count(0)


def test_a_daemon_that_is_away_is_told_and_found_again(page):
    page.goto("/#/runs")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    page.context.set_offline(True)
    page.get_by_role("link", name="Collections").click()
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Collections")).to_be_visible()


def test_the_api_is_described_for_people(page):
    page.goto("/docs")
    page.get_by_label("Show only").fill("held-deletes")
    page.get_by_text("/api/v1/held-deletes").click()
    page.get_by_role("link", name="HoldingRunView").click()
    expect(page.locator("#schema-holdingrunview")).to_contain_text("collection_name")


PAGES = [
    "/#/",
    "/#/sources",
    "/#/sources/SOURCE",
    "/#/sources/add",
    "/#/sources/upload",
    "/#/runs",
    "/#/runs/RUN",
    "/#/search?collection=notes&q=lighthouse",
    "/#/collections",
    "/#/collections/default_database/notes",
    "/#/document?database=default_database&collection=notes&key=lighthouse.md",
    "/#/system",
    "/#/access",
    "/docs#search",
]


RULES = {
    "light": {"resultTypes": ["violations"]},
    "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast"]},
}
"""What axe looks for; in the dark the pages differ by their colours alone."""


@pytest.mark.parametrize("scheme", RULES)
def test_every_page_can_be_read_and_used_by_everybody(browser, daemon, source, scheme):
    page = opened(browser, daemon, color_scheme=scheme, bypass_csp=True)
    (run, *_) = asked(daemon, "invocations?status=complete")
    found = {}
    for path in PAGES:
        page.goto(path.replace("SOURCE", source).replace("RUN", run["id"]))
        page.wait_for_selector("main:not([aria-busy]) h1")
        for one in page.locator("details").all()[:2]:
            one.evaluate("it => { it.open = true; }")
        page.wait_for_selector(".hit") if "q=" in path else None
        said = Axe().run(page, options=RULES[scheme]).response["violations"]
        found |= {(path, it["id"]): it["nodes"][0]["html"] for it in said if it["impact"] in ("serious", "critical")}
    assert found == {}
    page.context.clear_cookies()
    page.goto("/#/runs")
    page.reload()
    page.wait_for_selector("#login[open]")
    assert [it["id"] for it in Axe().run(page).response["violations"] if it["impact"] in ("serious", "critical")] == []
    page.context.close()


def test_pages_show_parts_of_long_lists_and_never_the_whole(page, daemon, source):
    multiply(daemon)
    answers = []
    page.on("response", lambda answer: answers.append(answer) if "/api/v1/" in answer.url else None)
    (run, *_) = asked(daemon, "invocations?status=complete")
    for path in PAGES:
        page.goto(path.replace("SOURCE", source).replace("RUN", run["id"]))
        page.wait_for_selector("main:not([aria-busy]) h1")
        # Of ten thousand runs and a hundred thousand documents.
        assert (path, page.locator("*").count() < MOST_ELEMENTS) == (path, True)
    lengths = {it.url: int(it.headers["content-length"]) for it in answers if "/events" not in it.url}
    assert len(lengths) > len(PAGES)
    assert [url for url, length in lengths.items() if length > MOST_BYTES] == []

    page.goto("/#/runs")
    runs = page.get_by_role("region", name="Runs").locator("tbody tr")
    expect(runs).to_have_count(50)
    page.get_by_role("button", name="Further").click()
    expect(page.get_by_text(re.compile("^51.100$"))).to_be_visible()
    # Whoever has no mouse goes on from the first row of what is new.
    expect(runs.first).to_be_focused()
    page.reload()
    expect(page.get_by_text(re.compile("^asked for .* and before"))).to_be_visible()
    (oldest,) = asked(daemon, "invocations?order_by=ASC&limit=1")
    page.goto(f"/#/runs?after={oldest['id']}")
    expect(page.get_by_role("button", name="Further")).to_be_disabled()
    page.get_by_role("button", name="Back").press("Enter")
    expect(page.get_by_text(re.compile("^1.50$"))).to_be_visible()
    expect(runs.first).to_be_focused()

    page.goto("/#/collections/default_database/notes")
    documents = page.get_by_role("region", name="Documents").locator("tbody tr")
    expect(documents).to_have_count(50)
    page.get_by_role("button", name="Further").click()
    expect(page.get_by_text(re.compile("^51.100$"))).to_be_visible()
    expect(documents.first).to_be_focused()
    page.reload()
    # The address says where one is; what is asked for begins there, however many come before.
    expect(page.get_by_text(re.compile("^from many/"))).to_be_visible()
    page.get_by_label("Key begins with").fill("many/9999")
    page.get_by_label("Key begins with").press("Enter")
    expect(documents).to_have_count(11)
    page.goto("/#/collections")
    expect(page.get_by_role("region", name="Collections")).to_contain_text(f"{MANY_DOCUMENTS:,}")


def multiply(daemon):
    """Put many ended runs and skipped documents beside those that there are."""
    import sqlite3

    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    with sqlite3.connect(daemon.state / "syncd.sqlite", timeout=60) as connection:
        keep_checksums(connection)
        for table, count, changed in (
            (
                "invocations",
                MANY_RUNS,
                {"id": "printf('00000000-0000-4000-8000-%012d', i)", "seq": "NULL", "checksum": "NULL"},
            ),
            (
                "documents",
                MANY_DOCUMENTS,
                {"id": "NULL", "key": "'many/' || i", "prefix": "'many-' || i", "state": "'skipped'"},
            ),
        ):
            state = "complete" if table == "invocations" else "indexed"
            columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(changed.get(name, name) for name in columns)
            one = f"(SELECT * FROM {table} WHERE state = '{state}' AND {'collection' if table == 'invocations' else 'collection_id'} IN ('notes', 1) LIMIT 1)"
            connection.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) {numbers} SELECT {values} FROM n, {one}", (count,)
            )
