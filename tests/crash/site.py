"""Small websites in two editions, every request on record: links, redirects, twins, a text file, pages that go and come."""

import asyncio
import random
from hashlib import sha256

from aiohttp import web

from tests.crash.history import WORDS

PAGES = 18
LATENCY_S = 0.03
"""Long enough for a crawl to be under way when death comes."""


class SiteFactory:
    """`count` sites on one host, each below a folder of its own: /0/, /1/, … `edition` is what they serve now.

    `log` holds the path and the status of every answer, in order.
    """

    def __init__(self, count: int, seed: int = 0) -> None:
        self.count = count
        self.edition = 1
        self.log: list[tuple[str, int]] = []
        self.editions: dict[int, dict[str, str]] = {1: {}, 2: {}}
        for number in range(count):
            for edition, pages in ((1, first(f"{seed} {number}")), (2, second(f"{seed} {number}"))):
                self.editions[edition] |= {f"/{number}/{name}": text for name, text in pages.items()}

    async def answer(self, request: web.Request) -> web.Response:
        await asyncio.sleep(LATENCY_S)
        response = self._respond(request)
        self.log.append((request.path, response.status))
        return response

    def _respond(self, request: web.Request) -> web.Response:
        if request.path.endswith("/old"):
            return web.Response(status=301, headers={"Location": "p3"})
        if (text := self.editions[self.edition].get(request.path)) is None:
            return web.Response(status=404)
        tag = f'"{sha256(text.encode()).hexdigest()[:16]}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        kind = "text/plain" if request.path.endswith(".txt") else "text/html"
        return web.Response(text=text, content_type=kind, headers={"ETag": tag})


def first(seed: str) -> dict[str, str]:
    pages = {f"p{number}": page(f"{seed} {number}", number) for number in range(PAGES)}
    pages["notes.txt"] = f"Plain notes of {seed} about the journal and the ledger.\n" * 5
    pages["twin-a"] = pages["twin-b"] = page(f"{seed} twins", 5)
    pages[""] = home("p0", "p7", "old", "notes.txt", "missing", "twin-a", "twin-b")
    return pages


def second(seed: str) -> dict[str, str]:
    """The later edition: every third page says something else, a few are gone, a few are new."""
    pages = first(seed)
    for number in range(0, PAGES, 3):
        pages[f"p{number}"] = page(f"{seed} {number} again", number)
    for number in (5, 10, 11):
        del pages[f"p{number}"]
    for number in range(PAGES, PAGES + 3):
        pages[f"p{number}"] = page(f"{seed} {number}", number)
    pages[""] = home("p0", "p7", "p12", "old", "notes.txt", "twin-b", f"p{PAGES}")
    return pages


def page(seed: str, number: int) -> str:
    rng = random.Random(seed)
    title = f"Page {number}: {' '.join(rng.sample(WORDS, 2))}"
    sections = "".join(
        f"<h2 id=s{part}>{' '.join(rng.sample(WORDS, 2)).title()}</h2><p>{' '.join(rng.choices(WORDS, k=30))}.</p>"
        for part in range(rng.randrange(1, 4))
    )
    links = "".join(f'<a href="p{to}">{to}</a> ' for to in (number + 1, number + 2, rng.randrange(PAGES)))
    return f"<html lang=en><title>{title}</title><main><h1>{title}</h1>{sections}<p>{links}</p></main></html>"


def home(*links: str) -> str:
    anchors = "".join(f'<li><a href="{link}">{link}</a>' for link in links)
    return f"<html><title>Home</title><main><h1>Home</h1><p>Where all begins.</p><ul>{anchors}</ul></main></html>"
