"""What a text does to its chunker's process stays there."""

import anyio
import pytest

from syncd.errors import PermanentError
from syncd.model import Chunking, Part
from syncd.pipeline.chunk import chunk_document
from syncd.pipeline.chunk.pool import ChunkerPool
from tests.models import in_its_own_task
from tests.runtime.running import running


@pytest.fixture
async def pool():
    made = ChunkerPool(2, "tests.pipeline.chunk.faulty_worker", time_limit_s=5.0)
    async with in_its_own_task(running(made)):
        yield made


def parts(text: str) -> list[Part]:
    return [Part(text, "markdown")]


async def test_the_chunks_are_those_of_the_chunker_itself(pool):
    text = "# One\n\nwords é\n\n# Two\n\nmore words\n" * 20
    chunking = Chunking(target_size_bytes=100)
    found = await pool.split(parts(text), "a.md", chunking)
    assert found.chunks == list(chunk_document(parts(text), "a.md", chunking))


async def test_headings_run_on_into_the_next_stretch(pool):
    first = await pool.split(parts("# One\n\n## Inner `x`\n\nwords\n"), "a.md", Chunking())
    second = await pool.split(parts("more words\n\n## Other\n"), "a.md", Chunking(), first.open_headings)
    assert [chunk.scope for chunk in second.chunks] == [("One", "Inner `x`")]
    assert second.chunks[0].context == "a.md\nOne > Inner `x`\n"
    assert second.open_headings == ((1, "One"), (2, "Other"))


async def test_a_process_that_dies_once_is_replaced_and_the_text_tried_again(pool, tmp_path):
    found = await pool.split(parts("die once"), str(tmp_path / "a.md"), Chunking())
    assert [chunk.text for chunk in found.chunks] == ["die once"]


@pytest.mark.parametrize("text", ["die always", "hang", "bug"])
async def test_a_text_that_kills_or_hangs_its_process_is_refused_and_the_others_go_on(pool, text):
    async with anyio.create_task_group() as group:

        async def fine():
            for _ in range(3):
                assert await pool.split(parts("fine"), "a.md", Chunking())

        group.start_soon(fine)
        with pytest.raises(PermanentError, match="could not be split"):
            await pool.split(parts(text), "a.md", Chunking())
    assert await pool.split(parts("fine again"), "a.md", Chunking())
