"""Webhooks of a running daemon: what happens is told, also after a kill, and what is announced is done."""

import hashlib
import hmac
import json
import urllib.request

import pytest
from aiohttp import web

from tests.app.test_daemon import configuration, syncd, until
from tests.daemon import Daemon
from tests.serving import serve

SECRET = "s3cret-of-the-receiver"
HOOK_SECRET = "s3cret-of-the-announcer"


class Receiver:
    """Keeps the bodies it takes, by id; takes nothing while it is `away`."""

    def __init__(self) -> None:
        self.taken: dict[str, dict] = {}
        self.offered: list[str] = []
        self.is_away = False

    async def answer(self, request: web.Request) -> web.Response:
        ident, body = request.headers["webhook-id"], await request.read()
        self.offered.append(ident)
        if self.is_away:
            return web.Response(status=503)
        self.taken[ident] = json.loads(body)
        return web.Response(status=204)

    def settled(self) -> list[str]:
        """The invocations whose ends were told, in order."""
        return [body["data"]["invocation_id"] for body in self.taken.values() if body["type"] == "run.settled"]


@pytest.fixture
def receiver():
    receiver = Receiver()
    with serve(receiver.answer) as receiver.url:
        yield receiver


@pytest.fixture
def daemon(receiver, minilm_folder, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "kite.md").write_text("# Kites\n\nA kite flies higher in the evening.\n")
    more = f"""
[[webhooks]]
name = "on-call"
url = "{receiver.url}/channel-s3cret"
secret_env = "ON_CALL_SECRET"
[[incoming_webhooks]]
name = "host"
secret_env = "HOST_SECRET"
[[sources]]
name = "notes"
type = "folder"
path = "{tmp_path / "notes"}"
collection = "notes"
"""
    environment = {"ON_CALL_SECRET": SECRET, "HOST_SECRET": HOOK_SECRET}
    daemon = Daemon(tmp_path / "daemon", configuration(minilm_folder, more), environment=environment).start()
    yield daemon
    assert daemon.stop() == 0


def announce(daemon: Daemon, said: dict) -> int:
    body = json.dumps(said).encode()
    signed = hmac.new(HOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json", "X-Hub-Signature-256": f"sha256={signed}"}
    request = urllib.request.Request(f"{daemon.announced()['url']}/hooks/host", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.status


def invocations(daemon: Daemon) -> list[str]:
    return [ident for (ident,) in daemon.rows("SELECT id FROM invocations ORDER BY seq")]


def test_a_run_that_is_announced_is_told_to_be_over_also_after_a_kill_while_nobody_listened(daemon, receiver):
    until(lambda: receiver.settled() == invocations(daemon) != [])
    tested = syncd(daemon, "webhooks", "test", "on-call")
    assert (tested.returncode, tested.stdout) == (0, "delivered: on-call answered 204\n")

    receiver.is_away = True
    assert announce(daemon, {"source": "notes"}) == 202
    until(lambda: len(invocations(daemon)) == 2 and daemon.unsettled() == 0)
    first, second = invocations(daemon)
    until(lambda: daemon.rows("SELECT 1 FROM webhooks WHERE failing_since IS NOT NULL"))
    refused = syncd(daemon, "webhooks", "test", "on-call")
    assert (refused.returncode, refused.stdout) == (1, "not delivered: it answered 503\n")
    assert "webhook on-call: failing since" in syncd(daemon, "status").stdout

    daemon.kill()
    receiver.is_away = False
    daemon.start()
    until(lambda: second in receiver.settled())
    told = [ident for ident, body in receiver.taken.items() if body["data"].get("invocation_id") == second]
    assert len(told) == 1
    assert receiver.offered.count(told[0]) >= 2
    # A start looks at its folder, too.
    until(lambda: sorted(receiver.settled()) == sorted(invocations(daemon)))
    until(lambda: not daemon.rows("SELECT 1 FROM webhooks WHERE failing_since IS NOT NULL"))
    listed = json.loads(syncd(daemon, "webhooks", "list", "--json").stdout)
    assert (listed["name"], listed["waiting"], listed["given_up"], listed["failing_since"]) == ("on-call", 0, 0, None)
    everything = (daemon.folder / "log").read_text() + json.dumps(listed) + syncd(daemon, "status", "--json").stdout
    assert all(secret not in everything for secret in (SECRET, HOOK_SECRET, "channel-s3cret"))
    assert first in receiver.settled()
