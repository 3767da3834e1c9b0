import pytest

from syncd.errors import NotFoundError
from syncd.model import Target
from syncd.search.passages import Selection
from syncd.search.reading import read_text

LAMP = "# Lamps\n\nThe keeper lights the lamp.\n\n## Oil\n\nEvery lamp needs oil.\n"
FILES = {"docs/lamp.md": LAMP, "store/client.py": "def make(name):\n    return name\n"}


async def test_a_document_is_read_from_the_store_as_it_was_synced(parts, folder, target):
    await parts.sync(folder, target)
    (folder / "docs/lamp.md").unlink()

    async def read(key, **wanted):
        return await read_text(parts.store, target, key, Selection(**wanted), 1000)

    whole = await read("docs/lamp.md")
    assert (whole.passage.text, whole.passage.next_line, whole.documents) == (LAMP, None, 1)
    assert (await read("docs/lamp.md", first_line=3, last_line=3)).passage.text == "The keeper lights the lamp.\n"
    assert (await read("docs/lamp.md", heading="Oil")).passage.text.endswith("Every lamp needs oil.\n")
    assert (await read("store/client.py", heading="make")).passage.text == FILES["store/client.py"]
    with pytest.raises(NotFoundError, match=r"did you mean docs/lamp\.md\?"):
        await read("lamp.md")
    with pytest.raises(NotFoundError, match="no such part"):
        await read("docs/lamp.md", first_line=99)
    with pytest.raises(NotFoundError, match="never wrote"):
        await read_text(parts.store, Target(target.database, "nowhere"), "a", Selection(), 1000)
