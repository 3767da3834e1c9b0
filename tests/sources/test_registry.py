"""A source type is one registration: what one program knows of all types, and a new one from end to end."""

import json
import subprocess
import sys

import pytest

from syncd.errors import ConfigError
from syncd.sources.registry import TYPES
from syncd.sources.type import SourceTypes
from syncd.store.codec import dumps
from syncd.store.database import numbered_migrations
from tests.app.test_daemon import configuration, until
from tests.config.test_config import load
from tests.daemon import Daemon
from tests.sources.poems import POEMS

CONFIGURATION = """
[poetry]
banned = ["Nero"]
[[sources]]
name = "sappho"
type = "poems"
author = "Sappho"
collection = "sappho"
"""


@pytest.fixture(scope="module")
def daemon(minilm_folder, tmp_path_factory):
    text = configuration(minilm_folder, CONFIGURATION)
    running = Daemon(tmp_path_factory.mktemp("daemon"), text, program=("tests.sources.poems",)).start()
    yield running
    assert running.stop() == 0


def call(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", *daemon.program, *arguments, "--config", str(daemon.folder / "syncd.toml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def says(daemon: Daemon, *arguments: str) -> str:
    done = call(daemon, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def keys(daemon: Daemon, collection: str) -> list[str]:
    rows = daemon.rows(
        "SELECT key FROM documents d JOIN collections c ON c.id = d.collection_id "
        "WHERE c.name = ? AND d.state = 'indexed' ORDER BY key",
        collection,
    )
    return [key for (key,) in rows]


def test_a_declared_source_of_a_new_type_is_kept_in_step_and_searched(daemon):
    until(lambda: keys(daemon, "sappho") == ["Sappho/Dawn", "Sappho/Dusk"] and daemon.unsettled() == 0)
    hit = says(daemon, "search", "what happens at dusk?", "--collection", "sappho", "--limit", "1", "--json")
    metadata = json.loads(hit)["metadata"]
    assert (metadata["key"], metadata["source_type"]) == ("Sappho/Dusk", "poems")
    assert "does not support dry runs" in says(daemon, "verify", "sappho")


def test_one_that_is_made_through_the_api_is_checked_shown_listed_and_synced(daemon):
    refused = call(daemon, "sources", "add", "poems", "Nero")
    assert (refused.returncode, "poems: Nero is banned" in refused.stderr) == (1, True)
    made = says(daemon, "sources", "add", "poems", "Homer", "--model", "sentence-transformers/all-MiniLM-L6-v2").strip()
    shown = json.loads(says(daemon, "sources", "show", made, "--json"))
    assert shown["poems"] == {"author": "Homer"}
    listed = [json.loads(line) for line in says(daemon, "sources", "list", "--json").splitlines()]
    assert [(source["name"], source["poems"]["author"]) for source in listed if "name" in source] == [
        ("sappho", "Sappho")
    ]
    assert "Homer" in says(daemon, "sources", "list")
    plan = call(daemon, "plan", made, "--collection", "homer")
    assert (plan.returncode, "poems cannot be foreseen" in plan.stderr) == (1, True)
    run = json.loads(says(daemon, "sync", made, "--collection", "homer", "--json"))
    assert (run["counts"]["indexed"], run["metadata"]["s3"]["bucket_name"]) == (2, "poems")
    assert keys(daemon, "homer") == ["Homer/Dawn", "Homer/Dusk"]


def test_a_program_that_does_not_know_a_type_says_so(tmp_path):
    with pytest.raises(ConfigError, match="poems"):
        load(tmp_path, CONFIGURATION.partition("]\n")[2].partition("\n")[2])
    with pytest.raises(ConfigError, match="no source type 'poems'"):
        TYPES.read_settings("poems", {})


DECLARED = {
    "github": {"repository": "a/b", "app_id": None, "include_globs": ["*"]}
    | {"watch": {"target_collection_name": "abc", "branch": None, "interval_s": 300.0}},
    "git": {"url": "https://host/x", "include_globs": ["*"], "token_file": "/t"}
    | {"watch": {"target_collection_name": "abc", "interval_s": 300.0}},
    "folder": {"path": "/x", "include_globs": ["*"], "exclude_globs": [], "watch": {"target_collection_name": "abc"}},
    "web_scrape": {"starting_url": "http://x/", "page_limit": None, "max_depth": None, "include_path_regexes": []}
    | {"exclude_path_regexes": [], "allow_subdomains": False, "extra_hosts": [], "respect_robots": True}
    | {"render": "never"},
    "gcs": {"include_globs": ["*"], "exclude_globs": [], "bucket_name": "bbb", "anonymous": False}
    | {"schedule": {"target_collection_name": "abc", "interval_s": 3600.0}},
    "azure_blob": {"include_globs": ["*"], "exclude_globs": [], "account_name": "abc", "container_name": "bbb"}
    | {"schedule": {"target_collection_name": "abc", "interval_s": 3600.0}},
    "s3": {"bucket_name": "bbb", "region": "r", "path_prefix": None, "auto_sync": "none", "queue_url": None}
    | {"endpoint_url": None, "path_style": False, "profile": None}
    | {"schedule": {"target_collection_name": "abc", "interval_s": 86400.0}},
}
"""What the store holds of a source that is declared with every default."""
NEEDED = {
    "github": "repository = 'a/b'",
    "git": "url = 'https://host/x'\ntoken_file = '/t'",
    "folder": "path = '/x'",
    "web_scrape": "starting_url = 'http://x/'",
    "gcs": "bucket_name = 'bbb'",
    "azure_blob": "account_name = 'abc'\ncontainer_name = 'bbb'",
    "s3": "bucket_name = 'bbb'\nregion = 'r'",
}


@pytest.mark.parametrize("name", NEEDED)
def test_a_declared_source_is_stored_as_it_always_was(tmp_path, name):
    """Otherwise every declared source would be taken for a changed one, and written anew."""
    text = f"[[sources]]\nname = 'a'\ntype = '{name}'\ncollection = 'abc'\n{NEEDED[name]}"
    for more in ({}, {"converter": "docling"}):
        extra = "\nconverter = 'docling'" if more else ""
        settings = load(tmp_path, text + extra).sources[0].settings()
        values = DECLARED[name] | {"collection_name": "abc"} | more
        assert dumps(TYPES.write_settings(name, settings, is_declared=True)) == dumps(values)
        assert TYPES.read_settings(name, values) == settings


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("github", {"repository": "a/b"}),
        (
            "github",
            {"repository": "a/b", "watch": {"target_collection_name": "abc", "branch": "x", "interval_s": 60.0}},
        ),
        (
            "folder",
            {"path": "/x", "include_globs": [], "watch": {"target_collection_name": "abc", "interval_s": 300.0}},
        ),
        ("web_scrape", {"starting_url": "http://x/", "page_limit": 0, "include_path_regexes": []}),
        (
            "s3",
            {"bucket_name": "bbb", "region": "r", "collection_name": "abc", "aws_credential_id": 1, "path_prefix": ""},
        ),
        ("file_upload", {}),
    ],
)
def test_a_source_of_the_api_is_stored_with_what_was_given_and_no_more(name, given):
    settings = TYPES.read_settings(name, given)
    assert dumps(TYPES.write_settings(name, settings, is_declared=False)) == dumps(given)


def test_each_type_brings_its_own_tables_and_their_numbers_stay():
    names = {number: name for number, (name, _) in numbered_migrations(["syncd.store", *TYPES.migrations]).items()}
    assert names == {
        1: "0001_core.sql",
        10: "0010_crawl.sql",
        11: "0011_page_facts.sql",
        12: "0012_sitemap_hints.sql",
        13: "0013_partial_crawls.sql",
        14: "0014_left_out.sql",
        15: "0015_renamed_collections.sql",
        20: "0020_s3.sql",
        30: "0030_sparse.sql",
        40: "0040_recipes.sql",
        50: "0050_bugs.sql",
        51: "0051_in_hand.sql",
        52: "0052_refills.sql",
        60: "0060_prepared.sql",
        61: "0061_tokens.sql",
        70: "0070_warnings.sql",
        80: "0080_absent_sources.sql",
        81: "0081_queue.sql",
        85: "0085_bucket_roots.sql",
        86: "0086_watch_failures.sql",
        90: "0090_bloat.sql",
        95: "0095_checksums.sql",
        96: "0096_token_limits.sql",
        100: "0100_recent_documents.sql",
        104: "0104_chunk_counts.sql",
        105: "0105_document_counts.sql",
        106: "0106_shadows.sql",
        107: "0107_large_collections.sql",
        108: "0108_row_checksums.sql",
        110: "0110_webhooks.sql",
        111: "0111_names_and_pauses.sql",
        112: "0112_prepared_checksums.sql",
        113: "0113_checked_rows.sql",
        114: "0114_runs_by_state.sql",
        115: "0115_queue_order.sql",
        116: "0116_left_out_of_source.sql",
        117: "0117_checked_labels.sql",
        118: "0118_outbox_generations.sql",
    }
    with pytest.raises(ValueError, match="has the number of"):
        numbered_migrations(["syncd.store", "syncd.store"])


def test_no_two_types_share_a_name():
    with pytest.raises(ValueError, match="share a name"):
        SourceTypes(*TYPES, POEMS, POEMS)
