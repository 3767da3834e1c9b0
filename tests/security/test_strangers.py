"""Whatever is asked of the running daemon, by anybody: no 5xx, no answer but those documented, and nothing of other databases.

Some thousand requests are made up from the daemon's own OpenAPI document, and each is sent as every kind of caller. Hours of it:
`STRANGE_CASES=2000 pytest tests/security/test_strangers.py`.
"""

import os

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import CHECKS
from schemathesis.core.failures import FailureGroup

from tests.app.test_daemon import configuration, request, until
from tests.daemon import Daemon

CASES = int(os.environ.get("STRANGE_CASES", "12"))
"""Made up for each operation."""
SECRET = "zanzibar"
"""A word of their documents' texts and names, which no request says."""
RANDOM = settings(
    max_examples=CASES, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
_UNFIT = ("positive_data_acceptance", "negative_data_rejection", "ignored_auth")
"""Rules that JSON Schema cannot say refuse much that fits; ids that exist, put into what does not fit, make some of it fit; the
last is what all of this is about.
"""
ALL = [check for check in CHECKS.get_all() if check.__name__ not in _UNFIT]
CHECKED = {"anonymous": [], "wrong": [], "scoped": ALL, "reader": ALL}
"""Without a token that is good, nearly every answer is the same."""


@pytest.fixture(scope="module")
def daemon(minilm_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("strangers")
    daemon = Daemon(folder, configuration(minilm_folder, f'[folder]\nallowed_roots = ["{folder}"]\n'), is_private=True)
    try:
        yield daemon.start()
    finally:
        assert daemon.stop() == 0


@pytest.fixture(scope="module")
def known(daemon: Daemon):
    """Ids and names that exist, of ours and of theirs."""
    request(daemon, "POST", "/api/v2/tenants/default_tenant/databases", {"name": "theirs"})
    found = {"source_id": [], "invocation_id": [], "collection": [], "database": ["default_database", "theirs"]}
    for database, word in (("default_database", "apples"), ("theirs", SECRET)):
        notes = daemon.folder / database
        notes.mkdir()
        for number in range(3):
            (notes / f"{word}-{number}.md").write_text(f"# {word}\n\nAll about {word}, number {number}.\n")
        asked = {"database_name": database, "folder": {"path": str(notes)}}
        source = request(daemon, "POST", "/api/v1/sources", asked)["source_id"]
        target = {"target_collection_name": f"notes-{database}"}
        run = request(daemon, "POST", f"/api/v1/sources/{source}/invocations", target)["invocation_id"]
        for kind, value in (("source_id", source), ("invocation_id", run), ("collection", f"notes-{database}")):
            found[kind].append(value)
    until(lambda: daemon.unsettled() == 0)
    found["database_name"] = found["database"]
    found["collection_name"] = found["target_collection_name"] = found["collection"]
    found["path"] = [str(daemon.folder / "default_database")]
    found["text"] = found["query"] = ["apples"]
    found["model"] = ["sentence-transformers/all-MiniLM-L6-v2"]
    return found


@pytest.fixture(scope="module")
def callers(daemon: Daemon, known):
    """The headers of every kind of caller but the administrator."""

    def token(**more):
        made = request(daemon, "POST", "/api/v1/tokens", {"name": "t", "databases": ["default_database"], **more})
        return {"x-chroma-token": made["token"]}

    wrong = {"x-chroma-token": "sk_000000000000_wrong"}
    return {"anonymous": {}, "wrong": wrong, "scoped": token(), "reader": token(access="read")}


def cases_of(operation):
    found = []

    @seed(1)
    @RANDOM
    @given(case=operation.as_strategy())
    def collect(case):
        found.append(case)

    collect()
    return found


def with_known(value, known, number):
    """Replace values by known ones, by their names: one in four stays."""
    if isinstance(value, dict):
        return {
            name: known[name][number % len(known[name])]
            if name in known and number % 4
            else with_known(inner, known, number)
            for name, inner in value.items()
        }
    return [with_known(inner, known, number) for inner in value] if isinstance(value, list) else value


def prepared(case, known, number):
    case.path_parameters = with_known(dict(case.path_parameters or {}), known, number + 1)
    case.query = with_known(dict(case.query or {}), known, number)
    case.body = with_known(case.body, known, number)
    return case


@pytest.fixture(scope="module")
def cases(daemon: Daemon, known):
    document = requests.get(f"{daemon.announced()['url']}/openapi.json", timeout=30).json()
    schema = schemathesis.openapi.from_dict(document)
    described = (result.ok() for result in schema.get_all_operations())
    # What has no end is not answered to its end; tests/api/test_events.py asks for it.
    operations = [operation for operation in described if operation.path != "/api/v1/events"]
    return [prepared(case, known, number) for it in operations for number, case in enumerate(cases_of(it))]


def answers_to(daemon: Daemon, cases, headers, faults: list[str], *, checks=()):
    """Yield every answer, and add what is wrong with it to `faults`."""
    with requests.Session() as session:
        for case in cases:
            answer = case.call(base_url=daemon.announced()["url"], headers=headers, session=session, timeout=60)
            where = f"{case.method} {answer.request.url} → {answer.status_code}"
            if answer.status_code >= 500:
                faults.append(f"{where}: {answer.text[:300]}")
            if checks and case.path != "/mcp":  # another protocol, of which only the address is described
                try:
                    case.validate_response(answer, checks=checks, headers=headers)
                except FailureGroup as failures:
                    faults += [f"{where}: {type(one).__name__}: {one}" for one in failures.exceptions]
            yield answer


def test_a_text_that_another_database_has_is_computed_like_any_other(daemon: Daemon, known):
    copied = daemon.folder / "copied"
    copied.mkdir()
    for file in (daemon.folder / "default_database").iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    asked = {"database_name": "theirs", "folder": {"path": str(copied)}}
    source = request(daemon, "POST", "/api/v1/sources", asked)["source_id"]
    run = request(daemon, "POST", f"/api/v1/sources/{source}/invocations", {"target_collection_name": "copied"})
    until(lambda: daemon.unsettled() == 0)
    counts = request(daemon, "GET", f"/api/v1/invocations/{run['invocation_id']}")["counts"]
    assert (counts["chunks_embedded"], counts["chunks_reused"]) == (3, 0)


def test_nobody_gets_what_is_not_theirs_and_nothing_ends_in_a_server_error(daemon: Daemon, cases, known, callers):
    theirs = f"/api/v1/documents?database_name=theirs&collection_name={known['collection'][1]}"
    before = request(daemon, "GET", theirs)
    assert SECRET in str(before)
    faults: list[str] = []
    for name, headers in callers.items():
        succeeded = 0
        for answer in answers_to(daemon, cases, headers, faults, checks=CHECKED[name]):
            succeeded += answer.status_code < 300
            if SECRET in answer.text:
                faults.append(f"{name} was told by {answer.request.method} {answer.request.url}: {answer.text[:300]}")
        assert succeeded >= len(CHECKED[name]), f"{name}: the run proves too little"
    assert request(daemon, "GET", theirs) == before
    assert faults == []


OPERATIONS = (
    "",
    "/get",
    "/query",
    "/count",
    "/add",
    "/update",
    "/upsert",
    "/delete",
    "/fork",
    "/search",
    "/x%2f..%2fget",
)
BODIES = (
    {},
    {"ids": None, "include": ["documents", "metadatas"], "limit": 10},
    {"query_embeddings": [[0.1] * 384], "n_results": 5, "include": ["documents"]},
    {"where_document": {"$contains": "All about"}, "include": ["documents"]},
    {"ids": ["x"], "embeddings": [[0.1] * 384], "documents": ["x"], "new_name": "x"},
    [[]],
    "x",
)


def test_through_chromas_own_api_nobody_reaches_rows_of_other_databases(daemon: Daemon, known, callers):
    base, tenant = daemon.announced()["url"], "/api/v2/tenants/default_tenant/databases"
    listed = [request(daemon, "GET", f"{tenant}/{database}/collections") for database in known["database"]]
    (theirs,) = [one["id"] for one in listed[1] if one["name"] == known["collection"][1]]
    named = [value for collections in listed for one in collections for value in (one["id"], one["name"])]
    faults: list[str] = []
    with requests.Session() as session:
        for name, headers in callers.items():
            read = 0
            for database in (*known["database"], "default_database%2f..%2ftheirs", "none"):
                for collection in (*named, f"by-id/{theirs}", "..", "none"):
                    for number, operation in enumerate(OPERATIONS):
                        url = f"{base}{tenant}/{database}/collections/{collection}{operation}"
                        method = ("GET", "PUT", "DELETE")[number % 3] if operation in ("", "/count") else "POST"
                        body = BODIES[(number + len(collection)) % len(BODIES)]
                        answer = session.request(method, url, json=body, headers=headers, timeout=60)
                        if SECRET in answer.text or answer.status_code >= 500:
                            faults.append(f"{method} {url} {body} → {answer.status_code}: {answer.text[:300]}")
                        read += "All about apples" in answer.text
            assert (read > 0) == (name in ("scoped", "reader")), name
    assert faults == []
    collection = f"{tenant}/theirs/collections/{theirs}"
    assert SECRET in str(request(daemon, "POST", f"{collection}/get", {"include": ["documents"]}))


def test_an_administrator_may_do_anything_but_meet_a_server_error(daemon: Daemon, cases):
    faults: list[str] = []
    for _ in answers_to(daemon, cases, {"x-chroma-token": daemon.token()}, faults, checks=ALL):
        pass
    assert faults == []
