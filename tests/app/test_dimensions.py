"""The real program with a source of fewer dimensions: ordinary clients query it, and other dimensions embed nothing again."""

import chromadb
import pytest

from syncd.app.models import catalog_of, check_models
from syncd.config import load_config
from syncd.errors import ConfigError
from tests.app.test_daemon import configuration, syncd, until
from tests.daemon import MINILM, Daemon, held

TRAINED = f"""
[[models]]
name = "{MINILM}"
matryoshka = true
"""


def notes(folder, dimensions: int | None) -> str:
    short = f"dimensions = {dimensions}\n" if dimensions else ""
    return f'[[sources]]\nname = "notes"\ntype = "folder"\npath = "{folder}"\ncollection = "notes"\n' + short


def lengths(daemon: Daemon) -> set[int]:
    return {len(vector) for vector in held(**daemon.announced()["chroma"], name="notes").vectors.values()}


def settled(daemon: Daemon) -> bool:
    return (
        daemon.rows("SELECT count(*) FROM documents WHERE state = 'indexed'") == [(2,)]
        and daemon.unsettled() == 0
        and daemon.rows("SELECT count(*) FROM collections WHERE rebuilding IS NOT NULL") == [(0,)]
    )


def test_ordinary_clients_query_it_and_other_dimensions_embed_nothing_again(minilm_folder, tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "lamp.md").write_text("# Lamp\n\nThe keeper of the lighthouse lights the lamp.\n")
    (folder / "fox.md").write_text("# Foxes\n\nFoxes run at night.\n")
    daemon = Daemon(tmp_path, configuration(minilm_folder, TRAINED + notes(folder, None))).start()
    until(lambda: settled(daemon))
    assert lengths(daemon) == {384}
    for dimensions in (64, 128):
        assert daemon.stop() == 0
        daemon.config = configuration(minilm_folder, TRAINED + notes(folder, dimensions))
        daemon.start()
        until(lambda: settled(daemon))
        assert lengths(daemon) == {dimensions}
        collection = chromadb.HttpClient(**daemon.announced()["chroma"]).get_collection("notes")
        (best, _), *_ = collection.query(query_texts=["who lights the lamp?"], n_results=2)["metadatas"]
        assert best["key"] == "lamp.md"
        assert "lamp.md" in syncd(daemon, "search", "lamp", "--collection", "notes", "--mode", "dense").stdout
        assert syncd(daemon, "verify", "notes").returncode == 0
    counts = [counts for (counts,) in daemon.rows("SELECT counts FROM invocations ORDER BY created_at")]
    assert sum('"chunks_embedded":0' not in count for count in counts) == 1, counts
    assert daemon.rows("SELECT DISTINCT length(vector) / 4 FROM vectors") == [(384,)]
    assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("more", "dimensions", "told"),
    [
        ("", 64, "not trained for shortened vectors .* those that were: Qwen/Qwen3-Embedding-0.6B"),
        (TRAINED, 384, "has 32 to 383, or all 384 if you leave it out"),
        (TRAINED, 16, "has 32 to 383"),
        (TRAINED.replace("true", "[128, 256]"), 64, "has 128, 256, or all 384"),
    ],
)
def test_dimensions_that_a_model_was_not_trained_for_are_refused_with_those_that_are(tmp_path, more, dimensions, told):
    file = tmp_path / "syncd.toml"
    file.write_text(f'[embedding]\ndefault_model = "{MINILM}"\n' + more + notes(tmp_path / "notes", dimensions))
    config = load_config(file)
    with pytest.raises(ConfigError, match=f"'notes': dimensions = {dimensions}: .*{told}"):
        check_models(config, catalog_of(config))


def test_the_sizes_of_qwen3_are_known_to_be_trained_for_it(tmp_path):
    file = tmp_path / "syncd.toml"
    table = 'pooling = "last"\ndimensions = 2560\nmax_tokens = 512\n'
    file.write_text(f'[[models]]\nname = "Qwen/Qwen3-Embedding-4B"\n{table}[[models]]\nname = "acme/own"\n{table}')
    catalog = catalog_of(load_config(file))
    assert [catalog.find(name).may_have(256) for name in ("Qwen/Qwen3-Embedding-4B", "acme/own")] == [True, False]
