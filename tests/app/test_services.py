"""What the daemon decides for its API: uploads without an embedding, recorded functions, and what the status says."""

from datetime import UTC, datetime

import pytest

from syncd.api.shapes import SourceShapes
from syncd.api.views import source_view
from syncd.app.services import kept, own_hosts, own_url, queries_of, splade_words, upload_embedding
from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.chroma.shape import function_of
from syncd.config import Config
from syncd.errors import ConfigError
from syncd.model import Embedding, EmbeddingTask, SourceRecord, Target
from syncd.pipeline.sparse.splade_files import MODEL_FILE, SPLADE, TOKENIZER_FILE
from syncd.sources.github.settings import GithubTable
from syncd.sources.registry import TYPES
from syncd.sources.web.settings import WebTable
from syncd.store.documents import CollectionRecord
from tests.config.test_config import load

RECORD = CollectionRecord(1, Target("default_database", "docs"), Embedding("a-model"), None, None)


class Listening:
    """What is asked of the API's server here."""

    address = ("127.0.0.1", 8787)


def test_uploads_get_splade_only_where_it_is_here(tmp_path):
    default = Embedding("a-model")
    task = EmbeddingTask("generic_retrieval")
    assert upload_embedding(default, tmp_path) == Embedding("a-model", task)
    assert "not here" in splade_words(tmp_path)
    for name in (MODEL_FILE, TOKENIZER_FILE):
        (tmp_path / name).write_bytes(b"x")
    assert upload_embedding(default, tmp_path) == Embedding("a-model", task, SPLADE)
    assert splade_words(tmp_path).startswith("here")


def test_what_is_recorded_follows_the_configuration(tmp_path):
    def recorded(text, **environment):
        queries = queries_of(load(tmp_path, text, **environment), [Listening()], RECORD)
        return queries and function_of(queries)

    here = "http://127.0.0.1:8787/embed/default_database/docs"
    assert recorded("")["config"] == {"url": f"{here}/query", "api_key_env_var": None}
    assert recorded("[embedding]\nqueries = 'ollama'")["config"]["url"] == here
    assert recorded("[embedding]\nqueries = 'openai'")["config"]["api_base"] == f"{here}/v1"
    assert recorded("[embedding]\nqueries = 'none'") is None
    proxy = "[embedding]\nqueries_url = 'https://syncd.example.com/x/'\n[api]\nhost = '0.0.0.0'"
    assert recorded(proxy)["config"] == {
        "url": "https://syncd.example.com/x/embed/default_database/docs/query",
        "api_key_env_var": "SYNCD_TOKEN",
    }
    assert recorded("[api]\nhost = '0.0.0.0'") is None


def test_the_daemon_knows_what_it_may_be_called(tmp_path):
    assert own_hosts(load(tmp_path, "")) == {"127.0.0.1"}
    text = "[embedding]\nqueries_url = 'https://Syncd.example.com/x/'\n[api]\nhost = '0.0.0.0'"
    assert own_hosts(load(tmp_path, text)) == {"syncd.example.com"}


def test_a_function_that_cannot_show_a_token_is_refused_off_loopback(tmp_path):
    with pytest.raises(ConfigError, match="queries_url"):
        load(tmp_path, "[embedding]\nqueries = 'ollama'\n[api]\nhost = '10.0.0.5'")


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


def test_an_address_of_version_6_is_put_in_brackets():
    class Six:
        address = ("::1", 8787)

    assert own_url(Config.model_validate({"api": {"host": "::1"}}), [Six()]) == "http://[::1]:8787"


def test_the_status_says_where_sparse_vectors_are():
    chroma = Chroma(ChromaSettings())
    said = []
    for chroma.makes_sparse in (None, True, False):
        said.append(kept(chroma))
    assert "not been asked" in said[0]
    assert "in the collections" in said[1]
    assert "no sparse indexes" in said[2]
