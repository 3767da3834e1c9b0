"""Two collections of the same texts are compared by what their readers meet, whatever the size of their chunks."""

import math
import random
from collections import Counter

import pytest

from syncd.model import Target
from syncd.search import Answer, SearchHit
from syncd.search.compared import compared
from syncd.search.made_questions import made_of
from syncd.store.texts import TextChunk

WORDS = [
    f"{first}{second}"
    for first in ("lan", "mar", "tor", "vel", "sin")
    for second in ("dor", "ket", "mil", "pas", "quo", "rin", "tas", "vum")
]


def document(rng: random.Random) -> str:
    """A document of sections that each are about something, with words of others in between."""
    sections: list[str] = []
    for _ in range(10):
        heading = rng.sample(WORDS, 3)
        sentences = [
            f"The {' and the '.join([*rng.sample(heading, 1), *rng.sample(WORDS, 2)])} wait." for _ in range(4)
        ]
        sections.append(f"# {' '.join(heading).title()}\n\n" + "\n".join(sentences) + "\n")
    return "\n".join(sections)


FILES = {f"{number}.md": document(random.Random(number)) for number in range(12)}


def chunks(lines_max: int) -> list[SearchHit]:
    """The documents in chunks of so many lines."""
    found: list[SearchHit] = []
    for key, text in FILES.items():
        lines = text.splitlines(keepends=True)
        for start in range(0, len(lines), lines_max):
            some = lines[start : start + lines_max]
            metadata = {"key": key, "start_line": start + 1, "end_line": start + len(some)}
            found.append(SearchHit(f"{key}-{start}", 0.0, "".join(some), metadata, dense_rank=1))
    return found


def terms(text: str) -> Counter[str]:
    return Counter(text.lower().replace("#", "").replace(".", "").split())


def likeness(query: str, text: str) -> float:
    """The cosine of both texts' words."""
    one, other = terms(query), terms(text)
    return (
        sum(one[word] * other[word] for word in one)
        / math.hypot(1e-9, *one.values())
        / math.hypot(1e-9, *other.values())
    )


@pytest.fixture
def loss(parts, folder, target):
    async def ask(sizes: tuple[int, int], spoilt: bool = False):
        await parts.sync(folder, target)
        other = Target(target.database, "other")
        cut = {target: chunks(sizes[0]), other: chunks(sizes[1])}

        async def search(query) -> Answer:
            sign = -1 if spoilt and query.target == other else 1
            ranked = sorted(cut[query.target], key=lambda hit: -sign * likeness(query.text, hit.text))
            return Answer(ranked[: query.limit])

        comparison = await compared(parts.store, search, target, other)
        before, after = next(one["ndcg_at_10"] for one in comparison.figures if one["way"] == "hybrid")
        assert comparison.questions > 50
        return comparison.loss, 1 - after / before

    return ask


async def test_larger_chunks_of_the_same_texts_are_no_loss_though_they_rank_lower(loss):
    fair, by_rank = await loss((7, 14))
    assert fair < 0.1 < by_rank, (fair, by_rank)


def test_questions_ask_for_the_same_lines_whatever_chunks_they_are_made_of():
    def made(lines_max: int):
        return [
            question
            for hit in chunks(lines_max)
            for question in made_of(TextChunk(hit.text, hit.metadata), hit.metadata["key"], frozenset(FILES))
        ]

    assert made(7) == made(70)
    assert {one.answers[0].last_line - one.answers[0].first_line for one in made(70)} == {0}


async def test_smaller_chunks_are_no_loss_either(loss):
    fair, _ = await loss((14, 7))
    assert fair < 0.1


@pytest.mark.parametrize("sizes", [(7, 14), (14, 7), (7, 7)])
async def test_a_collection_that_finds_the_wrong_texts_is_a_loss_whatever_its_chunks(loss, sizes):
    fair, _ = await loss(sizes, spoilt=True)
    assert fair > 0.5
