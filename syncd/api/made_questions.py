"""Questions made of a collection's own texts, to measure searches with. An addition to the published API."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import Field

from syncd.api.auth import require_database
from syncd.api.requests import read_json
from syncd.api.route import Route
from syncd.api.services import SERVICES
from syncd.model import Target
from syncd.schema import Model, OwnModel
from syncd.search.judged import JudgedQuestion
from syncd.search.made_questions import made_questions


class MadeQuestionsRequest(OwnModel):
    """How many questions about which collection."""

    database_name: str
    collection_name: str
    count: Annotated[int, Field(ge=1, le=2000)] = 150


class PlaceView(Model):
    """A document or, with lines, a part of it."""

    key: str
    first_line: int | None = None
    last_line: int | None = None


class MadeQuestionView(Model):
    """A question and its answers."""

    question: str
    answers: list[PlaceView]
    kind: str
    """`link`: what another document calls the answer; `docstring`, `heading`: the first sentence, or the title, of the answer itself."""
    made_from: list[str]
    """Documents whose own words the question is in: their hits do not count."""


async def make_questions(request: web.Request) -> web.Response:
    """Return questions with known answers about a collection."""
    wanted = await read_json(request, MadeQuestionsRequest)
    require_database(request, wanted.database_name)
    target = Target(wanted.database_name, wanted.collection_name)
    found = await made_questions(request.app[SERVICES].store, target, wanted.count)
    return web.json_response([made_view(one).model_dump() for one in found])


def made_view(question: JudgedQuestion) -> MadeQuestionView:
    """Return a question in the API's format."""
    answers = [PlaceView(key=one.key, first_line=one.first_line, last_line=one.last_line) for one in question.answers]
    return MadeQuestionView(
        question=question.text, answers=answers, kind=question.kind, made_from=sorted(question.made_from)
    )


ROUTES = (
    Route(
        "POST",
        "/api/v1/made-questions",
        make_questions,
        "make_questions",
        "Search",
        "Make questions with known answers of a collection's texts",
        {200: [MadeQuestionView]},
        body=MadeQuestionsRequest,
        only_reads=True,
        own=True,
    ),
)
