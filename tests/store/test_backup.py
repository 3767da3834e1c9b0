"""A state folder is exported as of one moment, without secrets, and what cannot be imported is refused before anything is changed."""

import json
import shutil
import tarfile
from io import BytesIO
from pathlib import Path

import anyio
import pytest

from syncd.errors import PermanentError
from syncd.runtime.state import DATABASE_FILE, KEY_FILE
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.backup import export_state
from syncd.store.restore import import_state

SECRET = {"token": "s3cret-token"}


def nobody(_what: str, _done: int, _total: int) -> None:
    """Shows no progress."""


@pytest.fixture
async def state(tmp_path):
    """A state folder with a credential, and a file of an upload that waits."""
    folder = tmp_path / "state"
    store = await Store.open(folder, TYPES)
    await store.credentials.add("db", "git", SECRET)
    await store.tokens.create("somebody")
    await store.close()
    (folder / "uploads").mkdir()
    (folder / "uploads" / "waiting").write_bytes(b"an upload")
    return folder


def exported(state: Path, *, with_secrets: bool = False) -> Path:
    file = state.parent / "export"
    export_state(state, file, "1.0", nobody, with_secrets=with_secrets)
    return file


def imported(file: Path) -> Path:
    other = file.parent / "other"
    other.mkdir(exist_ok=True)
    import_state(file, other, TYPES.migrations, nobody)
    return other


async def test_credentials_are_exported_only_if_asked_for_and_then_they_can_be_read_again(state):
    ciphertext = await credential_bytes(state)
    file = exported(state)
    assert ciphertext not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    store = await Store.open(imported(file), TYPES)
    assert not await store.credentials.exists(1, "db")
    assert [token.name for token in await store.tokens.list()] == ["somebody"]
    await store.close()
    for left in (file, file.parent / "other"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    store = await Store.open(imported(exported(state, with_secrets=True)), TYPES)
    assert await store.credentials.get(1, "db") == SECRET
    await store.close()


async def credential_bytes(state: Path) -> bytes:
    store = await Store.open(state, TYPES)
    (ciphertext,) = await store.database.read(lambda c: c.execute("SELECT ciphertext FROM credentials").fetchone())
    await store.close()
    return ciphertext


async def test_an_export_is_of_one_moment_however_much_is_written_meanwhile(state):
    store = await Store.open(state, TYPES)

    def write(number: int):
        values = [(f"{number}-{row}", row) for row in range(200)]
        return lambda c: c.executemany(
            "INSERT INTO vectors (key, vector, used_at) VALUES (?, zeroblob(4000), ?)", values
        )

    async def go_on() -> None:
        for number in range(1000):
            await store.database.write(write(number))

    await store.database.write(write(-1))
    async with anyio.create_task_group() as group:
        group.start_soon(go_on)
        await anyio.to_thread.run_sync(exported, state)
        group.cancel_scope.cancel()
    rows = await store.database.read(lambda c: c.execute("SELECT count(*) FROM vectors").fetchone()[0])
    await store.close()
    found = await Store.open(imported(state.parent / "export"), TYPES)
    kept = await found.database.read(lambda c: c.execute("SELECT count(*) FROM vectors").fetchone()[0])
    assert await found.database.read(lambda c: c.execute("PRAGMA integrity_check").fetchone()) == ("ok",)
    await found.close()
    assert 200 <= kept <= rows
    assert kept % 200 == 0


async def test_uploads_that_wait_are_kept_and_nothing_is_left_beside_the_file(state):
    file = exported(state)
    assert (imported(file) / "uploads" / "waiting").read_bytes() == b"an upload"
    assert sorted(path.name for path in file.parent.iterdir()) == ["export", "other", "state"]
    assert sorted(path.name for path in (file.parent / "other").iterdir()) == [DATABASE_FILE, "uploads"]


async def test_neither_a_file_nor_a_used_state_folder_is_overwritten(state):
    file = exported(state)
    with pytest.raises(PermanentError, match="there already"):
        exported(state)
    with pytest.raises(PermanentError, match="was used before"):
        import_state(file, state, TYPES.migrations, nobody)
    (state.parent / "other").mkdir()
    (state.parent / "other" / f"{DATABASE_FILE}-wal").touch()
    with pytest.raises(PermanentError, match="was used before"):
        imported(file)
    with pytest.raises(PermanentError, match="nothing to export"):
        export_state(state.parent / "empty", state.parent / "new", "1.0", nobody)


def repacked(file: Path, change) -> None:
    """Write the archive again, each member's name and bytes as `change` has them; None leaves it out."""
    with tarfile.open(file) as archive:
        members = [(member.name, archive.extractfile(member).read()) for member in archive.getmembers()]
    with tarfile.open(file, "w") as archive:
        for name, data in filter(None, (change(*member) for member in members)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, BytesIO(data))


def manifest_with(**values):
    return lambda name, data: (
        name,
        json.dumps({**json.loads(data), **values}).encode() if name == "manifest.json" else data,
    )


FAULTS = {
    "a flipped bit": (lambda name, data: (name, data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]) if name == DATABASE_FILE else (name, data), "is damaged"),
    "a missing upload": (lambda name, data: None if name.startswith("uploads/") else (name, data), "is damaged"),
    "no manifest": (lambda name, data: None if name == "manifest.json" else (name, data), "no export"),
    "a newer schema": (manifest_with(migrations=[1, 9999]), "newer syncd"),
    "a newer format": (manifest_with(format=2), "newer syncd"),
    "a name that leads elsewhere": (manifest_with(files={DATABASE_FILE: {"size_bytes": 0, "sha256": ""}, "uploads/../../x": {"size_bytes": 0, "sha256": ""}}), "it holds"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_cannot_be_imported_is_refused_and_leaves_nothing(state, fault):
    change, reason = FAULTS[fault]
    file = exported(state)
    repacked(file, change)
    with pytest.raises(PermanentError, match=reason):
        imported(file)
    assert list((file.parent / "other").iterdir()) == []


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
async def test_a_file_that_is_cut_off_is_refused(state, share):
    file = exported(state, with_secrets=True)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(PermanentError, match=r"no export|is damaged"):
        imported(file)
    assert not (file.parent / "other" / KEY_FILE).exists()
