"""How well search finds the files that answer questions about code: nDCG@10 by words, vectors and both, with the ranking rules and without.

`python -m tests.benchmarks.code_search QUESTIONS.json FOLDER [REPOSITORY …]`: questions as semble's benchmark has them
(MinishLab/semble, MIT): {repos: {name: {language, github, revision, root, queries: [[question, [path], [path], kind]]}}, dropped: {name:
[question and why it is not asked]}}. FOLDER
holds clones, bare or not, as `owner+name/repo`, `owner+name` or `name`, of which the texts of that revision below `root` make one
collection; `--content code` leaves out documentation and configuration. As there: a target is a file, its rank is that of its
first chunk, the ideal has min(10, number of targets) hits.

Every figure is given for the half of the questions that the rules were tuned on (by hash), for the other half, for all, and
for each language's other half; the peer is a plain BM25 over the same chunks, that of the package rank-bm25. `--rules` adds each rule
alone and all but each. `--k` and `--weights` vary the fusion.
"""

import argparse
import asyncio
import json
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from rank_bm25 import BM25Okapi

from syncd.pipeline.sparse.bm25 import code_bm25
from syncd.search.asked import query_kind
from syncd.search.fuse import Fusion, Ranked, fuse
from syncd.search.lexical import best
from syncd.search.order import PLAIN, UNASKED, fusion_in_code
from syncd.search.paths import kinds_of_path
from syncd.search.rules import NO_RULES, RuleName, Rules, by_rules
from syncd.store.chunks import FoundChunk
from tests.benchmarks.retrieval import POOL, TOP, chunks_of, halves, lists_of, vectors_of

MAX_FILE_BYTES = 1 << 20
HALVES = ("chosen on", "held out", "all")


@dataclass(frozen=True)
class Judged:
    """One repository: its chunks as a search finds them, its questions with the files that answer them, the rankings, and the peer's."""

    language: str
    chunks: dict[str, FoundChunk]
    questions: list[tuple[str, list[str]]]
    dense: list[list[tuple[str, float]]]
    words: list[list[tuple[str, float]]]
    peer: list[list[tuple[str, float]]]


def repositories_of(given):
    """Return the repositories by name, with the questions that are asked: no search finds a file that the revision does not have."""
    read = json.loads(given.questions.read_text())
    repositories = {name: read["repos"][name] for name in given.repositories or read["repos"]}
    for name, described in repositories.items():
        dropped = tuple(read.get("dropped", {}).get(name, ()))
        described["queries"] = [
            query for query in described["queries"] if not any(one.startswith(f"{query[0]} (") for one in dropped)
        ]
    return repositories


def clone_of(folder, name, github):
    owned = github.replace("/", "+")
    return next(place for place in (folder / owned / "repo", folder / owned, folder / name) if place.is_dir())


def documents_of(clone, revision, root, content):
    """Return the texts of a revision, as the GitHub source takes them."""
    git = ["git", "-C", clone]
    within = [root] if root else []
    listed = subprocess.run([*git, "ls-tree", "-r", "--name-only", revision, *within], capture_output=True, check=True)
    found = []
    for path in listed.stdout.decode().splitlines():
        if content == "code" and kinds_of_path(path) & {"docs", "config"}:
            continue
        data = subprocess.run([*git, "show", f"{revision}:{path}"], capture_output=True, check=True).stdout
        try:
            text = data.decode()
        except UnicodeDecodeError:
            continue
        if text.strip() and "\0" not in text and len(data) <= MAX_FILE_BYTES:
            found.append({"path": path, "text": text})
    return found


async def judged(given, name, described):
    """Return a repository's chunks, questions and rankings."""
    clone = clone_of(given.folder, name, described["github"])
    cut = chunks_of(documents_of(clone, described["revision"], described["root"], given.content))
    numbers = {path: number for number, path in enumerate(dict.fromkeys(path for path, _ in cut))}
    chunks = {
        str(n): FoundChunk(str(n), chunk.text, metadata_of(path, chunk), numbers[path], "written", None, None)
        for n, (path, chunk) in enumerate(cut)
    }
    texts, asked = [chunk.embedded_text for _, chunk in cut], [query[0] for query in described["queries"]]
    encoder = code_bm25()
    lexical = lists_of(encoder.vectors(texts))
    scores = [lexical.scores(vector, uses_idf=True) for vector in encoder.vectors(asked, "query")]
    words = [[(str(row), float(some[row])) for row in best(some, POOL)] for some in scores]
    dense = [[] for _ in asked]
    if not given.words_only:
        matrix = await vectors_of(texts, "document")
        cosines = [matrix @ vector for vector in await vectors_of(asked, "query")]
        dense = [[(str(n), float(some[n])) for n in np.argsort(-some, kind="stable")[:POOL]] for some in cosines]
    peer = BM25Okapi([plain_words(text) for text in texts])
    others = [peer.get_scores(plain_words(question)) for question in asked]
    plain = [[(str(row), float(some[row])) for row in best(some, POOL)] for some in others]
    questions = [(query[0], [*query[1], *query[2]]) for query in described["queries"]]
    print(f"{name}: {len(numbers)} files, {len(chunks)} chunks, {len(questions)} questions", flush=True)
    return Judged(described["language"], chunks, questions, dense, words, plain)


def plain_words(text):
    return re.findall(r"\w+", text.lower())


def metadata_of(path, chunk):
    place = {
        "key": path,
        "start_line": chunk.span.start_line,
        "end_line": chunk.span.end_line,
        "language": chunk.language,
    }
    return {**place, "stage": chunk.stage, "symbol": chunk.symbol, "scope": " > ".join(chunk.scope)}


def gain(ranking, targets):
    """Return nDCG@10 of a ranking of paths, where only the first chunk of a target counts."""
    first = {}
    for rank, path in enumerate(ranking[:TOP], 1):
        first.setdefault(path, rank)
    found = sum(1 / np.log2(first[target] + 1) for target in targets if target in first)
    return found / sum(1 / np.log2(rank + 1) for rank in range(1, min(TOP, len(targets)) + 1))


def ranked(one, number, mode, fusion):
    """Return a question's hits: `fusion` is a Fusion, or how one is chosen for the question."""
    if mode == "hybrid":
        wanted = fusion if isinstance(fusion, Fusion) else fusion(one.questions[number][0])
        return fuse([n for n, _ in one.dense[number]], [n for n, _ in one.words[number]], wanted)
    return [Ranked(n, score) for n, score in getattr(one, mode)[number]]


def for_code(question):
    return fusion_in_code(query_kind(question))


def figures(repositories, mode, fusion=PLAIN, rules=None):
    """Return the mean nDCG@10 by half, and by language over the half held out."""
    gains = {name: [] for name in (*HALVES, *dict.fromkeys(one.language for one in repositories))}
    for one in repositories:
        for number, (question, targets) in enumerate(one.questions):
            hits = ranked(one, number, mode, fusion)
            hits = by_rules(hits, one.chunks, question, rules, by_words=mode in ("words", "peer")) if rules else hits
            value = gain([one.chunks[hit.id].metadata["key"] for hit in hits], targets)
            for half in halves(question):
                gains[half].append(value)
                gains[one.language] += [value] if half == "held out" else []
    return {name: float(np.mean(some)) for name, some in gains.items() if some}


def show(name, found):
    print(f"{name:36}" + " ".join(f"{value:.3f}" for value in found.values()), flush=True)


def show_rules(repositories, mode, fusion):
    """Print each rule's gain: alone over none, and what is lost without it."""
    names = get_args(RuleName)
    for name in names:
        show(f"  only {name}", figures(repositories, mode, fusion, Rules.only([name])))
    for name in names:
        rest = [other for other in names if other != name]
        show(f"  all but {name}", figures(repositories, mode, fusion, Rules.only(rest)))


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("repositories", nargs="*", help="default: all")
    parser.add_argument("--content", choices=("all", "code"), default="all")
    parser.add_argument("--words-only", action="store_true", help="embed nothing")
    parser.add_argument("--rules", action="store_true", help="each rule's gain")
    parser.add_argument("--k", type=int, nargs="*", default=[PLAIN.k])
    parser.add_argument("--weights", type=float, nargs="*", default=[PLAIN.sparse], help="of words, dense being 1")
    given = parser.parse_args()
    repositories = [await judged(given, name, described) for name, described in repositories_of(given).items()]
    languages = " ".join(dict.fromkeys(one.language for one in repositories))
    print(f"nDCG@{TOP}; columns: half it was chosen on, half held out, all; half held out of {languages}")
    modes = ("peer", "words") if given.words_only else ("peer", "words", "dense", "hybrid")
    for mode in modes:
        show(mode, figures(repositories, mode))
        if mode == "hybrid":
            for fusion in (Fusion(1.0, weight, k) for k in given.k for weight in given.weights):
                show(f"  k={fusion.k} w={fusion.sparse:g}", figures(repositories, mode, fusion))
                show("    with rules", figures(repositories, mode, fusion, Rules()))
        start = time.process_time()
        show(f"{mode} with all rules", figures(repositories, mode, for_code, Rules()))
        spent = time.process_time() - start
        print(f"  {spent / sum(len(one.questions) for one in repositories) * 1000:.1f} ms of CPU a question")
        show("  those of a search that names none", figures(repositories, mode, for_code, UNASKED))
        if mode == "hybrid":
            show("  fused for code, no rules", figures(repositories, mode, for_code, NO_RULES))
        if given.rules:
            show_rules(repositories, mode, for_code)


if __name__ == "__main__":
    asyncio.run(main())
