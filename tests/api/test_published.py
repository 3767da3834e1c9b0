"""schemathesis runs the published OpenAPI document against the live API."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from syncd.model import State
from tests.api.test_invocations import settled
from tests.api.test_openapi import OPERATIONS, PUBLISHED
from tests.api.test_sources import KEYS, S3

SETTINGS = """
# Rules that JSON Schema cannot say (names, pairs of keys) refuse much that fits the document: with 400, as documented.
checks.positive_data_acceptance.enabled = false

# With a body changed by our hooks, schemathesis takes the text of a header for no integer, and the case for invalid.
[[operations]]
include-path = "/api/v1/add-file"
checks.negative_data_rejection.enabled = false
"""
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")


async def known(api):
    """Things that exist, for schemathesis to ask about."""
    sources = [await api.make_source(), await api.make_source(s3={**S3, **KEYS})]
    invocations = [await settled(api, State.COMPLETE), await settled(api, State.FAILED, "no such branch")]
    invocations += [await api.make_invocation() for _ in range(20)]
    return {
        "source_id": sources,
        "invocation_id": invocations,
        "database_name": [api.database],
        "collection_name": ["docs"],
        "target_collection_name": ["docs", "more-docs"],
        "repository": ["octo/cat", "octo/dog"],
        "bucket_name": ["bucket"],
        "region": ["eu-west-1"],
        "key": ["sparse_embedding"],
        "starting_url": ["https://example.com/"],
        "branch": ["main"],
        "sha": ["0123456789abcdef0123456789abcdef01234567"],
        "object_key": ["in/a.pdf"],
        "custom_id": ["doc-1"],
        "metadata": ['{"a": 1}'],
        "embedding": ["{}"],
        "chunking": ['{"type": "lines"}'],
        "content_type": ["text/plain"],
    }


async def test_the_published_document_holds(api, tmp_path):
    document, har = tmp_path / "published.json", tmp_path / "requests.har"
    document.write_text(json.dumps(PUBLISHED))
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", str(document)),
        *("--url", api.url, "--header", f"x-chroma-token: {api.token}"),
        *("--seed", "1", "--max-examples", "40", "--generation-database", "none", "--suppress-health-check", "all"),
        *("--warnings", "off", "--no-color", "--report-har-path", str(har)),
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS), "SYNCD_TEST_KNOWN": json.dumps(await known(api))},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
    assert {(path, method.upper()) for path, method in OPERATIONS} <= succeeded(har), "the run proves too little"


def succeeded(har):
    """The operations that had an answer below 300."""
    entries = json.loads(har.read_text())["log"]["entries"]
    good = [entry["request"] for entry in entries if entry["response"]["status"] < 300]
    return {(template(urlsplit(request["url"]).path), request["method"]) for request in good}


def template(path):
    resource = re.search(r"/(sources|invocations)/[0-9a-f-]{36}", path)
    return (
        path
        if resource is None
        else path.replace(path[resource.end() - 36 : resource.end()], f"{{{resource[1][:-1]}_id}}")
    )
