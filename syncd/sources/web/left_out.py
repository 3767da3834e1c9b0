"""Addresses that a crawl leaves out, each listed once with its reason, as far as a list is of use to anybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from syncd.sources.web.crawl_scope import CrawlScope, plain_url

LINKS_PER_PAGE = 200
LISTED_LINKS = 1_000
"""Links per run that are listed without having been asked for: a wiki has a million of them."""

SCRIPT_MADE = "its text is made by scripts, which are not run: set render = 'auto' to read it in a browser"

Reasons = list[tuple[str, str]]
"""Addresses with why they are left out."""


def judged(scope: CrawlScope, links: Iterable[str]) -> tuple[list[str], Reasons]:
    """Return those of `links`, which are normalised, that may be visited, and the first of the others with their reasons.

    A foreign host stands for all its pages.
    """
    admitted: list[str] = []
    refused: dict[str, str] = {}
    for link in links:
        url = plain_url(link)
        reason = scope.refusal(url)
        if reason is None:
            admitted.append(link)
        elif len(refused) < LINKS_PER_PAGE:
            is_foreign = not scope.site.holds(url)
            place = f"{url.origin}/" if is_foreign else link
            refused.setdefault(place, f"{reason}: extra_hosts can add {url.host}" if is_foreign else reason)
    return admitted, list(refused.items())


class LinkList:
    """Which links one run has listed. Lost with the run, which lists them again."""

    def __init__(self) -> None:
        self._listed: set[str] = set()

    def new(self, reasons: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Yield those that this run has not listed, until its list is full."""
        for url, reason in reasons:
            if url not in self._listed and len(self._listed) < LISTED_LINKS:
                self._listed.add(url)
                yield url, reason
