"""One source for people: where it is, how it stands, and its latest run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from syncd.cli.answers import InvocationAnswer
from syncd.cli.output import age, moving, state_of, summary, waits_for
from syncd.cli.references import name_or_place, settings_of, type_of
from syncd.cli.words import moment_words
from syncd.json_types import JsonObject, json_object
from syncd.sources.type import SourceTypes


def source_lines(types: SourceTypes, source: JsonObject, latest: Sequence[InvocationAnswer]) -> Iterator[str]:
    """Yield what there is to say of a source and the latest of its runs, if there is one, a line each."""
    kind = type_of(types, source)
    settings = settings_of(types, source)
    yield f"{name_or_place(types, source)}: {kind} {settings.place}, in database {source['database_name']}"
    yield f"id          {source['id']}"
    yield f"collection  {settings.kept_collection or 'none is kept in step; sync it into one'}"
    yield f"state       {standing(source)}"
    if (soon := source.get("next_run_at")) or json_object(source.get("watch_state")).get("next_try_at"):
        yield f"next run    {moment_words(soon or json_object(source.get('watch_state'))['next_try_at'])}"
    for run in latest:
        yield f"latest run  {state_of(run)}, {age(run)} ago, {run['id']}"
        yield from (f"            {words}" for words in (summary(run), moving(run), waits_for(run)) if words)
    if not latest:
        yield "latest run  none yet"
    for name, value in json_object(source[kind]).items():
        if value is not None and name not in ("watch", "schedule"):
            yield f"{name:<11} {', '.join(map(str, value)) if isinstance(value, list) else value}"
    yield f"model       {json_object(source['embedding_model'])['model']}"
    for problem in ("problem", "notice"):
        if source.get(problem):
            yield f"{problem:<11} {source[problem]}"


def standing(source: JsonObject) -> str:
    """Return whether a source is paused, fails, is late or in step, and how soon most of its changes were searchable."""
    freshness, watch = json_object(source.get("freshness")), json_object(source.get("watch_state"))
    lag_s, behind_s = freshness.get("p95_s"), freshness.get("behind_s")
    said = [f"paused since {moment_words(source['paused_at'])}"] if source.get("paused_at") else []
    if watch.get("failing_since"):
        said.append(f"failing since {moment_words(watch['failing_since'])}: {watch['reason']}")
    if freshness.get("late") and isinstance(behind_s, int | float):
        said.append(f"late: {behind_s:,.0f} s behind")
    if not said:
        said.append("watched" if watch else "on request")
    if isinstance(lag_s, int | float):
        said.append(f"p95 {lag_s:,.1f} s")
    return ", ".join(said)
