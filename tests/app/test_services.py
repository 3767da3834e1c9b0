"""What the daemon decides for its API: uploads without an embedding, and what the status says."""

from datetime import UTC, datetime

import pytest

from syncd.api.shapes import SourceShapes
from syncd.api.views import source_view
from syncd.app.services import kept, splade_words, upload_embedding
from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.model import Embedding, EmbeddingTask, SourceRecord
from syncd.pipeline.sparse import splade_files
from syncd.pipeline.sparse.splade_files import MODEL_FILE, SPLADE, TOKENIZER_FILE
from syncd.sources.github.settings import GithubTable
from syncd.sources.registry import TYPES
from syncd.sources.web.settings import WebTable


def test_uploads_get_splade_only_where_it_is_here(tmp_path):
    default = Embedding("a-model")
    task = EmbeddingTask("generic_retrieval")
    assert upload_embedding(default, tmp_path) == Embedding("a-model", task)
    assert "not here" in splade_words(tmp_path)
    for name in (MODEL_FILE, TOKENIZER_FILE):
        (tmp_path / name).write_bytes(b"x")
    assert upload_embedding(default, tmp_path) == Embedding("a-model", task, SPLADE)
    assert splade_words(tmp_path).startswith("here")


def test_without_what_computes_splade_uploads_go_without_it_and_it_says_what_to_install(tmp_path, monkeypatch):
    for name in (MODEL_FILE, TOKENIZER_FILE):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setattr(splade_files, "find_spec", lambda _: None)
    assert upload_embedding(Embedding("a-model"), tmp_path).sparse_model is None
    assert "pip install 'syncd[splade]'" in splade_words(tmp_path)


@pytest.mark.parametrize(
    "table",
    [
        GithubTable(type="github", name="a", repository="owner/name", collection="abc"),
        WebTable(type="web_scrape", name="a", starting_url="https://a.example/", collection="abc", interval_s=3600),
    ],
)
def test_declared_sources_are_shown_in_the_published_shape(table):
    now, ident = datetime.now(UTC), "6a3c5d0e-0000-4000-8000-000000000000"
    record = SourceRecord(
        ident, table.source_type, "d", table.settings(), table.embedding("m"), table.chunking.to_model(), now, "a"
    )
    assert SourceShapes.of(TYPES).source.model_validate(source_view(TYPES, record)).name == "a"


def test_the_status_says_where_sparse_vectors_are():
    chroma = Chroma(ChromaSettings())
    said = []
    for chroma.makes_sparse in (None, True, False):
        said.append(kept(chroma))
    assert "not been asked" in said[0]
    assert "in the collections" in said[1]
    assert "no sparse indexes" in said[2]
