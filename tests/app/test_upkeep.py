import pytest

from syncd.app.upkeep import make_admin_token
from syncd.runtime.state import TOKEN_FILE
from syncd.sources.registry import TYPES
from syncd.store import Store


@pytest.mark.parametrize("damage", [b"sk_\xe1\xb3", b"", b"sk_another"])
async def test_a_token_file_that_is_damaged_is_made_anew(tmp_path, damage):
    store = await Store.open(tmp_path, TYPES)
    try:
        (tmp_path / TOKEN_FILE).write_bytes(damage)
        await make_admin_token(store, tmp_path)
        assert await store.tokens.verify((tmp_path / TOKEN_FILE).read_text().strip())
    finally:
        await store.close()
