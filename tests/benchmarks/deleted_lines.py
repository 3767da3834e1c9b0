"""Whether the ranking rules carry over to other questions: by words, nDCG@10 of files, over lines that are deleted from their texts.

`python -m tests.benchmarks.deleted_lines QUESTIONS.json FOLDER [REPOSITORY …]`: the repositories of `code_search.py`, whose questions
are not asked. Instead the first sentence of a docstring asks for its code, and a heading for its section of the documentation, at most 50
of each a repository, chosen by hash; both are deleted from the text that answers.
"""

import argparse
import asyncio
import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from syncd.pipeline.sparse.bm25 import code_bm25
from syncd.search.fuse import Ranked
from syncd.search.lexical import best
from syncd.search.made_questions import made_of
from syncd.search.order import UNASKED
from syncd.search.paths import kinds_of_path
from syncd.search.rules import NO_RULES, Rules, by_rules
from tests.benchmarks.code_search import gain, judged, repositories_of
from tests.benchmarks.retrieval import POOL, lists_of

COUNT = 50
MIN_TEXT = 200
"""Characters of what is left of a section."""
WAYS = {
    "no rules": NO_RULES,
    "rules of a search that names none": UNASKED,
    "the same without coverage": replace(UNASKED, coverage=0.0),
    "the same without docs": replace(UNASKED, docs=1.0),
    "neither": replace(UNASKED, docs=1.0, coverage=0.0),
    "all rules": Rules(),
}


def asked_of(chunks, kind):
    """Return (question, id of the chunk that answers) of one kind."""
    found = []
    for number, chunk in chunks.items():
        is_docs = "docs" in kinds_of_path(chunk.metadata["key"])
        if is_docs == (kind == "docstring") or len(chunk.text) < MIN_TEXT:
            continue
        made = (one.text for one in made_of(chunk, chunk.metadata["key"], frozenset()) if one.kind == kind)
        found += [(question, number) for question in made]
    return sorted(found, key=lambda one: sha256(one[0].encode()).digest())[:COUNT]


def without(chunk, question):
    """Return a chunk without the lines that hold the question, and without what its heading says elsewhere."""
    words = re.compile(r"\W*".join(map(re.escape, re.findall(r"\w+", question))))
    left = "\n".join(line for line in chunk.text.split("\n") if not words.search(re.sub(r"[`*_]", "", line)))
    named = words.search(str(chunk.metadata["symbol"]))
    return replace(chunk, text=left, metadata={**chunk.metadata, "symbol": "" if named else chunk.metadata["symbol"]})


def gains(chunks, questions):
    """Return each way's nDCG@10 for each question."""
    chunks = dict(chunks)
    for question, number in questions:
        chunks[number] = without(chunks[number], question)
    encoder = code_bm25()
    texts = [f"{chunk.metadata['key']}\n{chunk.metadata['scope']}\n{chunk.text}" for chunk in chunks.values()]
    lexical = lists_of(encoder.vectors(texts))
    found = {name: [] for name in WAYS}
    for question, number in questions:
        scores = lexical.scores(encoder.vectors([question], "query")[0], uses_idf=True)
        ranked = [Ranked(str(row), float(scores[row])) for row in best(scores, POOL)]
        for name, rules in WAYS.items():
            hits = by_rules(ranked, chunks, question, rules, by_words=True)
            keys = [chunks[hit.id].metadata["key"] for hit in hits]
            found[name].append(gain(keys, [chunks[number].metadata["key"]]))
    return found


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("repositories", nargs="*", help="default: all")
    given = parser.parse_args()
    given.content, given.words_only = "all", True
    found = {kind: {name: [] for name in WAYS} for kind in ("docstring", "heading")}
    for name, described in repositories_of(given).items():
        chunks = (await judged(given, name, described)).chunks
        for kind, by_way in found.items():
            for way, values in gains(chunks, asked_of(chunks, kind)).items():
                by_way[way] += values
    for kind, by_way in found.items():
        print(f"{kind}: {len(by_way['no rules'])} questions")
        for way, values in by_way.items():
            print(f"  {way:36}{np.mean(values):.3f}")


if __name__ == "__main__":
    asyncio.run(main())
