"""Daemons that crawl several sites at once: one is left alone, others are killed in mid-crawl; all must end alike."""

import json
import random
import signal
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.journal import PREPARED, Journal, Moment, journalled
from tests.crash.killing import collection_of
from tests.crash.site import SiteFactory
from tests.daemon import MINILM, Daemon, Held

LONGEST_PAUSE_S = 0.1
MOST_REQUESTS = 40
MOST_DOCUMENTS = 25
IN_FLIGHT = 64
"""Pages of one crawl that are fetched and not yet prepared when death comes, at most: they are fetched again."""
POLL_S = 0.005
LIMIT_S = 120.0
UNDER_WAY = (
    "SELECT p.url FROM invocations i JOIN crawls c ON c.source_id = i.source_id JOIN frontier f ON f.crawl_id = c.id "
    "JOIN pages p ON p.id = f.page_id WHERE i.state = 'processing' AND c.started_at >= i.started_at "
    "AND f.outcome IN ('document', 'unchanged') AND (p.url, p.version) IN "
    "(SELECT key, version FROM documents WHERE state = 'indexed' UNION SELECT key, version FROM prepared)"
)
"""What crawls under way have been to and prepared, indexed or not."""


@dataclass
class Crawling:
    """One daemon and the sites it crawls, each into a collection of its own."""

    daemon: Daemon
    name: str
    sites: SiteFactory
    url: str
    deaths_of_crawls: int = 0
    """How many crawls were under way when the daemon was killed, over all its deaths."""
    asked_again: list[str] = field(default_factory=list)
    """Pages that were asked for again although the crawl under way had prepared them: there must be none."""

    @property
    def collections(self) -> Sequence[str]:
        return [f"{self.name}-{number}" for number in range(self.sites.count)]

    def crawl(self, edition: int, deaths: int = 0, rng: random.Random | None = None) -> list[Held]:
        """Crawl an edition of the sites from start to end, dying so many times on the way; return what is indexed then."""
        self.sites.edition = edition
        began = len(self.sites.log)
        self.daemon.start()
        if edition > 1:
            self._ask()
        prepared: list[tuple[int, set[str]]] = []
        for _ in range(deaths):
            assert rng is not None
            self._await_moment(rng)
            prepared.append(self._die())
            self.daemon.start()
        self._wait(lambda: not self._busy())
        assert {state for (state,) in self.daemon.rows("SELECT state FROM invocations")} == {"complete"}
        for moment, urls in prepared:
            self.asked_again += [path for path, _ in self.sites.log[moment:] if self.url + path in urls]
        asked = len(self.sites.log) - began
        assert asked <= 2 * len(self.sites.editions[edition]) + IN_FLIGHT * self.sites.count * deaths
        held = [collection_of(self.daemon, name) for name in self.collections]
        self.daemon.kill()
        return held

    def die_at(self, moment: Moment, times: int, journal: Journal) -> list[tuple[str, int]]:
        """Crawl until that moment of its stages, die, crawl on to the end; return what was answered after the death of pages
        that were prepared by then.
        """
        self.daemon.program = journalled(journal, f"{moment}:{times}")
        self.daemon.start()
        assert self.daemon.wait_dead() == -signal.SIGKILL, self.daemon.log()
        journal.died(self.daemon)
        began = len(self.sites.log)
        durable = {key.rpartition("@")[0] for key in journal.stage(PREPARED).durable}
        assert durable
        self.daemon.program = journalled(journal)
        self.daemon.start()
        self._wait(lambda: not self._busy())
        return [(path, status) for path, status in self.sites.log[began:] if self.url + path in durable]

    def _ask(self) -> None:
        """Ask for another crawl of every site."""
        for source_id, settings in self.daemon.rows("SELECT id, settings FROM sources"):
            url = f"{self.daemon.announced()['url']}/api/v1/sources/{source_id}/invocations"
            body = json.dumps({"target_collection_name": json.loads(settings)["collection_name"]}).encode()
            headers = {"x-chroma-token": self.daemon.token(), "content-type": "application/json"}
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60):
                pass

    def _await_moment(self, rng: random.Random) -> None:
        """Wait for a random moment of the crawls: after so many requests, or so many documents, and a little later."""
        asked, since = len(self.sites.log) + rng.randrange(1, MOST_REQUESTS), time.time()
        indexed = rng.randrange(MOST_DOCUMENTS)

        def come() -> bool:
            return len(self.sites.log) >= asked and self._recorded(since) >= indexed

        self._wait(lambda: come() or not self._busy())
        time.sleep(rng.random() * LONGEST_PAUSE_S)

    def _recorded(self, since: float) -> int:
        return self.daemon.rows("SELECT count(*) FROM documents WHERE recorded_at >= ?", since)[0][0]

    def _die(self) -> tuple[int, set[str]]:
        """Kill the daemon; return when, in requests, and what the crawls under way had prepared by then."""
        self.daemon.kill()
        self.deaths_of_crawls += self.daemon.unsettled()
        return len(self.sites.log), {url for (url,) in self.daemon.rows(UNDER_WAY)}

    def _wait(self, over: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not over():
            assert self.daemon.process is not None
            assert self.daemon.process.poll() is None, self.daemon.log()
            assert time.monotonic() < deadline, self.daemon.log()
            time.sleep(POLL_S)

    def _busy(self) -> bool:
        begun = len(self.daemon.rows("SELECT DISTINCT source_id FROM invocations"))
        return begun < self.sites.count or self.daemon.unsettled() > 0


def crawling(folder: Path, name: str, sites: SiteFactory, url: str, models: Path, chroma: str = "") -> Crawling:
    """Return a daemon that is not running; `chroma` is that section of its configuration, '' for a server of its own."""
    return Crawling(Daemon(folder / name, configuration(sites.count, url, models, name, chroma)), name, sites, url)


def configuration(sites: int, url: str, models: Path, name: str, chroma: str) -> str:
    """Return a configuration that crawls every site once, at the start."""
    sources = "".join(
        f"""
[[sources]]
name = "site-{number}"
type = "web_scrape"
starting_url = "{url}/{number}/"
collection = "{name}-{number}"
interval_s = 86400
"""
        for number in range(sites)
    )
    return f"""
[api]
port = 0
[chroma]
{chroma}
[embedding]
default_model = "{MINILM}"
models_dir = "{models}"
threads = 1
[web]
rate_per_s = 0
concurrency = 2
allow_private_addresses = ["{url.removeprefix("http://")}"]
{sources}
"""
