"""How well search finds the files that answer questions about code: nDCG@10 of dense, by words and hybrid, a collection a repository.

`python -m tests.benchmarks.code_questions QUESTIONS.json FOLDER REPOSITORY …`: questions as semble's benchmark has them
(MinishLab/semble, MIT): {repos: {name: {github, revision, root, queries: [[question, [path], [path], kind]]}}}. FOLDER holds bare clones as
`owner+name/repo`, of which the files of that revision in one of SUFFIXES are read. As there: a target is a file, its rank is
that of its first chunk, the ideal has min(10, number of targets) hits. `--k` and `--weights` vary the fusion.
"""

import argparse
import asyncio
import json
import subprocess
from pathlib import Path

import numpy as np

from syncd.pipeline.sparse.bm25 import chroma_bm25, code_bm25
from syncd.search.lexical import best
from syncd.search.query import Fusion
from tests.benchmarks.retrieval import POOL, TOP, chunks_of, fused_of, lists_of, vectors_of

SUFFIXES = (".go", ".java", ".rs", ".ts", ".py", ".ex")


def git(repository, *arguments):
    return subprocess.run(["git", "-C", repository, *arguments], capture_output=True, check=True, text=True).stdout


def documents_of(repository, revision, root):
    listed = git(repository, "ls-tree", "-r", "--name-only", revision, *([root] if root else [])).splitlines()
    paths = [path for path in listed if path.endswith(SUFFIXES)]
    return [{"path": path, "text": git(repository, "show", f"{revision}:{path}")} for path in paths]


def gain(ranking, paths, targets):
    """Return nDCG@10, where only the first chunk of a target counts."""
    first = {}
    for rank, number in enumerate(ranking[:TOP], 1):
        first.setdefault(paths[number], rank)
    found = sum(1 / np.log2(first[target] + 1) for target in targets if target in first)
    return found / sum(1 / np.log2(rank + 1) for rank in range(1, min(TOP, len(targets)) + 1))


async def rankings_of(given, described):
    """Return one repository's paths of chunks, targets of questions, and the rankings: dense, and by words of each encoder."""
    repository = given.folder / described["github"].replace("/", "+") / "repo"
    chunks = chunks_of(documents_of(repository, described["revision"], described["root"]))
    paths, texts = [path for path, _ in chunks], [chunk.embedded_text for _, chunk in chunks]
    questions = [query[0] for query in described["queries"]]
    matrix, asked = await vectors_of(texts, "document"), await vectors_of(questions, "query")
    rankings = {"dense": [np.argsort(-(matrix @ vector), kind="stable").tolist()[:POOL] for vector in asked]}
    code = code_bm25()
    for name, encoder in {"Chroma/BM25": chroma_bm25(), "before": code.predecessors[0], "words": code}.items():
        lexical = lists_of(encoder.vectors(texts))
        scores = [lexical.scores(vector, uses_idf=True) for vector in encoder.vectors(questions, "query")]
        rankings[name] = [best(some, POOL).tolist() for some in scores]
    return paths, [[*query[1], *query[2]] for query in described["queries"]], rankings


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("repositories", nargs="+")
    parser.add_argument("--k", type=int, nargs="*", default=[Fusion().k])
    parser.add_argument("--weights", type=float, nargs="*", default=[Fusion().sparse], help="of words, dense being 1")
    given = parser.parse_args()
    described = json.loads(given.questions.read_text())["repos"]
    columns = {}
    for name in given.repositories:
        paths, targets, rankings = await rankings_of(given, described[name])
        for k in given.k:
            for weight in given.weights:
                fusion = Fusion(1.0, weight, k)
                pairs = zip(rankings["dense"], rankings["words"], strict=True)
                rankings[f"hybrid k={k} w={weight:g}"] = [fused_of(*pair, fusion) for pair in pairs]
        for ranking, ranked in rankings.items():
            gains = [gain(one, paths, some) for one, some in zip(ranked, targets, strict=True)]
            columns.setdefault(ranking, []).append(gains)
        print(f"{name}: {len(paths)} chunks, {len(targets)} questions", flush=True)
    for ranking, gains in columns.items():
        mean = np.mean([gain for some in gains for gain in some])
        print(f"{ranking:24}" + " ".join(f"{np.mean(some):.4f}" for some in gains) + f" | {mean:.4f}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
