import json

import pytest

from syncd.model import (
    Chunking,
    ConfirmDeletes,
    DeleteDocuments,
    Embedding,
    EmbeddingTask,
    GitRef,
    LeaveCollection,
    OneObject,
    SomeKeys,
    SourceRecord,
    Upload,
    WholeSource,
)
from syncd.model.requests import all_of, joined, part_of
from syncd.sources.upload.settings import UploadSourceSettings
from syncd.store.codec import moment
from syncd.store.invocation_codec import request_from_json, request_to_json

OBJECT = '{"custom_id":"doc-1","metadata":{"lang":"de","tags":["a","b"]},"object_key":"a/ü.txt"}'
UPLOAD = '{"content_type":"text/markdown","file":"f.part","object_key":"notes.md","sha256":"ab","size_bytes":7}'
TOLD = (
    '{"chunking":{"breadcrumb":true,"max_lines":3,"max_size_bytes":8192,"target_size_bytes":1500,"type":"lines"},'
    '"content_type":"text/x-odd","custom_id":"doc-1","embedding":{"model":"m","sparse_key":"sparse_embedding",'
    '"sparse_model":null,"task":{"document_prompt":"d","name":"t","query_prompt":null}},"file":"f.part",'
    '"metadata":{},"object_key":"notes.md","sha256":"ab","size_bytes":7}'
)
FILE = Upload(file="f.part", filename="notes.md", sha256="ab", size_bytes=7, content_type="text/markdown")
COMMIT = GitRef(sha="0a1b")

STORED = {
    "{}": WholeSource(),
    '{"ref":{"branch":"main"}}': WholeSource(ref=GitRef(branch="main")),
    '{"dry_run":true,"ref":{"sha":"0a1b"}}': WholeSource(ref=COMMIT, dry_run=True),
    '{"dry_run":true}': WholeSource(dry_run=True),
    '{"fan_out":true}': WholeSource(fan_out=True),
    '{"follow_up":2}': WholeSource(follow_up=2),
    '{"keys":["a","b"]}': SomeKeys(("a", "b")),
    '{"keys":["a"],"ref":{"branch":"main"}}': SomeKeys(("a",), WholeSource(ref=GitRef(branch="main"))),
    '{"alone":true,"keys":["a"]}': SomeKeys(("a",), alone=True),
    '{"delete":true,"keys":["a","b"]}': DeleteDocuments(("a", "b")),
    '{"confirm_deletes":"i"}': ConfirmDeletes("i"),
    '{"confirm_deletes":"i","ref":{"branch":"x"}}': ConfirmDeletes("i", WholeSource(ref=GitRef(branch="x"))),
    '{"leave":true}': LeaveCollection(),
    '{"object_key":"a.txt"}': OneObject("a.txt"),
    OBJECT: OneObject("a/ü.txt", "doc-1", {"lang": "de", "tags": ["a", "b"]}),
    UPLOAD: FILE,
    TOLD: Upload(
        file="f.part",
        filename="notes.md",
        sha256="ab",
        size_bytes=7,
        content_type="text/x-odd",
        custom_id="doc-1",
        metadata={},
        embedding=Embedding("m", EmbeddingTask("t", "d")),
        chunking=Chunking("lines", max_lines=3),
    ),
}


@pytest.mark.parametrize("text", STORED)
def test_a_request_is_stored_as_it_always_was_to_the_byte(text):
    assert request_from_json(text) == STORED[text]
    assert request_to_json(STORED[text]) == text


def test_what_another_version_stored_beside_is_left_out_and_nothing_is_refused():
    assert request_from_json('{"moon":"full","ref":{"branch":"main","tag":"v1"}}') == WholeSource(
        ref=GitRef(branch="main")
    )
    told = json.loads(TOLD)
    told["embedding"] |= {"moon": "full", "task": {**told["embedding"]["task"], "moon": "full"}}
    told["chunking"]["moon"] = "full"
    assert request_from_json(json.dumps(told)) == STORED[TOLD]
    assert request_from_json('{"file":"f.part","object_key":"notes.md"}').object_key == "notes.md"


def test_an_object_that_was_retried_by_its_own_key_is_that_object_and_by_another_key_is_that_key():
    assert request_from_json('{"keys":["a"],"object_key":"a"}') == OneObject("a")
    assert request_from_json('{"keys":["b"],"object_key":"a"}') == SomeKeys(("b",))


def test_a_retry_asks_for_the_same_object_or_file_and_for_the_keys_of_a_whole_source():
    whole, one = WholeSource(ref=COMMIT), OneObject("a", "doc-1")
    assert part_of(whole, ("x",)) == part_of(SomeKeys(("y",), whole), ("x",)) == SomeKeys(("x",), whole, alone=True)
    assert all_of(SomeKeys(("y",), whole)) == all_of(ConfirmDeletes("i", whole)) == whole
    assert (part_of(one, ("a",)), all_of(one)) == (one, one)
    assert (part_of(FILE, ("notes.md",)), all_of(FILE)) == (FILE, FILE)


def test_a_file_brings_its_own_embedding_and_chunking_and_otherwise_the_sources_hold():
    source = SourceRecord(
        "s", "file_upload", "db", UploadSourceSettings(), Embedding("default"), Chunking(), moment(0.0)
    )
    own = STORED[TOLD]
    assert (own.configured(source).embedding, own.configured(source).chunking) == (own.embedding, own.chunking)
    assert FILE.configured(source) == WholeSource().configured(source) == source


def test_keys_that_failed_are_not_joined_by_a_run_that_may_only_look_at_what_has_changed_since():
    failed = SomeKeys(("a",), WholeSource(follow_up=1))
    assert joined(failed, WholeSource()) is None
    assert joined(failed, SomeKeys(("b",))) == SomeKeys(("a", "b"))
    assert joined(SomeKeys(("a",)), WholeSource()) == WholeSource()
    named = SomeKeys(("c",), alone=True)
    assert joined(named, WholeSource()) is joined(WholeSource(), named) is None
    assert joined(named, SomeKeys(("b",))) == SomeKeys(("b", "c"), alone=True)
    assert joined(DeleteDocuments(("a",)), DeleteDocuments(("a",))) is None
