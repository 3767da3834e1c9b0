"""The real program as its README uses it, command after command, on things that are a little unusual."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web

from syncd.app import announce
from syncd.cli.known_names import known_names
from syncd.runtime.state import LOG_FILE
from tests.app.test_daemon import client_says, configuration, request, source, syncd, until
from tests.daemon import MINILM, Daemon
from tests.git_server import GitServer
from tests.pipeline.parse.documents import pdf
from tests.pipeline.rerank.lexical import write_lexical
from tests.serving import serve

README = Path(__file__).parents[2] / "README.md"
ODD_NAMES = ("app/[slug]/page.tsx", "app/[/closed]/page.md", "app/:smile:.md")
HOOK_SECRET = "s3cret-of-the-announcer"
RERANKED = {
    "worded.md": "A lamp lamping, a keeper keepered, in evenings.\n",
    "answer.md": "The keepers light all lamps when evening comes, as others before them did for a hundred years.\n",
}
"""The first one has more of the stems, the second one the words of the question."""
TEXT = "# Kites\n\nA kite flies higher in the evening.\n"


@pytest.fixture(scope="module")
def git_server(tmp_path_factory):
    server = GitServer(tmp_path_factory.mktemp("git"))
    server.held.set()
    with serve(server.answer) as server.url:
        server.create("owner/kites", {"kite.md": TEXT, **{name: f"{name}\n" for name in ODD_NAMES}})
        server.create("chroma-core/chroma", {"README.md": "# Chroma\n\nStores vectors.\n"})
        yield server


@pytest.fixture(scope="module")
def daemon(git_server, minilm_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemon")
    write_lexical(folder / "ranker.gguf", RERANKED.values())
    rerank = f'[rerank]\npath = "{folder}/ranker.gguf"\nlimit_s = 60\n'
    announcing = f'[[incoming_webhooks]]\nname = "github"\nsecret = "{HOOK_SECRET}"\n'
    text = configuration(minilm_folder, rerank + source(git_server, "owner/kites", "kites") + announcing)
    running = Daemon(folder, text).start()
    until(lambda: running.rows("SELECT 1 FROM cursors") and running.unsettled() == 0)
    yield running
    assert running.stop() == 0


def succeeds(daemon: Daemon, *arguments: str) -> str:
    done = syncd(daemon, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def another(daemon: Daemon, *options: str) -> str:
    """Return the id of a further source of the repository."""
    added = succeeds(daemon, "sources", "add", "github", "owner/kites", "--model", MINILM, "--json", *options)
    return json.loads(added)["source_id"]


def test_a_source_has_a_name_and_rests_while_it_is_paused_without_losing_what_is_asked(daemon):
    another(daemon, "--name", "kites-too", "--watch", "kites-too")
    until(lambda: "kites-too" in succeeds(daemon, "sources", "list") and daemon.unsettled() == 0)
    assert "go on with: syncd sources resume kites-too" in succeeds(daemon, "sources", "pause", "kites-too")
    assert "source kites-too: paused since" in succeeds(daemon, "status")
    source = json.loads(succeeds(daemon, "sources", "show", "kites-too", "--json"))
    asked = {"target_collection_name": "kites-too"}
    run = request(daemon, "POST", "/api/v1/sources/kites-too/invocations", asked)["invocation_id"]
    assert "waiting: source kites-too is paused" in succeeds(daemon, "status", "kites-too")
    seen = succeeds(daemon, "sources", "show", "kites-too")
    for line in (
        r"kites-too: github owner/kites, in database default_database",
        r"collection  kites-too",
        r"state       paused since [-0-9]* [:0-9]* UTC.*",
        rf"latest run  pending, \d+ s ago, {run}",
        r"            waiting: source kites-too is paused.*",
        r"repository  owner/kites",
    ):
        assert re.search(f"^{line}$", seen, re.MULTILINE), seen
    assert succeeds(daemon, "sources", "rename", "kites-too", "kites-three") == "called: kites-three\n"
    assert request(daemon, "GET", f"/api/v1/invocations/{run}")["status"] == "pending"
    assert succeeds(daemon, "sources", "resume", "kites-three") == "resumed\n"
    until(lambda: daemon.unsettled() == 0)
    assert "complete" in request(daemon, "GET", f"/api/v1/invocations/{run}")["status"]
    removed = syncd(daemon, "sources", "remove", "kites-three", "--purge")
    assert (removed.returncode, removed.stderr) == (0, "")
    assert source["name"] == "kites-too"


def test_a_watched_repository_can_be_synced_planned_and_verified_again_and_again(daemon):
    for _ in range(2):
        succeeds(daemon, "sync", "code")
        assert "0 to add" in succeeds(daemon, "plan", "code")
        succeeds(daemon, "verify", "kites", "--repair")
    metadata = client_says(daemon, "print(json.dumps(client.get_collection('kites').metadata))")
    assert not (metadata or {}).get("finished_ingest")


def test_a_sync_into_another_collection_finishes_it(daemon):
    succeeds(daemon, "sync", "code", "--collection", "kites-once")
    again = syncd(daemon, "sync", "code", "--collection", "kites-once")
    assert (again.returncode, "finished_ingest" in again.stderr) == (1, True)
    assert "no source keeps it in sync" in succeeds(daemon, "verify", "kites-once")


def test_verify_tells_of_deletes_that_wait_to_be_confirmed(daemon, git_server):
    names = [f"{number}.md" for number in range(25)]
    git_server.create("owner/shrinking", {name: f"This is what {name} says.\n" for name in names})
    succeeds(daemon, "sources", "add", "github", "owner/shrinking", "--watch", "shrinking", "--interval-s", "10")
    until(lambda: daemon.rows("SELECT 1 FROM documents WHERE key = '24.md'") and daemon.unsettled() == 0)
    git_server.commit("owner/shrinking", dict.fromkeys(names))
    until(lambda: daemon.rows("SELECT 1 FROM held_deletes") and daemon.unsettled() == 0)
    told = syncd(daemon, "verify", "shrinking", "--repair")
    assert told.returncode == 1
    assert "\n25 deletes held, confirm with: syncd " in told.stdout
    succeeds(daemon, *told.stdout.partition("confirm with: syncd ")[2].split()[:2])
    succeeds(daemon, "verify", "shrinking")


def test_a_hit_is_explained_down_to_its_lines_and_derived_again(daemon):
    hits = succeeds(daemon, "search", "kite evening", "--collection", "kites", "--mode", "sparse", "--json")
    told = succeeds(daemon, "explain", json.loads(hits.splitlines()[0])["id"], "--collection", "kites")
    assert re.search(r"collection +kites in default_database\n +source +code \(github\)\n +document +kite.md\n", told)
    assert "lines 1 to 3" in told
    assert "matches: text, id and vector are what the document gives now" in told
    assert "in Chroma  as stored" in told
    unknown = syncd(daemon, "explain", "nothing-0")
    assert (unknown.returncode, "no chunk 'nothing-0' in any collection" in unknown.stderr) == (1, True)


def test_names_and_ids_are_printed_letter_by_letter(daemon):
    plan = succeeds(daemon, "plan", "code", "--collection", "kites-planned", "--list")
    assert {f"+ {name}  (1 chunk)" for name in ODD_NAMES} <= set(plan.splitlines())
    done = json.loads(succeeds(daemon, "sync", "code", "--collection", "kites-printed", "--json"))
    shown = succeeds(daemon, "status", done["id"])
    assert all(name in shown for name in ODD_NAMES)
    assert done["id"] in succeeds(daemon, "status")
    assert done["source_id"] in succeeds(daemon, "sources", "list")


def test_documents_that_another_source_owns_fail_one_by_one_wherever_they_were_indexed_before(daemon):
    another(daemon, "--watch", "kites-shared")
    ident, files = another(daemon), len(ODD_NAMES) + 1
    statement = "SELECT 1 FROM documents d JOIN collections c ON c.id = d.collection_id WHERE c.name = 'kites-shared'"
    until(lambda: len(daemon.rows(statement)) == files)
    succeeds(daemon, "sync", ident, "--collection", "kites-elsewhere")
    assert f"{files} skipped or failed" in succeeds(daemon, "plan", ident, "--collection", "kites-shared")
    done = syncd(daemon, "sync", ident, "--collection", "kites-shared", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["counts"]["failed"] == files


def test_more_documents_than_fit_into_one_answer_are_all_listed(daemon, tmp_path):
    for number in range(1001):
        (tmp_path / f"{number}.bin").write_bytes(b"\0")
    (tmp_path / "kite.md").write_text("# Kites\n\nThey fly.\n")
    added = json.loads(succeeds(daemon, "sources", "add", "folder", str(tmp_path), "--model", MINILM, "--json"))
    done = json.loads(succeeds(daemon, "sync", added["source_id"], "--collection", "broken", "--json"))
    assert done["counts"]["skipped"] == 1001
    assert len(json.loads(succeeds(daemon, "status", done["id"], "--json"))["documents"]) == 1002


def test_an_address_that_is_none_and_a_wrong_token_are_said_in_one_line(daemon, monkeypatch):
    refused = syncd(daemon, "status", "--url", "localhost:8787")
    assert (refused.returncode, refused.stderr.count("\n")) == (78, 1)
    monkeypatch.setenv("SYNCD_TOKEN", "wrong")
    refused = syncd(daemon, "status")
    assert (refused.returncode, refused.stderr.count("\n"), "SYNCD_TOKEN" in refused.stderr) == (77, 1, True)


def test_a_daemon_below_a_path_of_a_proxy_is_reached_by_that_path(daemon):
    inside, token = daemon.announced()["url"], {"x-chroma-token": daemon.token()}

    async def proxy(asked: web.Request) -> web.Response:
        prefix, _, path = asked.raw_path.partition("/api/")
        if prefix != "/team%20a/syncd":
            return web.Response(status=404, text="<html></html>")
        body = {"data": await asked.read(), "headers": {**token, "content-type": asked.content_type}}
        async with aiohttp.request(asked.method, f"{inside}/api/{path}", **body) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

    with serve(proxy) as url:
        for slash in ("", "/"):
            chosen = ("--url", f"{url}/team%20a/syncd{slash}")
            assert "kites" in succeeds(daemon, "collections", *chosen)
            assert TEXT.splitlines()[2] in succeeds(daemon, "search", "kites", "--collection", "kites", *chosen)
        elsewhere = syncd(daemon, "status", "--url", f"{url}/team-b/syncd")
        assert (elsewhere.returncode, "is not syncd" in elsewhere.stderr) == (69, True)


def test_a_document_is_read_by_its_key_and_lines(daemon):
    assert succeeds(daemon, "read", "kite.md", "--collection", "kites") == TEXT
    assert succeeds(daemon, "read", "kite.md", "--collection", "kites", "--lines", "3-") == TEXT.splitlines()[2] + "\n"
    assert syncd(daemon, "read", "kite.md", "--collection", "kites").stderr == ""
    refused = syncd(daemon, "read", "kites.md", "--collection", "kites")
    assert (refused.returncode, "has no document 'kites.md'" in refused.stderr) == (1, True)


def test_a_long_line_is_read_on_as_the_answer_says(daemon, tmp_path):
    text = " ".join(f"kite{n}" for n in range(4000)) + "\n"
    (tmp_path / "line.txt").write_text(text)
    added = json.loads(succeeds(daemon, "sources", "add", "folder", str(tmp_path), "--model", MINILM, "--json"))
    succeeds(daemon, "sync", added["source_id"], "--collection", "lines")
    read, told = "", "--first-byte 0"
    while told:
        found = syncd(daemon, "read", "line.txt", "--collection", "lines", *told.split(), "--max-tokens", "4000")
        assert (found.returncode, len(read) < len(text)) == (0, True)
        read += found.stdout.removesuffix("\n")
        told = found.stderr.strip().rpartition(": add ")[2]
    assert read == text.removesuffix("\n")


def test_a_search_with_a_budget_shows_whole_hits_and_says_where_one_was_cut(daemon):
    found = syncd(daemon, "search", "kite evening", "--collection", "kites", "--mode", "sparse", "--max-tokens", "100")
    assert TEXT in found.stdout
    assert found.stderr == ""
    assert TEXT in succeeds(
        daemon, "search", "kite", "--collection", "kites", "--mode", "sparse", "--expand", "section"
    )
    nothing = syncd(daemon, "search", "zeppelin", "--collection", "kites", "--mode", "sparse", "--path", "app/")
    tried = "nothing was found in kites; try fewer filters, --mode hybrid, other words; `syncd status` says"
    assert (nothing.returncode, tried in nothing.stderr) == (1, True)
    refused = syncd(daemon, "search", "kite", "--collection", "kites", "--expand", "file")
    assert (refused.returncode, "neither a number of lines nor" in refused.stderr) == (2, True)
    refused = syncd(daemon, "search", "kite", "--collection", "kites", "--max-tokens", "1")
    assert (refused.returncode, "max_tokens" in refused.stderr) == (1, True)


def test_an_expression_is_found_and_a_wrong_one_is_told(daemon):
    assert "kite.md" in succeeds(daemon, "search", r"kite \w+ higher", "--collection", "kites", "--mode", "regex")
    refused = syncd(daemon, "search", "(kite", "--collection", "kites", "--mode", "regex")
    assert (refused.returncode, "not a valid RE2 pattern (missing )" in refused.stderr) == (1, True)


def test_several_collections_are_searched_at_once(daemon):
    succeeds(daemon, "sync", "code", "--collection", "kites-twice")
    both = ("--collection", "kites", "--collection", "kites-twice", "--mode", "sparse")
    found = succeeds(daemon, "search", "kite evening", *both)
    assert re.findall(r"kite\.md.* (\(kites.*\))$", found, re.MULTILINE) == ["(kites)", "(kites-twice)"]
    for command in ("verify", "rebuild"):
        refused = syncd(daemon, command, "kytes")
        assert (refused.returncode, "did you mean 'kites'? there are: " in refused.stderr) == (1, True)
    refused = syncd(daemon, "search", "kite", "--collection", "kites", "--database", "elsewhere")
    assert "syncd never wrote anything into database 'elsewhere': check its name" in refused.stderr
    refused = syncd(daemon, "search", "kite", "--collection", "kites", "--collection", "kytes")
    assert refused.returncode == 1
    assert re.search(r"did you mean 'kites'\? there are: .*\bkites\b", refused.stderr)


def test_what_is_like_a_line_of_a_document_is_found(daemon):
    like = succeeds(daemon, "related", "kite.md", "--line", "3", "--collection", "kites")
    assert "app/[slug]/page.tsx" in like
    assert "kite.md:" not in like
    refused = syncd(daemon, "related", "nothing-0", "--collection", "kites")
    assert (refused.returncode, "has no chunk 'nothing-0'" in refused.stderr) == (1, True)


def test_searches_are_measured_by_questions_of_ones_own_and_by_made_ones(daemon, tmp_path):
    (tmp_path / "kite.md").write_text("# How high a kite flies\n\nHigher in the evening.\n")
    (tmp_path / "index.md").write_text("# Index of all pages\n\nSee [what makes kites rise](kite.md).\n")
    added = json.loads(succeeds(daemon, "sources", "add", "folder", str(tmp_path), "--model", MINILM, "--json"))
    for name in ("measured", "measured-again"):
        succeeds(daemon, "sync", added["source_id"], "--collection", name)
    asked = tmp_path / "questions.json"
    asked.write_text('{"questions": [{"question": "a kite in the evening", "answers": ["kite.md"]}]}')
    lines = succeeds(daemon, "eval", "measured", "measured-again", "--queries", str(asked), "--json").splitlines()
    figures = [json.loads(line) for line in lines]
    assert [one["collection"] for one in figures] == 7 * ["measured", "measured-again"]
    assert [(one["ndcg_at_10"], one["recall_at_1"], one["mrr"], one["questions"]) for one in figures] == 14 * [
        (1, 1, 1, 1)
    ]
    shown = succeeds(daemon, "eval", "measured")
    assert "3 questions; 1 link, 2 heading" in shown
    for way in ("hybrid, rules", "hybrid, reranked"):
        assert re.search(rf"^{way} +measured +[01]\.\d{{3}}", shown, re.MULTILINE)
    asked.write_text("{}")
    refused = syncd(daemon, "eval", "measured", "--queries", str(asked))
    assert (refused.returncode, "these are no questions (questions: Field required)" in refused.stderr) == (1, True)


def test_a_model_in_a_process_of_its_own_reranks_what_is_asked_to_be(daemon, tmp_path):
    for name, text in RERANKED.items():
        (tmp_path / name).write_text(text)
    added = json.loads(succeeds(daemon, "sources", "add", "folder", str(tmp_path), "--model", MINILM, "--json"))
    succeeds(daemon, "sync", added["source_id"], "--collection", "reranked")
    until(lambda: json.loads(succeeds(daemon, "status", "--json"))["daemon"]["rerank"] == "ranker.gguf", 60)
    search = ("search", "the lamps keepers evening", "--collection", "reranked", "--mode", "sparse", "--json")
    first = [
        json.loads(succeeds(daemon, *search, *way).splitlines()[0]) for way in ((), ("--rerank",), ("--no-rerank",))
    ]
    assert [hit["metadata"]["key"] for hit in first] == ["worded.md", "answer.md", "worded.md"]
    assert first[1]["score"] > 0.6


def test_a_filter_that_is_no_json_is_wrong_usage(daemon):
    refused = syncd(daemon, "search", "kites", "--collection", "kites", "--where", "{key: kite.md}")
    assert (refused.returncode, "is not JSON" in refused.stderr) == (2, True)


def commands_of(text: str, program: str) -> list[str]:
    """Return the indented commands of the README that start with `program`, continued lines joined."""
    return re.findall(rf"^    ({re.escape(program)} .*)$", text.replace("\\\n", " "), re.MULTILINE)


def test_the_requests_of_the_readme_are_answered_as_it_says(daemon, tmp_path):
    (tmp_path / "handbook.pdf").write_bytes(pdf(["Always be kind to guests."]))
    variables = {"TOKEN": daemon.token(), "SECRET": HOOK_SECRET, "BODY": '{"source": "code"}'}
    uploading, announcing, creating, running = (
        it for it in commands_of(README.read_text(), "curl") if '"s3"' not in it
    )
    uploading = uploading.replace("~/.local/state/syncd", shlex.quote(str(daemon.state)))

    def answer(command: str) -> dict:
        command = command.replace("http://127.0.0.1:8787", daemon.announced()["url"])
        done = subprocess.run(
            ["bash", "-c", command], env=os.environ | variables, capture_output=True, text=True, cwd=tmp_path
        )
        return json.loads(done.stdout)

    assert answer(uploading).keys() == {"invocation_id"}
    assert answer(announcing) == {"accepted": True}
    source_id = answer(creating)["source_id"]
    assert answer(running.replace("SOURCE_ID", source_id)).keys() == {"invocation_id"}


def test_the_clients_of_the_readme_find_what_was_synced(daemon):
    """Those of Python and, where their packages or programs are here, LangChain, LlamaIndex and JavaScript."""
    text = README.read_text().replace("http://127.0.0.1:8787", daemon.announced()["url"])
    text = text.replace("port=8787", f"port={daemon.announced()['url'].rpartition(':')[2]}").replace(
        '"notes"', '"kites"'
    )
    text = text.replace("~/.local/state/syncd", str(daemon.state)).replace(
        "what did we decide?", "a kite in the evening"
    )
    *python, langchain, llama_index = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    python += [langchain] * bool(find_spec("langchain_core")) + [llama_index] * bool(find_spec("llama_index"))
    programs = [[sys.executable, "-c", "".join(python)]]
    (script,) = re.findall(r"```js\n(.*?)```", text, re.DOTALL)
    programs += [["node", "--input-type=module", "-e", script]] * bool(shutil.which("node"))
    for program in programs:
        environment = {**os.environ, "SYNCD_TOKEN": daemon.token()}
        done = subprocess.run(program, capture_output=True, text=True, timeout=120, env=environment)
        assert "A kite flies higher in the evening." in done.stdout, done.stderr


def test_the_commands_for_a_repository_in_the_readme_work(daemon):
    section = README.read_text().partition("### A GitHub repository\n")[2].partition("\n### ")[0]
    adding, searching = (shlex.split(line, comments=True)[1:] for line in commands_of(section, "syncd"))
    succeeds(daemon, *adding)
    statement = "SELECT 1 FROM documents d JOIN collections c ON c.id = d.collection_id WHERE c.name = ?"
    until(lambda: daemon.rows(statement, searching[-1]))
    assert "README.md" in succeeds(daemon, *searching)


def test_whoever_reads_the_announcement_reads_all_of_one(tmp_path):
    def said(port: int) -> SimpleNamespace:
        qdrant = SimpleNamespace(settings=SimpleNamespace(url="http://127.0.0.1:1"))
        parts = SimpleNamespace(vector_store=qdrant, chroma_server=None)
        return SimpleNamespace(parts=parts, url=f"http://127.0.0.1:{port}")

    announce(tmp_path, said(1))
    with (tmp_path / "daemon.json").open() as reading:
        announce(tmp_path, said(2))
        assert json.load(reading)["url"] == "http://127.0.0.1:1"
    assert [path.name for path in tmp_path.iterdir()] == ["daemon.json"]


def test_status_shows_how_far_a_running_sync_is_stage_by_stage(daemon, tmp_path):
    for number in range(200):
        (tmp_path / f"{number}.md").write_text(
            "".join(f"# {number} {part}\n\n{'A kite flies. ' * 60}\n" for part in range(8))
        )
    added = json.loads(succeeds(daemon, "sources", "add", "folder", str(tmp_path), "--model", MINILM, "--json"))
    begun = json.loads(succeeds(daemon, "sync", added["source_id"], "--collection", "long", "--no-wait", "--json"))
    line = rf"{begun['invocation_id']}: \d+ documents prepared, \d+ embedded, \d+ written; (?:about )?[\d,]+ tokens left; [\d,]+ tokens/s; (?:about )?\d+ (s|min) left"
    until(lambda: re.search(line, succeeds(daemon, "status")))
    assert re.search(line.partition(": ")[2], succeeds(daemon, "status", begun["invocation_id"]))
    succeeds(daemon, "cancel", begun["invocation_id"])


def test_a_run_that_waits_says_for_what_goes_on_after_ctrl_c_and_is_cancelled(daemon, git_server):
    ident = another(daemon, "--include", "waiting.md")
    git_server.failures += [503] * 10_000
    begun = json.loads(succeeds(daemon, "sync", ident, "--collection", "kites-waiting", "--no-wait", "--json"))
    run = begun["invocation_id"]
    until(lambda: f"{run}: waiting: " in succeeds(daemon, "status"))
    assert re.search(r"nothing yet;.*\nwaiting: .*503.* \(tried again ", succeeds(daemon, "status", run))
    command = [sys.executable, "-m", "syncd", "watch", run, "--config", str(daemon.folder / "syncd.toml")]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watching.stdout.readline().startswith("waiting: ")
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=60)
    how = f"follow it with `syncd watch {run}`, end it with `syncd cancel {run}`"
    assert (watching.returncode, said) == (130, f"note: the daemon goes on with it; {how}\n")
    assert "what it has indexed stays" in succeeds(daemon, "cancel", run)
    assert succeeds(daemon, "status", run).startswith("cancelled: ")
    assert syncd(daemon, "cancel", run).returncode == 1
    git_server.failures.clear()


def test_a_source_is_called_by_its_place_too_and_its_latest_run_by_the_source(daemon, tmp_path):
    (tmp_path / "kite.md").write_text(TEXT)
    missing = syncd(daemon, "sources", "add", "folder", f"{tmp_path}/nope")
    assert (missing.returncode, "nope is not a folder on this machine" in missing.stderr) == (1, True)
    added = syncd(daemon, "sources", "add", "folder", str(tmp_path), "--model", MINILM)
    assert added.stderr == f"next: syncd sync {added.stdout.strip()} --collection NAME\n"
    assert f"was never run; try: syncd sync {tmp_path}" in syncd(daemon, "watch", str(tmp_path)).stderr
    done = json.loads(succeeds(daemon, "sync", f"{tmp_path}/", "--collection", "placed", "--json"))
    assert json.loads(succeeds(daemon, "status", str(tmp_path), "--json"))["invocation"]["id"] == done["id"]
    shown = succeeds(daemon, "status", "--source", str(tmp_path))
    assert re.findall(rf"^(\S+) +complete +{tmp_path} +placed +\d+ s *$", shown, re.MULTILINE) == [done["id"]]
    listed = succeeds(daemon, "documents", "list", "placed", "--source", str(tmp_path), "--stage", "written")
    assert re.search(r"^kite.md +written +1 +\d+ s *$", listed, re.MULTILINE)
    assert succeeds(daemon, "documents", "list", "placed", "--stage", "failed") == "no such documents\n"
    of_kite = (str(tmp_path), "kite.md", "--collection", "placed", "--json")
    assert json.loads(succeeds(daemon, "documents", "sync", *of_kite))["counts"]["indexed"] == 1
    listed = succeeds(daemon, "collections")
    assert re.search(r"^placed +default_database +1 *$", listed, re.MULTILINE)
    assert re.search(rf"^kites +default_database +{len(ODD_NAMES) + 1} +code *$", listed, re.MULTILINE)
    searching = ("search", "kite", "--collection", "placed", "--mode", "sparse", "--source")
    assert "kite.md" in succeeds(daemon, *searching, str(tmp_path))
    assert "no source is called 'cod'; did you mean 'code'?" in syncd(daemon, *searching, "cod").stderr
    refused = syncd(daemon, "sources", "add", "folder", str(tmp_path), "--model", MINILM.upper())
    assert f"did you mean '{MINILM}'? available: " in refused.stderr
    kept = syncd(daemon, "documents", "delete", "code", "kite.md")
    assert (kept.returncode, "remove them where they come from" in kept.stderr) == (1, True)
    assert json.loads(succeeds(daemon, "documents", "delete", *of_kite))["counts"]["deleted"] == 1
    assert succeeds(daemon, "documents", "list", "placed") == "no such documents\n"
    absent = syncd(daemon, "sources", "add", "github", "owner/absent", "--watch", "absent", "--model", MINILM)
    assert (absent.returncode, "note: no run yet, it is tried again by itself: " in absent.stderr) == (0, True)
    assert "what it has indexed stays" in succeeds(daemon, "sources", "remove", "owner/absent")
    other = another(daemon, "--include", "*.md")
    assert re.search(
        f"sources are at owner/kites; give the id of one: .*{other}", syncd(daemon, "plan", "owner/kites").stderr
    )


def test_the_doctor_finds_a_running_daemon_in_order_and_says_of_what(daemon):
    done = syncd(daemon, "doctor")
    # Sources of other tests of this daemon may be failing by now.
    lines = [line for line in done.stdout.splitlines() if not re.match(r"PROBLEM +source ", line)]
    assert done.returncode == ("PROBLEM" in done.stdout)
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert {
        "versions",
        "configuration",
        f"model {MINILM}",
        "state folder",
        "disk",
        "clock",
        "jail",
        "daemon",
        "Chroma",
    } == {line.removeprefix("ok").strip().partition(": ")[0] for line in lines}


def test_the_log_is_read_whole_or_for_one_source(daemon):
    (daemon.state / LOG_FILE).symlink_to(daemon.folder / "log")
    assert "daemon.ready" in succeeds(daemon, "logs", "--lines", "100000")
    of_source = succeeds(daemon, "logs", "--lines", "100000", "--source", "code")
    assert "sync.settled" in of_source
    assert "daemon.ready" not in of_source


def test_shells_learn_the_names_of_sources_and_collections(daemon):
    assert "code" in known_names("source", daemon.state)
    assert "kites" in known_names("collection", daemon.state)


def test_whoever_removes_a_declared_source_is_told_that_it_comes_back(daemon):
    removed = syncd(daemon, "sources", "remove", "code")
    assert removed.returncode == 0
    assert "code is declared in the configuration file: take it out there, or it comes back" in removed.stderr
