"""Questions with known answers, and files of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ValidationError

from syncd.errors import PermanentError
from syncd.json_types import Json
from syncd.schema import Model, OwnModel


@dataclass(frozen=True, slots=True)
class TextPlace:
    """A document or, with lines, a part of it."""

    key: str
    first_line: int | None = None
    last_line: int | None = None

    def overlaps(self, other: TextPlace) -> bool:
        """Return whether both have a line in common; a place without lines is its whole document."""
        if self.key != other.key:
            return False
        if self.first_line is None or other.first_line is None:
            return True
        return self.first_line <= (other.last_line or other.first_line) and other.first_line <= (
            self.last_line or self.first_line
        )


@dataclass(frozen=True, slots=True)
class JudgedQuestion:
    """A question and where its answers are. `kind`: what questions are told apart by, '' for none."""

    text: str
    answers: Sequence[TextPlace]
    kind: str = ""
    made_from: frozenset[str] = frozenset()
    """Keys of documents whose own words the question is in, though they do not answer it: hits of them do not count."""


def place_of_hit(chunk_id: str, metadata: Mapping[str, object]) -> TextPlace:
    """Return where a hit is, by its metadata; a chunk without a key is its own document."""
    first, last = metadata.get("start_line"), metadata.get("end_line")
    key = str(metadata.get("key", chunk_id))
    return TextPlace(key, first, last) if isinstance(first, int) and isinstance(last, int) else TextPlace(key)


class AnswerEntry(OwnModel):
    """An answer: a document, or some lines of it."""

    key: Annotated[str, Field(min_length=1)]
    first_line: Annotated[int, Field(ge=1)] | None = None
    last_line: Annotated[int, Field(ge=1)] | None = None


class QuestionEntry(OwnModel):
    """A question; an answer is a key, or a key with lines."""

    question: Annotated[str, Field(min_length=1)]
    answers: Annotated[list[str | AnswerEntry], Field(min_length=1)]
    kind: str = ""


class QuestionFile(OwnModel):
    """A file of questions."""

    questions: Annotated[list[QuestionEntry], Field(min_length=1)]


class SembleRepository(Model):
    """One repository's questions as MinishLab/semble's benchmark has them: [question, [path], [path], kind]."""

    queries: list[Annotated[list[Any], Field(min_length=4, max_length=4)]]


class SembleFile(Model):
    """Questions by repository."""

    repos: dict[str, SembleRepository]


def questions_in(text: str, repository: str | None = None) -> list[JudgedQuestion]:
    """Return the questions of a file: `{"questions": [{"question": …, "answers": ["key", {"key": …, "first_line": …}]}]}`, or
    semble's `{"repos": {name: {"queries": [[question, [path], [path], kind]]}}}`, of which `repository` chooses one.

    Raises PermanentError, which says what is wrong.
    """
    try:
        read: Json = json.loads(text)
        if isinstance(read, dict) and "repos" in read:
            return _of_semble(SembleFile.model_validate(read).repos, repository)
        found = QuestionFile.model_validate(read)
    except (ValueError, ValidationError) as error:
        raise PermanentError(
            f"these are no questions ({first_reason(error)}); see README.md for their format"
        ) from error
    return [
        JudgedQuestion(one.question, [_place(answer) for answer in one.answers], one.kind) for one in found.questions
    ]


def first_reason(error: ValueError) -> str:
    """Return what is wrong first, in one line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}"


def _of_semble(repositories: Mapping[str, SembleRepository], repository: str | None) -> list[JudgedQuestion]:
    if repository is None and len(repositories) == 1:
        (repository,) = repositories
    if repository is None or repository not in repositories:
        names = ", ".join(repositories)
        raise PermanentError(f"the file has questions about {names}: choose one of them with --repository")
    queries = repositories[repository].queries
    return [
        JudgedQuestion(str(text), [TextPlace(str(path)) for path in (*wanted, *more)], str(kind))
        for text, wanted, more, kind in queries
    ]


def _place(answer: str | AnswerEntry) -> TextPlace:
    if isinstance(answer, str):
        return TextPlace(answer)
    return TextPlace(answer.key, answer.first_line, answer.last_line)
