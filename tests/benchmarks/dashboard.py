"""The dashboard before a large state: `python -m tests.benchmarks.dashboard [--runs 100 10000] [--documents 1000 100000]`.

Two daemons, one on a small and one on a large state folder, are looked at in headless Chromium by turns while files of a watched folder
change, so runs go by on the pages. Documents lie in the store and in a real Chroma, with random vectors. Of each step: from the click
to the first content and until nothing is under way, the longest task of the page's main thread (0: none of over 50 ms), its elements, what it received,
and the daemon's CPU; medians of `--rounds`. A last table has the large state's figures by those of the small one.
"""

import argparse
import asyncio
import itertools
import json
import random
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import structlog
from playwright.sync_api import Page, sync_playwright

from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.chroma.server import ChromaServer
from syncd.index.sparse_backfill import SparseBackfill
from syncd.model import Counts, DocumentState, Embedding
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.runtime.supervisor import Supervisor
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.changes import NewChunk, Removal, Replacement
from syncd.store.vectors import vector_key
from tests.benchmarks.git_scale import WORDS
from tests.benchmarks.large import CONFIGURATION, SOURCE
from tests.benchmarks.processes import Watched
from tests.benchmarks.search import TARGET, told_nobody, write
from tests.daemon import MINILM, Daemon
from tests.dashboard.driving import asked, launched, opened

SOURCES = 12
CHUNKS_OF_BOOK = 3000
BOOK = "book.md"
LEFT_OUT = {  # of a hundred documents
    (DocumentState.FAILED, "a page could not be read: the server answered 500"): 3,
    (DocumentState.SKIPPED, "dead link: the server answered 404"): 5,
    (DocumentState.SKIPPED, "its type is not read: application/zip"): 4,
}
HELD = 20  # per cent of the documents
EVERY_S = 1.0
IDLE_S, IDLE_SHARE = 3.0, 0.1
WATCH = """
(() => {
  const seen = window.seen = { open: 0, asked: 0, longest: 0 };
  const real = window.fetch;
  window.fetch = async (...given) => {
    seen.open++; seen.asked++;
    try {
      const answer = await real(...given);
      await answer.clone().arrayBuffer();
      return answer;
    } finally { setTimeout(() => { seen.open--; }); }
  };
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) seen.longest = Math.max(seen.longest, task.duration);
  }).observe({ type: "longtask", buffered: true });
})();
"""
IS_CONTENT = "() => document.querySelector('main:not([aria-busy]) h1') && !document.querySelector('main [aria-busy]')"
IS_QUIET = """() => new Promise((resolve) => {
  const look = (quiet) => window.seen.open ? setTimeout(() => look(0), 10)
    : quiet > 3 ? resolve(true) : requestAnimationFrame(() => look(quiet + 1));
  look(0);
})"""


@dataclass(frozen=True)
class Seen:
    """What one step cost. Milliseconds, elements, bytes."""

    content_ms: float
    idle_ms: float
    longest_task_ms: float
    elements: float
    received_bytes: float
    daemon_cpu_ms: float


def words(count: int) -> str:
    return " ".join(random.choices(WORDS, k=count))


def changes(collection_id: int, source_ids: list[str], count: int) -> Iterator[Replacement | Removal]:
    """Yield documents of all sources: a book of very many chunks, others of one, and what is left out."""
    reasons = [kind for kind, share in LEFT_OUT.items() for _ in range(share)]
    for number in range(count):
        source_id = source_ids[number % len(source_ids)]
        key = f"https://site-{number % len(source_ids)}.example.com/{number % 97:02}/{random.choice(WORDS)}-{number:06}.html"
        if number and number % 100 < len(reasons):
            state, reason = reasons[number % 100]
            yield Removal(collection_id, source_id, key, "1", "f", state, reason)
            continue
        texts = [words(25) for _ in range(1 if number else CHUNKS_OF_BOOK)]
        key = key if number else BOOK
        chunks = [
            NewChunk(text, f"{key}\n", vector_key("random", None, text), {"key": key, "chunk_index": n, "source_id": source_id, "start_line": n + 1, "end_line": n + 1})
            for n, text in enumerate(texts)
        ]  # fmt: skip
        yield Replacement(collection_id, source_id, key, f"{source_id}-{number}", "1", "f", "h", 1, chunks)


def insert_runs(connection, source_ids: list[str], runs: int, documents: int) -> None:
    """Insert ended runs: most went well, some failed; the newest whole one left out and held back documents."""
    began = time.time() - 60.0 * runs
    rows = []
    for number in range(runs):
        at, state = began + 50.0 * number, "failed" if number % 40 == 7 else "complete"
        counts = Counts(found=9, indexed=number % 7, unchanged=5, skipped=number % 3, failed=number % 2)
        if number == runs - 1:
            held = documents * HELD // 100
            counts = Counts(found=documents, indexed=documents, failed=documents * 3 // 100, held_deletes=held)
        rows.append((
            str(uuid.UUID(int=number + 1)), source_ids[number % len(source_ids)], TARGET.database, TARGET.collection, state,
            "the site did not answer" if state == "failed" else None, at, at + 1, at + 40, json.dumps(asdict(counts)),
        ))  # fmt: skip
    connection.executemany(
        "INSERT INTO invocations (id, source_id, source_type, database, collection, origin, priority, request, state, error, created_at, "
        "started_at, finished_at, counts) VALUES (?, ?, 'web_scrape', ?, ?, 'schedule', 2, '{}', ?, ?, ?, ?, ?, ?)",
        rows,
    )
    run = rows[-1][0]
    connection.execute(
        "INSERT INTO outcomes (invocation_id, key, state, reason, chunks, at) "
        "SELECT DISTINCT ?, key, state, coalesce(reason, ''), 1, recorded_at FROM documents",
        (run,),
    )
    connection.execute(
        "INSERT INTO held_deletes SELECT DISTINCT ?, key FROM documents WHERE state = 'indexed' LIMIT ?", (run, held)
    )


async def fill(state: Path, source_ids: list[str], runs: int, documents: int) -> None:
    """Put documents and runs into a state folder and its Chroma."""
    random.seed(7)
    server = ChromaServer(state / "chroma")
    store = await Store.open(state, TYPES)
    async with anyio.create_task_group() as group, Chroma(ChromaSettings(port=server.port)) as chroma:
        await group.start(Supervisor("benchmark", [server, chroma]).run)
        await chroma.available()
        await chroma.open_collection(TARGET)
        collection = await store.collections.open(TARGET, Embedding(model=MINILM))
        made = changes(collection.id, source_ids, documents)
        while some := list(itertools.islice(made, 500)):
            written = [it for it in some if isinstance(it, Replacement)]
            await write(store, chroma, written)
            await store.documents.stage([it for it in some if isinstance(it, Removal)])
        await SparseBackfill(store, SparseModels().of, told_nobody).fill_all()
        await store.database.write(lambda c: insert_runs(c, source_ids, runs, documents))
        group.cancel_scope.cancel()
    await store.close()


class Looked:
    """A daemon on a filled state folder, and a browser's page that looks at it."""

    def __init__(self, folder: Path, runs: int, documents: int) -> None:
        self.live = folder / "live"
        self.live.mkdir(parents=True)
        (self.live / "first.txt").write_text("the first note\n")
        declared = SOURCE.format(name="live", path=self.live, collection="live")
        self.daemon = Daemon(folder, CONFIGURATION + declared).start()
        ids = []
        for number in range(SOURCES):
            web = {"web_scrape": {"starting_url": f"https://site-{number}.example.com/"}, "name": f"site-{number}"}
            ids.append(asked(self.daemon, "sources", {"database_name": TARGET.database, **web})["source_id"])
        self.daemon.wait_until(lambda: self.daemon.unsettled() == 0)
        self.daemon.stop()
        began = time.perf_counter()
        asyncio.run(fill(self.daemon.state, ids, runs, documents))
        print(f"{runs:,} runs and {documents:,} documents were filled in within {time.perf_counter() - began:.0f} s")
        self.daemon.start()
        assert self.daemon.process is not None
        self.watched = Watched(self.daemon.process.pid)
        self.source, self.run = ids[0], str(uuid.UUID(int=runs))
        self.runs, self.documents = runs, documents
        self.settle()
        self.received = 0

    def settle(self) -> None:
        """Wait until the daemon has made what it makes once: the lists of words, and its first looks at everything."""
        question = {"database_name": TARGET.database, "collection_name": TARGET.collection, "query": "the lamp"}
        asked(self.daemon, "search", question)
        while True:
            before = self.watched.cpu().own_s
            time.sleep(IDLE_S)
            if self.watched.cpu().own_s - before < IDLE_S * IDLE_SHARE:
                return

    def opened(self, browser) -> Page:
        page = opened(browser, self.daemon)
        page.add_init_script(WATCH)
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.on("Network.dataReceived", self._count)
        return page

    def _count(self, event: dict) -> None:
        self.received += event["encodedDataLength"] or event["dataLength"]


def measured(looked: Looked, page: Page, step: Callable[[Page], object]) -> Seen:
    """Take one step and wait until there is nothing left to do."""
    looked.received = 0
    cpu, began = looked.watched.cpu().own_s, time.perf_counter()
    step(page)
    page.wait_for_function(IS_CONTENT)
    content_ms = (time.perf_counter() - began) * 1000
    page.evaluate(IS_QUIET)
    idle_ms = (time.perf_counter() - began) * 1000
    page.wait_for_timeout(300)
    cpu_ms = (looked.watched.cpu().own_s - cpu) * 1000
    longest_ms, elements = page.evaluate(
        "() => { const { longest } = window.seen; window.seen.longest = 0; return [longest, document.querySelectorAll('*').length]; }"
    )
    return Seen(content_ms, idle_ms, longest_ms, elements, looked.received, cpu_ms)


def at(path: str) -> Callable[[Page], object]:
    """A page, from nothing."""

    def step(page: Page) -> None:
        page.goto("about:blank")
        page.goto(path)

    return step


def press(name: str, times: int = 1) -> Callable[[Page], object]:
    """Press a button, waiting for what it brings each time."""

    def step(page: Page) -> None:
        for _ in range(times):
            page.get_by_role("button", name=name).last.click()
            page.wait_for_function(IS_CONTENT)
            page.evaluate(IS_QUIET)

    return step


def choose(label: str, value: str) -> Callable[[Page], object]:
    return lambda page: page.get_by_label(label, exact=True).first.select_option(value)


def steps(looked: Looked) -> dict[str, Callable[[Page], object]]:
    """What is done, in order; each step starts where the one before ended."""
    of_collection = f"/#/collections/{TARGET.database}/{TARGET.collection}"
    book = f"/#/document?database={TARGET.database}&collection={TARGET.collection}&key={BOOK}"
    return {
        "overview": at("/#/"),
        "sources": at("/#/sources"),
        "a source": at(f"/#/sources/{looked.source}"),
        "runs": at("/#/runs"),
        "runs, further": press("Further"),
        "the oldest runs": at(f"/#/runs?offset={looked.runs - 20}"),
        "runs that failed": choose("State", "failed"),
        "runs of a source": at(f"/#/runs?source={looked.source}"),
        "a run of all documents": at(f"/#/runs/{looked.run}"),
        "its documents of any outcome": choose("Outcome", ""),
        "its documents, further, three times": press("Further", 3),
        "collections": at("/#/collections"),
        "documents": at(of_collection),
        "documents, further, three times": press("Further", 3),
        "the last documents": at(f"{of_collection}?from=https://site-{SOURCES - 1}.example.com/96"),
        "documents that failed": choose("Stage", "failed"),
        "documents of a source": at(f"{of_collection}?source={looked.source}"),
        "a document of 3,000 chunks": at(book),
        "its last chunks": at(f"{book}&chunk={CHUNKS_OF_BOOK - 1}"),
        "search": at(f"/#/search?collection={TARGET.collection}&q=the+lamp"),
        "system": at("/#/system"),
        "access": at("/#/access"),
        "add a source": at("/#/sources/add"),
    }


@contextmanager
def changing(folders: list[Path]) -> Iterator[None]:
    """Change a file of each folder every second, for the length of the block."""
    is_over = threading.Event()

    def change() -> None:
        for number in itertools.count():
            for folder in folders:
                (folder / f"note-{number % 5}.txt").write_text(f"note {number}: {words(8)}\n")
            if is_over.wait(EVERY_S):
                return

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def look(states: list[Looked], rounds: int) -> list[dict[str, Seen]]:
    """Take all steps before each daemon by turns; return the medians by step."""
    found: list[dict[str, list[Seen]]] = [{} for _ in states]
    with sync_playwright() as playwright, changing([it.live for it in states]):
        browser = launched(playwright)
        pages = [it.opened(browser) for it in states]
        walks = [steps(it) for it in states]
        for _, name in itertools.product(range(rounds), walks[0]):
            for looked, page, walk, seen in zip(states, pages, walks, found, strict=True):
                page.bring_to_front()
                print(name, flush=True)
                seen.setdefault(name, []).append(measured(looked, page, walk[name]))
        browser.close()
    return [{name: middle(many) for name, many in seen.items()} for seen in found]


def middle(many: list[Seen]) -> Seen:
    return Seen(*(statistics.median(column) for column in zip(*(asdict(it).values() for it in many), strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs=2, default=[100, 10_000])
    parser.add_argument("--documents", type=int, nargs=2, default=[1_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory() as folder:
        sizes = zip(given.runs, given.documents, strict=True)
        states = [Looked(Path(folder, str(number)), *size) for number, size in enumerate(sizes)]
        try:
            small, large = look(states, given.rounds)
        finally:
            for looked in states:
                looked.daemon.stop()
    columns = ["content, ms", "idle, ms", "longest task, ms", "elements", "kB", "daemon, CPU ms"]
    print(f"| small → large | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for name, seen in large.items():
        pairs = zip(asdict(small[name]).values(), asdict(seen).values(), strict=True)
        cells = [
            f"{a / unit:,.0f} → {b / unit:,.0f}" for (a, b), unit in zip(pairs, (1, 1, 1, 1, 1000, 1), strict=True)
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
