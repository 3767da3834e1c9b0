"""`syncd eval`: how well searches find what questions with known answers ask for."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
from rich.console import Console
from rich.progress import Progress

from syncd.cli.client import ApiError, Client, connected
from syncd.cli.commands import Commands
from syncd.cli.output import print_json, print_table, remark
from syncd.cli.search_answers import MadeQuestionAnswer, SearchAnswer
from syncd.cli.words import some
from syncd.errors import ConfigError
from syncd.quoting import told
from syncd.search.judged import JudgedQuestion, TextPlace, place_of_hit, questions_in
from syncd.search.metrics import DEPTH_JUDGED, Judgement, judgement, ndcg, quality
from syncd.search.order import UNASKED_NAMES

MARGIN = 10
"""Hits beyond those that are judged, for those that do not count."""
UNAVAILABLE = 503
ATTEMPTS = 5
PAUSE_S = 2.0
"""How often a search is tried that fails for now, and how long after the last time."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to search: its name, its mode, its rules (None: those that a search has by itself), and whether hits are reranked."""

    name: str
    mode: str
    rules: Sequence[str] | None
    rerank: bool = False


WAYS = (
    Way("words", "sparse", ()),
    Way("words, rules", "sparse", None),
    Way("vectors", "dense", ()),
    Way("vectors, rules", "dense", UNASKED_NAMES),
    Way("hybrid", "hybrid", ()),
    Way("hybrid, rules", "hybrid", None),
    Way("hybrid, reranked", "hybrid", None, rerank=True),
)


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("eval", parents=[common])
    parser.add_argument("collections", nargs="+", metavar="COLLECTION", help="one, or several to compare")
    parser.add_argument("--database", default="default_database")
    parser.add_argument(
        "--queries", type=Path, metavar="FILE", help="questions with answers (default: made of the first collection)"
    )
    parser.add_argument("--repository", metavar="NAME", help="whose questions, where FILE has those of several")
    parser.add_argument("--count", type=int, default=150, metavar="N", help="the most questions (default: 150)")
    parser.set_defaults(command=evaluate)


async def evaluate(args: argparse.Namespace) -> int:
    """Ask every question in every way, and print the figures."""
    given = None if args.queries is None else file_questions(args.queries, args.repository)[: args.count]
    async with connected(args) as client:
        questions = await asked_for(client, args) if given is None else given
        with Progress(console=Console(stderr=True), disable=args.json) as bar:
            task = bar.add_task("asking", total=len(questions) * len(WAYS) * len(args.collections))
            asking = _Asking(client, args.database, lambda: bar.advance(task))
            rows = [
                (way, collection, await asking.judged(collection, way, questions))
                for way in WAYS
                for collection in args.collections
            ]
    figures = [(way.name, collection, judged) for way, collection, judged in rows if judged]
    kinds = Counter(one.kind for one in questions)
    if args.json:
        for name, collection, judged in figures:
            by_kind = dict(ndcg_by_kind(questions, judged))
            values = {"questions": len(questions), **asdict(quality(judged)), "ndcg_at_10_by_kind": by_kind}
            print_json({"way": name, "collection": collection, **values})
        return 0 if figures else 1
    print_figures(figures, questions, kinds)
    for notice in asking.notices:
        remark(notice)
    return 0 if figures else 1


def file_questions(path: Path, repository: str | None) -> list[JudgedQuestion]:
    """Return the questions of a file. Raises ConfigError, PermanentError."""
    try:
        return questions_in(path.read_text(encoding="utf-8"), repository)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path} ({told(error)}); give a JSON file of questions") from error


async def asked_for(client: Client, args: argparse.Namespace) -> list[JudgedQuestion]:
    """Return questions that the daemon makes of the first collection."""
    body = {"database_name": args.database, "collection_name": args.collections[0], "count": args.count}
    made: Sequence[MadeQuestionAnswer] = await client.post("/api/v1/made-questions", body)
    return [
        JudgedQuestion(
            one["question"],
            [TextPlace(**answer) for answer in one["answers"]],
            one["kind"],
            frozenset(one["made_from"]),
        )
        for one in made
    ]


class _Asking:
    """Asks the daemon, and keeps what it says about its answers."""

    def __init__(self, client: Client, database: str, advance: Callable[[], None]) -> None:
        self._client = client
        self._database = database
        self._advance = advance
        self.notices: dict[str, None] = {}

    async def judged(self, collection: str, way: Way, questions: Sequence[JudgedQuestion]) -> list[Judgement]:
        """Return how every question is answered; nothing, with a notice, where the collection cannot be searched in this way."""
        found: list[Judgement] = []
        for question in questions:
            body = {
                "query": question.text,
                "database_name": self._database,
                "collection_name": collection,
                "mode": way.mode,
                "limit": DEPTH_JUDGED + MARGIN,
                "rules": way.rules,
                "rerank": way.rerank,
            }
            try:
                answer = await self._answer(body)
            except ApiError as error:
                if error.status == 404:
                    raise
                self.notices[f"{collection} by {way.name}: {error}"] = None
                return []
            self.notices |= dict.fromkeys(f"{collection} by {way.name}: {notice}" for notice in answer["notices"])
            found.append(judgement(question, [place_of_hit(hit["id"], hit["metadata"]) for hit in answer["hits"]]))
            self._advance()
        return found

    async def _answer(self, body: Mapping[str, object]) -> SearchAnswer:
        """Return the answer to one search; asks again while the model or Chroma is away. Raises ApiError."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._client.post("/api/v1/search", body)
            except ApiError as error:
                if error.status != UNAVAILABLE:
                    raise
            await anyio.sleep(PAUSE_S)
        return await self._client.post("/api/v1/search", body)


def ndcg_by_kind(questions: Sequence[JudgedQuestion], judged: Sequence[Judgement]) -> Iterator[tuple[str, float]]:
    """Yield each kind of question with its mean nDCG@10."""
    for kind in dict.fromkeys(one.kind for one in questions):
        values = [ndcg(one) for question, one in zip(questions, judged, strict=True) if question.kind == kind]
        yield kind, sum(values) / len(values)


def print_figures(
    figures: Sequence[tuple[str, str, Sequence[Judgement]]],
    questions: Sequence[JudgedQuestion],
    kinds: Mapping[str, int],
) -> None:
    """Print a row for each way and collection, those of one way below each other."""
    several = [f"nDCG {kind or 'others'} ({count})" for kind, count in kinds.items()] if len(kinds) > 1 else []
    columns = ["", "collection", "recall@1", "recall@5", "recall@10", "nDCG@10", "MRR", *several]
    rows: list[list[str]] = []
    for name, collection, judged in figures:
        by_kind = [value for _, value in ndcg_by_kind(questions, judged)] if several else []
        values = [*asdict(quality(judged)).values(), *by_kind]
        rows.append([name, collection, *(f"{value:.3f}" for value in values)])
    print(
        f"{some(len(questions), 'question')}; {', '.join(f'{count} {kind}' for kind, count in kinds.items() if kind)}".rstrip(
            "; "
        )
    )
    print_table(columns, rows)
