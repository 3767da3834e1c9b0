import sqlite3
from contextlib import closing

from syncd.chroma.folder import DATABASE, damage, left_over, set_aside, set_index_aside

USED, UNUSED = "0" * 8 + "-0000-0000-0000-" + "0" * 12, "1" * 8 + "-1111-1111-1111-" + "1" * 12


def made(folder):
    folder.mkdir()
    with sqlite3.connect(folder / DATABASE) as connection:
        connection.execute("CREATE TABLE segments (id TEXT, scope TEXT, collection TEXT)")
        connection.execute("INSERT INTO segments VALUES (?, 'VECTOR', 'notes')", (USED,))
    connection.close()
    for name in (USED, UNUSED, "something else"):
        (folder / name).mkdir()
    return folder


def test_only_folders_that_no_collection_uses_are_left_over(tmp_path):
    folder = made(tmp_path / "chroma")
    assert left_over(folder) == [folder / UNUSED]
    assert left_over(tmp_path) == []


def test_index_files_of_one_collection_are_set_aside_and_others_stay(tmp_path):
    folder = made(tmp_path / "chroma")
    (folder / USED / "header.bin").touch()
    assert set_index_aside(folder, "another") is None
    aside = set_index_aside(folder, "notes")
    assert aside is not None
    assert [file.name for file in aside.iterdir()] == ["header.bin"]
    assert not (folder / USED).exists()
    assert (folder / UNUSED).exists()
    assert set_index_aside(folder, "notes") is None
    (folder / DATABASE).write_bytes(b"no database" * 1000)
    assert set_index_aside(folder, "notes") is None


def test_of_a_damaged_database_nothing_is_left_over_and_its_folder_can_be_set_aside_again_and_again(tmp_path):
    folder = made(tmp_path / "chroma")
    assert damage(folder) is None
    for content in (b"no database" * 1000, b"nor this one" * 1000):
        (folder / DATABASE).write_bytes(content)
        assert "not a database" in damage(folder)
        assert left_over(folder) == []
        assert (set_aside(folder) / DATABASE).read_bytes() == content
        assert damage(folder) is None
    assert list(folder.iterdir()) == []


def test_a_database_that_somebody_has_locked_is_not_damaged(tmp_path):
    folder = made(tmp_path / "chroma")
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        assert damage(folder) is None


def test_a_database_that_cannot_be_opened_is_not_damaged(tmp_path):
    (tmp_path / DATABASE).mkdir()
    assert damage(tmp_path) is None
