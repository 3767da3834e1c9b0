"""Ranking rules for code: what a chunk defines, where it stands and what its file is move it up or down. Pure.

Each factor's reason stands beside it, and its gain in tests/benchmarks/README.md. Words and vectors judge a chunk by its text
alone; people name things, and put them into files that bear their names.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from syncd.search.asked import QueryTerms, asked, stemmed_word
from syncd.search.fuse import Ranked
from syncd.search.paths import PathKind, kinds_of_path
from syncd.search.signals import PathMatch, covered_shares, defined_share, symbol_share
from syncd.store.chunks import FoundChunk

DEPTH = 100
"""How many hits the rules order; the rest follows as it was."""
K = 20
"""A hit's score before the rules is 1 / (K + rank), as in the fusion: what rankings of any mode have in common.

In a ranking by words the rules take the mean of that and the hit's share of the best score, scaled alike: how far hits are apart says
more than their order.
"""


RuleName = Literal[
    "definition",
    "path",
    "symbol",
    "coverage",
    "coherence",
    "repeats",
    "tests",
    "vendored",
    "generated",
    "legacy",
    "docs",
    "config",
    "duplicates",
]


@dataclass(frozen=True, slots=True)
class Rules:
    """How strong each rule is; 0 (1 for factors) switches it off."""

    definition: float = 4.0
    """The chunk defines the symbol that the query is: uses outnumber the definition, and mention it as often."""
    path: float = 2.0
    """The file's path has words of the query: files are named after what they are about."""
    symbol: float = 1.0
    """What the chunk defines, or stands in, has words of the query."""
    coverage: float = 1.0
    """The chunk has many of the query's words: one rare word, or a likeness of meaning, carries others as far up."""
    coherence: float = 0.5
    """Other chunks of the file are hits too: a file about something says so more than once."""
    repeats: float = 0.5
    """Each further hit of a file counts this much of the one before it: ten hits of one file answer one question."""
    tests: float = 0.3
    """Tests, mocks and benchmarks use what is asked for, in the same words."""
    vendored: float = 0.5
    generated: float = 0.5
    legacy: float = 0.5
    docs: float = 0.3
    """Documentation and examples tell in the query's own words what code does; who wants them says so."""
    covering_docs: float = 0.3
    """The same where they have all of the query's words, or nothing has any; those with a part of them are moved by as much between the two."""
    config: float = 0.8
    duplicates: bool = True
    """Of chunks with the same text only the first is a hit."""

    @classmethod
    def only(cls, names: Collection[RuleName]) -> Rules:
        """Return these rules at their strength, and no others."""
        fields = [*names, "covering_docs"] if "docs" in names else names
        return replace(NO_RULES, **{name: getattr(cls(), name) for name in fields})


NO_RULES = Rules(0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, duplicates=False)


_WORDS: Mapping[PathKind, str] = {
    "tests": "test tests testing spec specs mock mocks fixture fixtures benchmark benchmarks e2e",
    "vendored": "vendor vendored third dependency dependencies bundled external",
    "generated": "generated codegen locale locales translation translations i18n lock",
    "legacy": "legacy deprecated obsolete old compat compatibility backport backports archive",
    "docs": "doc docs documentation readme changelog example examples sample guide tutorial demo license contributing website",
    "config": "config configuration configure settings yaml toml json xml ini properties dockerfile makefile dependency version build",
}
"""By which words a query asks for files of a kind."""
_ASKED_FOR = {kind: frozenset(stemmed_word(word) for word in words.split()) for kind, words in _WORDS.items()}
_VERSION = re.compile(r"(?<![^/])v(\d{1,9})(?=/)")


@dataclass(frozen=True, slots=True)
class _Candidate:
    hit: Ranked
    document: object
    key: str
    text: str
    symbol: str
    scope: str

    @property
    def all_text(self) -> str:
        return f"{self.key}\n{self.scope}\n{self.symbol}\n{self.text}"


def by_rules(
    ranked: Sequence[Ranked], chunks: Mapping[str, FoundChunk], query: str, rules: Rules, *, by_words: bool = False
) -> list[Ranked]:
    """Return a ranking in the order of the rules, with their scores. `chunks`: the content of the hits, as far as it is there.

    `by_words`: its scores are those of the words. Only the first DEPTH hits are looked at; the others follow in their order.
    """
    wanted = asked(query)
    candidates = [_candidate(hit, chunks.get(hit.id)) for hit in ranked[:DEPTH]]
    if rules.duplicates:
        candidates = _folded(candidates)
    in_path = PathMatch(wanted.terms, {one.key for one in candidates})
    newest = _newest_versions(one.key for one in candidates)
    covered = covered_shares(wanted.terms, [one.all_text for one in candidates])
    scores = [
        (_lift(one, wanted, rules, in_path) + rules.coverage * share)
        * _penalty(one.key, share if any(covered) else 1.0, wanted, rules, newest)
        * before
        for one, share, before in zip(candidates, covered, _before(candidates, by_words), strict=True)
    ]
    documents = [one.document for one in candidates]
    scores = _repeats_decayed(documents, _coherent(documents, scores, rules.coherence), rules.repeats)
    ordered = [replace(one.hit, score=score) for one, score in zip(candidates, scores, strict=True)]
    return sorted(ordered, key=lambda hit: -hit.score) + list(ranked[DEPTH:])


def _candidate(hit: Ranked, chunk: FoundChunk | None) -> _Candidate:
    if chunk is None:
        return _Candidate(hit, hit.id, "", "", "", "")
    metadata = chunk.metadata
    symbol, scope = (str(metadata.get(name, "")) for name in ("symbol", "scope"))
    return _Candidate(hit, chunk.document_id, str(metadata.get("key", "")), chunk.text, symbol, scope)


def _folded(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Return the first candidate of each text, with the ids of its copies."""
    groups: dict[str, list[_Candidate]] = {}
    for one in candidates:
        groups.setdefault(one.text.strip() or one.hit.id, []).append(one)
    return [
        replace(first, hit=replace(first.hit, also=(*first.hit.also, *(copy.hit.id for copy in copies))))
        if copies
        else first
        for first, *copies in groups.values()
    ]


def _before(candidates: Sequence[_Candidate], by_words: bool) -> list[float]:
    """Return the score of each candidate before the rules."""
    by_rank = [1 / (K + rank) for rank in range(1, len(candidates) + 1)]
    if not by_words:
        return by_rank
    best = max((one.hit.score for one in candidates), default=0.0) * (K + 1)
    return [(score + one.hit.score / best) / 2 for one, score in zip(candidates, by_rank, strict=True)]


def _lift(one: _Candidate, wanted: QueryTerms, rules: Rules, in_path: PathMatch) -> float:
    """Return the factor of what speaks for a candidate."""
    return (
        1
        + rules.definition * defined_share(wanted, one.text, one.symbol)
        + rules.path * in_path.share(one.key)
        + rules.symbol * symbol_share(wanted.terms, one.symbol, one.scope)
    )


def _penalty(key: str, covered: float, wanted: QueryTerms, rules: Rules, newest: Mapping[str, int]) -> float:
    """Return the factor of what a file is, of which a chunk has the share `covered` of the query's words, unless the query asks for such
    files.
    """
    if wanted.kind == "path":
        return 1.0
    kinds: set[PathKind] = set(kinds_of_path(key))
    if any(int(number) < newest[before] for before, number in _versions(key)):
        kinds.add("legacy")
    strengths: Mapping[PathKind, float] = {
        "tests": rules.tests,
        "vendored": rules.vendored,
        "generated": rules.generated,
        "legacy": rules.legacy,
        "docs": rules.docs + (rules.covering_docs - rules.docs) * covered,
        "config": rules.config,
    }
    return min((strengths[kind] for kind in kinds if wanted.terms.isdisjoint(_ASKED_FOR[kind])), default=1.0)


def _versions(key: str) -> list[tuple[str, str]]:
    """Return (path before it, number) of each folder `v1`, `v2`, …"""
    return [(key[: match.start(1)], match.group(1)) for match in _VERSION.finditer(key)]


def _newest_versions(keys: Iterable[str]) -> Mapping[str, int]:
    newest: dict[str, int] = defaultdict(int)
    for key in keys:
        for before, number in _versions(key):
            newest[before] = max(newest[before], int(number))
    return newest


def _coherent(documents: Sequence[object], scores: Sequence[float], strength: float) -> list[float]:
    """Lift each document's best hit by the share that its hits have of the strongest document's."""
    totals: dict[object, float] = defaultdict(float)
    best: dict[object, int] = {}
    for place, (document, score) in enumerate(zip(documents, scores, strict=True)):
        totals[document] += score
        if document not in best or score > scores[best[document]]:
            best[document] = place
    most, top = max(totals.values(), default=0.0), max(scores, default=0.0)
    lifted = list(scores)
    for document, place in best.items():
        lifted[place] += strength * top * totals[document] / most if most else 0.0
    return lifted


def _repeats_decayed(documents: Sequence[object], scores: Sequence[float], factor: float) -> list[float]:
    """Make each further hit of a document, best first, count `factor` times as much."""
    seen: Counter[object] = Counter()
    decayed = list(scores)
    for place in sorted(range(len(scores)), key=lambda place: -scores[place]):
        decayed[place] *= factor ** seen[documents[place]]
        seen[documents[place]] += 1
    return decayed
