"""Our document is valid OpenAPI and says everything that the published one says."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from syncd.api.application import routes
from syncd.api.openapi import openapi_document
from syncd.api.shapes import SourceShapes
from syncd.model import State
from syncd.sources.registry import TYPES
from syncd.sources.upload.settings import UploadSourceSettings
from tests.api.test_invocations import settled
from tests.api.test_sources import KEYS, S3
from tests.asking import asked

PUBLISHED = json.loads(Path(__file__).with_name("sync.openapi.json").read_text())
OURS = openapi_document(route for route in routes(SourceShapes.of(TYPES)) if route.path != "/openapi.json")
OPERATIONS = [(path, method) for path, operations in PUBLISHED["paths"].items() for method in operations]
# The published document refers to these two schemas and does not define them.
MISSING = {
    "SourceTypeFilter": {"type": "string", "enum": ["github", "s3", "web_scrape", "file_upload"]},
    "OrderBy": {"type": "string", "enum": ["ASC", "DESC"]},
}
PUBLISHED["components"]["schemas"] |= MISSING


def resolved(document, schema):
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def property_paths(document, schema, prefix=""):
    """Every property that a value may have, as dotted paths; alternatives are joined."""
    schema = resolved(document, schema)
    found = set()
    for name, inner in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        found |= {path} | property_paths(document, inner, f"{path}.")
    inner = [*schema.get("allOf", []), *schema.get("oneOf", []), *schema.get("anyOf", [])]
    for key in ("items", "additionalProperties"):
        inner += [schema[key]] if isinstance(schema.get(key), dict) else []
    for part in inner:
        found |= property_paths(document, part, prefix)
    return found


def test_the_document_is_valid_openapi_3_1():
    OpenAPIV31SpecValidator(OURS).validate()


async def test_it_is_served_as_it_is_described(api):
    status, served = await api.get("/openapi.json", token=None)
    assert status == 200
    assert served == json.loads(json.dumps(OURS))


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_published_operation_is_described_with_all_it_has(path, method):
    theirs, ours = PUBLISHED["paths"][path][method], OURS["paths"][path][method]

    assert ours["operationId"] == theirs["operationId"]
    assert theirs["responses"].keys() <= ours["responses"].keys()
    parameters = {(it["name"], it["in"]) for it in theirs.get("parameters", [])}
    assert parameters <= {(it["name"], it["in"]) for it in ours["parameters"]}
    for status, answer in theirs["responses"].items():
        for kind, content in answer.get("content", {}).items():
            described = ours["responses"][status]["content"][kind]["schema"]
            assert property_paths(PUBLISHED, content["schema"]) <= property_paths(OURS, described)
    for kind, content in theirs.get("requestBody", {}).get("content", {}).items():
        described = ours["requestBody"]["content"][kind]["schema"]
        assert property_paths(PUBLISHED, content["schema"]) <= property_paths(OURS, described)


@pytest.mark.parametrize("document", [PUBLISHED, OURS], ids=["published", "ours"])
async def test_answers_match_both_documents(api, store, document):
    sources = [
        await api.make_source(github={"repository": "octo/cat", "watch": {"target_collection_name": "docs"}}),
        await api.make_source(s3={**S3, **KEYS}),
    ]
    invocations = [
        await api.make_invocation(sources[0], ref_identifier={"branch": "main"}),
        await api.make_invocation(sources[1], object_key="a", metadata={"n": 1}, custom_id="x"),
        await settled(api, State.COMPLETE),
        await settled(api, State.FAILED, "no such branch"),
    ]
    upload = await store.sources.get_or_create(
        "file_upload",
        api.database,
        UploadSourceSettings(),
        api.services.upload_embedding,
        (await store.sources.get(sources[0])).chunking,
    )
    target = (await store.invocations.get(invocations[0])).target
    made = await store.invocations.create(upload.id, target, "api", asked(file="x", object_key="notes.md"))

    async def check(path, template, status=200):
        got, body = await api.get(path)
        assert got == status
        schema = document["paths"][template]["get"]["responses"][str(status)]["content"]["application/json"]["schema"]
        validator = Draft202012Validator(
            {**schema, "components": document["components"]}, format_checker=Draft202012Validator.FORMAT_CHECKER
        )
        assert [error.message for error in validator.iter_errors(body)] == []

    for source_id in [*sources, upload.id]:
        await check(f"/api/v1/sources/{source_id}", "/api/v1/sources/{source_id}")
    for invocation_id in [*invocations, made.id]:
        await check(f"/api/v1/invocations/{invocation_id}", "/api/v1/invocations/{invocation_id}")
    await check("/api/v1/sources", "/api/v1/sources")
    await check("/api/v1/invocations", "/api/v1/invocations")
    await check("/api/v1/sources/x", "/api/v1/sources/{source_id}", 400)
