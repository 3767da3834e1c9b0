"""A real daemon with documents, and a browser that looks at it."""

import json
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright, expect

from syncd.sources.web.render import chromium
from tests.app.test_daemon import configuration
from tests.daemon import Daemon

STRANGER = "<img src=x onerror=\"document.title='taken'\">"
"""What somebody may put into names, titles and texts, hoping that a page takes it for HTML."""
NOTES = 24
LIMIT_MS = 60_000
expect.set_options(timeout=LIMIT_MS)


def write_notes(folder: Path) -> None:
    """Write documents that a search tells apart, one of a stranger's, and one that cannot be read."""
    folder.mkdir(parents=True)
    for number in range(NOTES):
        (folder / f"note-{number}.md").write_text(
            f"# Note {number}\n\nIt rains on day {number}, and the ferry waits.\n"
        )
    chapters = [
        f"## Chapter {n}\n\nThe keeper of the lighthouse writes letters. {f'Ship {n} passes. ' * 90}\n"
        for n in range(5)
    ]
    (folder / "lighthouse.md").write_text("# The lighthouse\n\n" + "\n".join(chapters))
    (folder / f"{STRANGER.replace('/', '')}.md").write_text(
        f"# {STRANGER}\n\nThe stranger says {STRANGER} and <script>alert(1)</script>.\n"
    )
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of the kind")


def dashboard_daemon(folder: Path, models: Path) -> Daemon:
    """A daemon that may read `folder`."""
    more = f'[folder]\nallowed_roots = ["{folder}"]\n'
    return Daemon(folder / "daemon", configuration(models, more))


def asked(daemon: Daemon, path: str, body: object = None, method: str | None = None):
    """Ask the daemon's API as its administrator."""
    request = urllib.request.Request(
        f"{daemon.announced()['url']}/api/v1/{path}",
        None if body is None else json.dumps(body).encode(),
        {"x-chroma-token": daemon.token(), "content-type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"null")


def synced_source(daemon: Daemon, folder: Path, collection: str) -> str:
    """Add a watched folder and wait until its first run is over; return the source's id."""
    settings = {"path": str(folder), "watch": {"target_collection_name": collection}}
    source_id = asked(daemon, "sources", {"database_name": "default_database", "folder": settings})["source_id"]
    ended = "SELECT count(*) FROM invocations WHERE source_id = ? AND state = 'complete'"
    daemon.wait_until(lambda: daemon.rows(ended, source_id)[0][0] > 0)
    return source_id


def launched(playwright: Playwright) -> Browser:
    """Start the system's Chromium."""
    return playwright.chromium.launch(executable_path=chromium())


def opened(browser: Browser, daemon: Daemon, **options) -> Page:
    """Return a page of a browser that is logged in; what goes wrong in it fails the test that looks at `page.problems`."""
    context = browser.new_context(
        base_url=daemon.announced()["url"], viewport={"width": 1280, "height": 860}, **options
    )
    context.set_default_timeout(LIMIT_MS)
    answer = context.request.post("/api/v1/session", data={"token": daemon.token()})
    assert answer.ok, answer.text()
    page = context.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda said: page.problems.append(said.text) if "Content Security Policy" in said.text else None)
    return page
