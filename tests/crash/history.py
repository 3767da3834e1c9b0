"""A seeded history of a small repository: files appear, change at the top, change inside, move and go."""

import random
from collections.abc import Iterator

WORDS = [
    "cursor",
    "mailbox",
    "journal",
    "bucket",
    "anchor",
    "ledger",
    "packet",
    "signal",
    "vector",
    "branch",
    "commit",
    "folder",
]


def function(rng: random.Random) -> str:
    name, words = "_".join(rng.sample(WORDS, 2)), " ".join(rng.choices(WORDS, k=6))
    return f'def {name}_{rng.randrange(1000)}(value):\n    """{words.capitalize()}."""\n    return value + {rng.randrange(99)}\n\n\n'


def section(rng: random.Random) -> str:
    return f"## {' '.join(rng.sample(WORDS, 2)).title()}\n\n{' '.join(rng.choices(WORDS, k=12))}.\n\n"


def file(rng: random.Random, name: str) -> str:
    piece = section if name.endswith(".md") else function
    return "".join(piece(rng) for _ in range(rng.randrange(1, 6)))


def names(rng: random.Random, count: int) -> list[str]:
    return [f"{rng.choice(WORDS)}/{rng.choice(WORDS)}_{i}.{rng.choice(['py', 'md'])}" for i in range(count)]


def first(rng: random.Random, count: int) -> dict[str, str]:
    """The first commit's files."""
    return {name: file(rng, name) for name in names(rng, count)}


def commits(rng: random.Random, files: dict[str, str], count: int) -> Iterator[dict[str, str | None]]:
    """Yield the changes of each further commit. Half of the files are never touched again: nothing heals a loss there."""
    hot = sorted(files)[: len(files) // 2]
    present = dict(files)
    for number in range(count):
        changes: dict[str, str | None] = {}
        for name in rng.sample(hot, min(4, len(hot))):
            text = present.get(name)
            kind = rng.choice(["top", "tail", "gone", "new", "same"])
            if text is None or kind == "new":
                changes[name] = file(rng, name)
            elif kind == "top":
                changes[name] = function(rng) + text
            elif kind == "tail":
                changes[name] = text[: len(text) // 2] + section(rng)
            elif kind == "gone":
                changes[name] = None
        fresh = f"once/written_{number}.py"
        changes[fresh] = file(rng, fresh)
        present.update(changes)
        yield changes
