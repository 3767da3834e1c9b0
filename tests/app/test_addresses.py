"""What collections record as the daemon's address, and what clients may call it."""

import os
import pwd

import pytest
from structlog.testing import capture_logs

from syncd.app.addresses import address_for_clients, own_hosts, queries_of, warn_open_chroma
from syncd.app.settings import own_chroma
from syncd.chroma.connection import ChromaSettings
from syncd.chroma.server import ChromaServer
from syncd.chroma.shape import function_of
from syncd.errors import ConfigError
from syncd.model import Embedding, Target
from syncd.store.collections import CollectionRecord
from tests.config.test_config import load

RECORD = CollectionRecord(1, Target("default_database", "docs"), Embedding("a-model"), None, None)


def test_what_is_recorded_follows_the_configuration(tmp_path):
    def recorded(text, **environment):
        queries = queries_of(load(tmp_path, text, **environment), "http://127.0.0.1:8787", RECORD)
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


def person(name, number, shell="/bin/bash"):
    return pwd.struct_passwd((name, "x", number, number, "", f"/home/{name}", shell))


@pytest.mark.parametrize(
    ("is_private", "obstacle", "fix"),
    [
        (False, None, "remove chroma.port"),
        (True, "Operation not permitted", "RestrictNamespaces=user net"),
        (True, "", None),
    ],
)
def test_it_is_said_to_whom_our_own_chroma_is_open_and_how_to_close_it(
    tmp_path, monkeypatch, is_private, obstacle, fix
):
    server = ChromaServer(tmp_path / "chroma", is_private=is_private)
    if server.network:
        server.network.obstacle = obstacle
    people = [
        person("root", 0),
        person("me", os.geteuid()),
        person("eve", 1001),
        person("www", 1002, "/usr/sbin/nologin"),
    ]
    monkeypatch.setattr(pwd, "getpwall", lambda: [*people, person("nobody", 65534)])
    with capture_logs() as said:
        warn_open_chroma(server)
    assert [(line["event"], line["to"]) for line in said] == ([("chroma.open", ["eve"])] if fix else [])
    assert not fix or fix in said[0]["fix"]
    monkeypatch.setattr(pwd, "getpwall", lambda: people[:2])
    with capture_logs() as said:
        warn_open_chroma(server)
    assert said == []


@pytest.mark.parametrize(
    ("others", "more", "is_private"), [(["eve"], "", True), ([], "", False), (["eve"], "[chroma]\nport = 8000", False)]
)
def test_chroma_is_kept_from_others_where_there_are_any_unless_its_port_is_asked_for(
    tmp_path, monkeypatch, others, more, is_private
):
    people = [person("root", 0), *(person(name, 1001 + number) for number, name in enumerate(others))]
    monkeypatch.setattr(pwd, "getpwall", lambda: people)
    server = own_chroma(load(tmp_path, more), tmp_path)
    assert (server.network is not None) is is_private


def test_clients_of_a_private_chroma_are_sent_to_the_daemon_itself(tmp_path):
    server = ChromaServer(tmp_path / "chroma", is_private=True)
    settings = ChromaSettings(port=server.port, network=server.network)
    server.network.obstacle = ""
    assert address_for_clients(settings, server, "http://127.0.0.1:8787") == ("127.0.0.1", 8787)
    server.network.obstacle = "not here"
    assert address_for_clients(settings, server, "http://127.0.0.1:8787") == ("127.0.0.1", server.port)
    assert address_for_clients(ChromaSettings("chroma.example", 8000), None, "") == ("chroma.example", 8000)
