"""Access tokens: from a key, from gcloud's login, from the metadata server; renewed, and refused with a reason."""

import json
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from syncd.errors import MisconfiguredError, RetryableError
from syncd.sources.gcs import credentials
from syncd.sources.gcs.credentials import GoogleTokens, asking_by_file, asking_by_login
from syncd.sources.gcs.keys import STORAGE_SCOPE, read_google_key
from syncd.sources.objects.http import Asking, HttpClient
from tests.gcs_server import Gcs
from tests.serving import serve
from tests.sources.objects.clouds import FAST

PLAIN = Asking(URL("https://example.org/x"))


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient(FAST)
    yield made
    await made.close()


async def test_a_key_gets_a_token_that_is_used_until_shortly_before_its_end(
    gcs_server: Gcs, client: HttpClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "key.json"
    file.write_text(gcs_server.key_file())
    tokens = GoogleTokens(client, partial(asking_by_file, str(file)), STORAGE_SCOPE, "gs://b")
    first = await tokens.signed(PLAIN)
    assert first.headers["Authorization"].removeprefix("Bearer ") in gcs_server.tokens
    assert await tokens.signed(PLAIN) == first
    now = time.monotonic()
    monkeypatch.setattr(credentials.time, "monotonic", lambda: now + 3300)
    assert await tokens.signed(PLAIN) != first


async def test_a_refused_token_is_replaced_unless_it_is_new(
    gcs_server: Gcs, client: HttpClient, monkeypatch: pytest.MonkeyPatch
):
    async def asking(scope: str) -> Asking:
        return read_google_key(gcs_server.key_file(), "key").asking(scope)

    tokens = GoogleTokens(client, asking, STORAGE_SCOPE, "gs://b")
    first = await tokens.signed(PLAIN)
    assert not tokens.forget()
    second = await tokens.signed(PLAIN)
    now = time.monotonic()
    monkeypatch.setattr(credentials.time, "monotonic", lambda: now + 61)
    assert tokens.forget()
    assert len({first.headers["Authorization"], second.headers["Authorization"]}) == 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"private_key": "nonsense"}, "is damaged"),
        ({"token_uri": "file:///etc/passwd"}, "is no URL"),
        ({"type": "external_account"}, "other kinds are not read"),
    ],
)
async def test_a_key_that_cannot_be_used_is_named_and_not_quoted(gcs_server: Gcs, changed: dict[str, str], said: str):
    with pytest.raises(MisconfiguredError, match=said) as refused:
        read_google_key(gcs_server.key_file(**changed), "key").asking(STORAGE_SCOPE)
    assert "PRIVATE KEY" not in str(refused.value)


async def test_a_key_that_google_no_longer_knows_says_so(gcs_server: Gcs, client: HttpClient):
    async def asking(scope: str) -> Asking:
        wrong = read_google_key(gcs_server.key_file(token_uri=f"{gcs_server.url}/token?x"), "key")
        return wrong.asking(scope)

    with pytest.raises(MisconfiguredError, match=r"was refused \(400\): the key is deleted"):
        await GoogleTokens(client, asking, STORAGE_SCOPE, "gs://b").signed(PLAIN)


async def test_a_service_that_fails_is_asked_again_when_it_says(client: HttpClient):
    async def busy(_request: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "7"})

    with serve(busy) as url:

        async def asking(_scope: str) -> Asking:
            return Asking(URL(f"{url}/token"))

        with pytest.raises(RetryableError) as refused:
            await GoogleTokens(client, asking, STORAGE_SCOPE, "gs://b").signed(PLAIN)
    assert refused.value.retry_after_s == 7


async def test_the_machines_own_login_is_found_where_google_says(
    gcs_server: Gcs, client: HttpClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[str, str]] = []

    async def metadata(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("Metadata-Flavor", "")))
        return web.json_response({"access_token": "of-the-machine", "expires_in": 3000})

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with serve(metadata) as url:
        monkeypatch.setenv("GCE_METADATA_HOST", url.removeprefix("http://"))
        signed = await GoogleTokens(client, asking_by_login, STORAGE_SCOPE, "gs://b").signed(PLAIN)
    assert signed.headers["Authorization"] == "Bearer of-the-machine"
    assert seen == [("/computeMetadata/v1/instance/service-accounts/default/token", "Google")]
    login = {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r"}
    place = tmp_path / ".config/gcloud/application_default_credentials.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(login))
    asking = await asking_by_login(STORAGE_SCOPE)
    assert asking.url == URL("https://oauth2.googleapis.com/token")
    assert dict(asking.body or {})["grant_type"] == "refresh_token"
    file = tmp_path / "key.json"
    file.write_text(gcs_server.key_file())
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    assert (await asking_by_login(STORAGE_SCOPE)).url == URL(f"{gcs_server.url}/token")
