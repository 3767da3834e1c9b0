from dataclasses import replace

import pytest

from syncd.model import Origin, formats
from syncd.pipeline.preparation import Preparation
from syncd.pipeline.prepare.preparer import DocumentPreparer
from tests.sync.syncing import created


async def test_a_cursor_counts_no_more_when_the_reader_of_any_format_has_changed(
    parts, fresh_name, monkeypatch: pytest.MonkeyPatch
):
    record = await parts.store.sources.get((await created(parts, Origin.API, fresh_name)).source_id)

    async def embedder(_: str):
        return parts.embedder

    async with DocumentPreparer() as preparer:
        preparation = Preparation(lambda _source: preparer, embedder)
        before = preparation.config_hash(record)
        assert preparation.config_hash(record) == before
        changed = [
            replace(each, version=each.version + "!") if each.name == "notebook" else each for each in formats.FORMATS
        ]
        assert tuple(changed) != formats.FORMATS
        monkeypatch.setattr(formats, "FORMATS", tuple(changed))
        assert preparation.config_hash(record) != before
