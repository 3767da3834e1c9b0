import hashlib
import hmac
import json
import time
from urllib.parse import urlencode

import pytest

from syncd.api.incoming_signatures import IncomingWebhook
from syncd.sync.webhook_signature import signature

SECRET = "a secret of the tests"
WATCH = {"watch": {"target_collection_name": "docs"}}
ON_MAIN = {"watch": {"target_collection_name": "docs", "branch": "main"}}
PUSH = {
    "ref": "refs/heads/main",
    "repository": {"clone_url": "https://github.com/Octo/Cat.git", "default_branch": "main"},
}


@pytest.fixture
async def api(api_with, database):
    incoming = {
        "here": IncomingWebhook("here", SECRET),
        "elsewhere": IncomingWebhook("elsewhere", SECRET, frozenset({"other"})),
    }
    async with api_with(incoming=incoming) as started:
        yield started


def digits(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def of_github(body: bytes, event: str = "push", secret: str = SECRET) -> dict[str, str]:
    return {"X-GitHub-Event": event, "X-Hub-Signature-256": f"sha256={digits(body, secret)}"}


async def send(api, said, headers=of_github, name="here", content_type="application/json", **more):
    """Send a message and return how it was answered."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    headers = {"Content-Type": content_type, **headers(body, **more)}
    return await api.call("POST", f"/hooks/{name}", token=None, headers=headers, data=body)


async def runs(api) -> list:
    return await api.store.invocations.list(newest_first=False)


async def test_a_push_to_a_repository_starts_a_run_of_every_source_that_follows_the_branch(api):
    ours = await api.make_source(github={"repository": "octo/cat", **ON_MAIN})
    await api.make_source(github={"repository": "octo/dog", **ON_MAIN})
    await api.make_source(github={"repository": "octo/cat", "watch": {**WATCH["watch"], "branch": "next"}})
    await api.make_source(github={"repository": "octo/cat", "include_globs": ["*.md"]})
    assert await send(api, PUSH) == (202, {"accepted": True})
    (run,) = await runs(api)
    assert (run.source_id, run.target.collection, run.origin, run.request.ref.branch) == (ours, "docs", "watch", "main")
    assert api.woken > 0
    assert await send(api, PUSH) == (202, {"accepted": True})
    assert len(await runs(api)) == 1


async def test_a_source_without_a_branch_follows_the_default_one(api):
    await api.make_source(github={"repository": "octo/cat", **WATCH})
    await send(api, {**PUSH, "ref": "refs/heads/feature"})
    assert await runs(api) == []
    await send(api, PUSH)
    assert len(await runs(api)) == 1


async def test_what_is_not_signed_starts_nothing_and_no_answer_tells_what_there_is(api):
    await api.make_source(github={"repository": "octo/cat", **WATCH})
    unsigned = await send(api, PUSH, lambda _: {})
    assert unsigned[0] == 401
    for refused in (
        await send(api, PUSH, secret="another secret of theirs"),
        await send(api, PUSH, secret=""),
        await send(api, PUSH, lambda _: {"X-Hub-Signature-256": "sha256=\udcff", "X-Gitlab-Token": ""}),
        await send(api, PUSH, name="missing"),
        await send(api, PUSH, name="missing", secret=""),
        await send(api, PUSH, lambda body: of_github(body + b" ")),
    ):
        assert refused == unsigned
    unknown = {**PUSH, "repository": {"clone_url": "https://github.com/octo/secret.git"}}
    assert await send(api, unknown) == await send(api, PUSH, name="elsewhere") == (202, {"accepted": True})
    assert await runs(api) == []


async def test_a_ping_is_answered_and_other_events_start_nothing(api):
    await api.make_source(github={"repository": "octo/cat", **WATCH})
    for event in ("ping", "issues", "star"):
        assert await send(api, PUSH, event=event) == (202, {"accepted": True})
    assert await runs(api) == []


async def test_what_is_no_json_or_too_much_is_refused(api):
    assert (await send(api, b"{"))[0] == 400
    assert (await send(api, b'"' + b"x" * (1 << 20) + b'"'))[0] == 400


def of_gitlab(body: bytes) -> dict[str, str]:
    return {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": SECRET}


def of_gitea(body: bytes) -> dict[str, str]:
    return {"X-Gitea-Event": "push", "X-GitHub-Event": "push", "X-Gitea-Signature": digits(body)}


def of_bitbucket(body: bytes) -> dict[str, str]:
    return {"X-Event-Key": "repo:push", "X-Hub-Signature": f"sha256={digits(body)}"}


def of_the_standard(body: bytes) -> dict[str, str]:
    now = str(int(time.time()))
    signed = f"v1,bm8= {signature(SECRET.encode(), 'msg_1', now, body)}"
    return {"webhook-id": "msg_1", "webhook-timestamp": now, "webhook-signature": signed}


def too_old(body: bytes) -> dict[str, str]:
    then = str(int(time.time()) - 3600)
    signed = signature(SECRET.encode(), "msg_1", then, body)
    return {"webhook-id": "msg_1", "webhook-timestamp": then, "webhook-signature": signed}


HTTPS = "https://git.example.com/acme/tools.git"
SSH = {"ref": "refs/heads/main", "repository": {"ssh_url": "git@git.example.com:acme/tools.git"}}
GITLAB = {"ref": "refs/heads/main", "project": {"git_http_url": HTTPS, "default_branch": "main"}}
BITBUCKET = {"push": {}, "repository": {"links": {"html": {"href": "https://git.example.com/acme/tools"}}}}


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (of_gitlab, GITLAB),
        (of_gitea, SSH),
        (of_bitbucket, BITBUCKET),
        (of_the_standard, {"repository": HTTPS}),
        (of_github, {"repository": "ssh://git@git.example.com:2222/acme/tools"}),
    ],
)
async def test_other_hosts_say_it_in_other_ways(api, headers, said):
    source_id = await api.make_source(git={"url": HTTPS, **WATCH})
    assert (await send(api, said, headers))[0] == 202
    assert [run.source_id for run in await runs(api)] == [source_id]


async def test_one_that_says_when_it_was_sent_is_good_for_minutes(api):
    assert (await send(api, {"repository": HTTPS}, too_old))[0] == 401


async def test_a_form_as_github_sends_it_is_read_and_a_source_may_be_named(api):
    source_id = await api.make_source(github={"repository": "octo/cat", **WATCH})
    form = urlencode({"payload": json.dumps(PUSH)}).encode()
    assert (await send(api, form, content_type="application/x-www-form-urlencoded"))[0] == 202
    assert len(await runs(api)) == 1
    crawl = await api.make_source(
        web_scrape={
            "starting_url": "https://a.example/",
            "schedule": {"interval_s": 3600, "target_collection_name": "docs"},
        }
    )
    for name in (crawl, "no such source", "", None, 7):
        assert (await send(api, {"source": name}))[0] == 202
    assert [run.source_id for run in await runs(api)] == [source_id, crawl]
