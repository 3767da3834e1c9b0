from dataclasses import replace
from functools import partial

import pytest

from syncd.errors import NotFoundError
from syncd.search import Query
from syncd.search.several import search_several
from tests.pipeline.parts import write
from tests.search.test_search import FILES, keys, searching

__all__ = ["FILES", "searching"]


@pytest.fixture
async def both(parts, folder, target, searching, tmp_path):
    """Search two collections, and their targets."""
    await parts.sync(folder, target)
    other = replace(target, collection=target.collection + "-other")
    write(
        tmp_path / "other",
        {
            "more/lamp.md": "# More\n\nThe lamp of the keeper is bright, and seen from afar, they say.\n\n## And more\n\nIts oil is lamp oil, and burns for days, unless it is windy, or so.\n"
        },
    )
    await parts.sync(tmp_path / "other", other)
    return partial(search_several, searching.engine.search, parts.store.texts), [target, other]


async def test_hits_of_collections_are_merged_by_rank_and_say_where_they_are(both):
    find, targets = both
    query = Query(targets[0], "lamp keeper oil", "sparse", limit=4)
    single = [(await find(query, [one])).hits for one in targets]
    answer = await find(query, targets)
    assert min(map(len, single)) >= 2
    in_turns = [hits[rank] for rank in range(2) for hits in single]
    assert [(hit.collection, hit.id) for hit in answer.hits] == [(hit.collection, hit.id) for hit in in_turns]
    assert [hit.score for hit in answer.hits] == pytest.approx([1 / 11, 1 / 11, 1 / 12, 1 / 12])
    assert {hit.collection for hit in answer.hits} == {one.collection for one in targets}


async def test_pages_tile_what_is_merged_and_its_hits_are_expanded_within_a_budget(both):
    find, targets = both
    query = Query(targets[0], "lamp keeper oil", "sparse")
    whole = await find(query, targets)
    assert whole.next_offset is None
    paged, offset = [], 0
    while offset is not None:
        page = await find(replace(query, limit=1, offset=offset), targets)
        paged += page.hits
        offset = page.next_offset
    assert paged == whole.hits
    shown = await find(replace(query, expand="section", max_tokens=80), targets)
    assert shown.hits[0].lines[1] - shown.hits[0].lines[0] > 3
    assert shown.next_offset is not None
    assert keys(shown.hits)[0] == "docs/lamp.md"


async def test_a_collection_that_does_not_exist_is_told_with_those_that_do(both, target):
    find, targets = both
    with pytest.raises(NotFoundError, match=f"there are: .*{target.collection}, {target.collection}-other"):
        await find(Query(target, "lamp", "sparse"), [*targets, replace(target, collection="nowhere")])
    with pytest.raises(NotFoundError, match="sync something into it first"):
        await find(Query(target, "lamp", "sparse"), [replace(target, database="nowhere")])
