"""A folder of real documents of every format through the running program, and each found again by search.

    python -m tests.benchmarks.documents CORPUS [--parsers 2]

CORPUS holds `index.json` (file, expected_md) and the files. What is searched for is a sentence of a document's expected text
whose words are rarest in the corpus. Documents whose expected text has that sentence cannot be told apart by it: they share the
first places, so a document counts as found when it is among as many first hits as there are such documents, plus LEEWAY.
"""

import argparse
import json
import re
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import psutil

from tests.app.test_daemon import configuration, request
from tests.benchmarks.processes import MIB, Watched
from tests.daemon import Daemon

LEEWAY = 2
LIMIT_S = 3600.0
SAMPLE_S = 0.1
FEWEST_WORDS, MOST_WORDS = 5, 30
PARSER_WORDS = ("syncd.pipeline.prepare", "syncd.pipeline.parse", "soffice")
SOURCE = """
[documents]
parsers = {parsers}
[[sources]]
name = "documents"
type = "folder"
path = "{path}"
collection = "documents"
"""


class Sampler(threading.Thread):
    """Looks at the parsers again and again: the most memory one had, and all of them together."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self.one_mib = self.all_mib = 0.0

    def run(self) -> None:
        while not self._over.wait(SAMPLE_S):
            sizes = [child.memory_info().rss / MIB for child in parsers_of(self._process)]
            self.one_mib, self.all_mib = max([self.one_mib, *sizes]), max(self.all_mib, sum(sizes))

    def end(self) -> None:
        self._over.set()
        self.join()


def parsers_of(process: psutil.Process) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for child in process.children(recursive=True):
        try:
            if any(word in part for part in child.cmdline() for word in PARSER_WORDS):
                child.memory_info()
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def parsers_cpu_s(process: psutil.Process) -> float:
    """Return what parsers used: those at work, and those that have ended, which only parsers do."""
    ended = process.cpu_times()
    live = [child.cpu_times() for child in parsers_of(process)]
    return ended.children_user + ended.children_system + sum(times.user + times.system for times in live)


def sentences(text: str) -> list[str]:
    """Return the lines and sentences of prose in Markdown, without its marks."""
    text = re.sub(r"```.*?```|<[^>]*>|!?\[([^\]]*)\]\([^)]*\)", r" \1 ", text, flags=re.S)
    pieces = re.split(r"\n|(?<=[.!?])\s|\|", re.sub(r"[*`#>\\]|^\s*[-+\d.]+\s", " ", text, flags=re.M))
    return [" ".join(piece.split()[:MOST_WORDS]) for piece in pieces if len(piece.split()) >= FEWEST_WORDS]


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def questions(corpus: Path, items: list[dict[str, str]]) -> dict[str, str]:
    """Return the most distinctive sentence of each expected text, by its path; short texts are asked for whole."""
    texts = {item["expected_md"]: (corpus / item["expected_md"]).read_text() for item in items}
    words = {name: set(re.findall(r"\w+", text.lower())) for name, text in texts.items()}
    frequency = Counter(word for found in words.values() for word in found)

    def uses_idf(sentence: str) -> float:
        found = re.findall(r"\w+", sentence.lower())
        return sum(1 / frequency[word] for word in set(found) if word in frequency) / (len(found) + 5)

    return {
        name: max(sentences(text), key=uses_idf, default=" ".join(re.findall(r"\w+", text)[:MOST_WORDS]))
        for name, text in texts.items()
    }


def wait(daemon: Daemon, files: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while daemon.rows("SELECT count(*) FROM documents")[0][0] < files or daemon.unsettled():
        assert time.monotonic() < deadline, daemon.log()
        assert daemon.process is not None
        assert daemon.process.poll() is None, daemon.log()
        time.sleep(0.2)


def places(daemon: Daemon, query: str, limit: int) -> list[str]:
    body = {"query": query, "database_name": "default_database", "collection_name": "documents", "mode": "hybrid"}
    found = request(daemon, "POST", "/api/v1/search", {**body, "limit": limit, "group_by": "document"})
    return [hit["metadata"]["key"] for hit in found["hits"]]


def search_again(daemon: Daemon, corpus: Path, items: list[dict[str, str]], root: Path) -> None:
    """Print which share of the documents is found by its sentence, by format."""
    asked = questions(corpus, items)
    made: dict[str, list[str]] = defaultdict(list)
    for item in items:
        made[item["expected_md"]].append(str((corpus / item["file"]).relative_to(root)))
    texts = {name: plain((corpus / name).read_text()) for name in made}
    found: dict[str, list[bool]] = defaultdict(list)
    first = 0
    for name, keys in made.items():
        alike = [key for other, text in texts.items() if plain(asked[name]) in text for key in made[other]]
        hits = places(daemon, asked[name], len(alike) + LEEWAY) if asked[name] else []
        first += bool(hits) and hits[0] in alike
        for key in keys:
            found[key.rpartition(".")[2]].append(key in hits)
            if key not in hits:
                print(f"not found: {key} by {asked[name]!r}")
    every = [each for group in found.values() for each in group]
    print(f"found again: {sum(every)} of {len(every)} ({sum(every) / len(every):.3f}); ", end="")
    print(f"first hit is a document with that text: {first} of {len(made)}")
    print("by format: " + ", ".join(f"{name} {sum(group)}/{len(group)}" for name, group in sorted(found.items())))


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("corpus", type=Path)
    options.add_argument("--parsers", type=int, default=2)
    given = options.parse_args()
    corpus = given.corpus.absolute()
    items = json.loads((corpus / "index.json").read_text())
    root = corpus / Path(items[0]["file"]).parts[0]
    with tempfile.TemporaryDirectory() as folder:
        source = SOURCE.format(parsers=given.parsers, path=root)
        daemon = Daemon(Path(folder), configuration(Path(folder) / "models", source))
        started = time.perf_counter()
        daemon.start()
        assert daemon.process is not None
        try:
            watched, sampler = Watched(daemon.process.pid), Sampler(daemon.process.pid)
            sampler.start()
            idle_mib = watched.memory_mib()
            wait(daemon, len(items))
            wall_s = time.perf_counter() - started
            sampler.end()
            parsing_s, cpu = parsers_cpu_s(psutil.Process(daemon.process.pid)), watched.cpu()
            states = dict(daemon.rows("SELECT state, count(*) FROM documents GROUP BY state"))
            pages = daemon.rows(
                "SELECT sum(pages) FROM (SELECT max(coalesce(json_extract(metadata, '$.last_page'), "
                "json_extract(metadata, '$.page'), 1)) AS pages FROM chunks GROUP BY document_id)"
            )[0][0]
            print(f"{len(items)} files, {pages} pages: {states}, {wall_s:.0f} s; CPU {cpu}")
            print(
                f"parsers: {parsing_s:.1f} CPU s: {len(items) / parsing_s:.2f} files, {pages / parsing_s:.2f} pages a second and core"
            )
            print(f"whole pipeline but the model: {len(items) / (cpu.all_s - cpu.model_s):.2f} files a second and core")
            print(f"memory: daemon {idle_mib:.0f} MiB at the start, {watched.peak_mib():.0f} at most; ", end="")
            print(f"a parser {sampler.one_mib:.0f} at most, all parsers {sampler.all_mib:.0f}")
            for key, reason in daemon.rows("SELECT key, reason FROM documents WHERE state != 'indexed'"):
                print(f"{key}: {reason}")
            search_again(daemon, corpus, items, root)
        finally:
            daemon.stop()


if __name__ == "__main__":
    main()
