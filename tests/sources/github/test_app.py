from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from syncd.errors import ConfigError, NotFoundError, PermanentError, RetryableError
from syncd.sources.git.remote import Remote
from syncd.sources.git.source import RepositorySettings, RepositorySource
from syncd.sources.github.app import AppLogins, GithubApp
from tests.git_server import GitServer
from tests.github_api import APP_ID, GithubApi
from tests.sources.running import SyncedCollection


@pytest.fixture
def app(github_api: GithubApi) -> GithubApp:
    github_api.installed["owner/name"] = 7
    return GithubApp(APP_ID, github_api.key_file, github_api.url, now=lambda: github_api.now)


async def test_a_token_is_for_one_repository_and_reading_only(app: GithubApp, github_api: GithubApi) -> None:
    assert await app.token("owner/name") == github_api.granted[0]
    assert github_api.requests == ["GET /repos/owner/name/installation", "POST /app/installations/7/access_tokens"]
    permissions = {"contents": "read", "metadata": "read"}
    assert github_api.asked == [{"repositories": ["name"], "permissions": permissions}]


async def test_a_token_is_kept_until_shortly_before_it_expires(app: GithubApp, github_api: GithubApi) -> None:
    first = await app.token("owner/name")
    github_api.now += timedelta(minutes=49)
    assert await app.token("owner/name") == first
    github_api.now += timedelta(minutes=2)
    assert await app.token("owner/name") != first


async def test_another_key_is_refused(github_api: GithubApi, tmp_path: Path) -> None:
    github_api.installed["owner/name"] = 7
    app = GithubApp("999", github_api.key_file, github_api.url)
    with pytest.raises(PermanentError, match="check app_id, the private key and this machine's clock"):
        await app.token("owner/name")


async def test_an_app_that_is_not_installed_is_told(app: GithubApp) -> None:
    with pytest.raises(NotFoundError, match="not installed on owner/other"):
        await app.token("owner/other")


async def test_a_renamed_repository_is_told(app: GithubApp, github_api: GithubApi) -> None:
    github_api.answers.append(web.Response(status=301, headers={"Location": f"{github_api.url}/repositories/1"}))
    with pytest.raises(PermanentError, match="renamed or moved"):
        await app.token("owner/name")
    assert len(github_api.requests) == 1


@pytest.mark.parametrize(
    ("status", "headers", "wait_s"),
    [
        (429, {"retry-after": "17"}, 17),
        (403, {"retry-after": "17"}, 17),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "+90"}, 90),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "-5"}, 1),
        (429, {}, 60),
        (502, {}, None),
        (503, {"retry-after": "3"}, 3),
        (503, {"retry-after": "nan"}, None),
        (429, {"retry-after": "-1e400"}, 60),
        (429, {"retry-after": "9" * 400}, 3600),
    ],
)
async def test_rate_limits_and_outages_are_waited_out_as_asked(
    app: GithubApp, github_api: GithubApi, status: int, headers: dict[str, str], wait_s: float | None
) -> None:
    reset = headers.get("x-ratelimit-reset")
    if reset:
        headers = {**headers, "x-ratelimit-reset": str(int(github_api.now.timestamp()) + int(reset))}
    github_api.answers.append(web.Response(status=status, headers=headers))
    with pytest.raises(RetryableError) as caught:
        await app.token("owner/name")
    assert caught.value.retry_after_s == (None if wait_s is None else pytest.approx(wait_s, abs=1))


async def test_a_refusal_for_good_says_what_the_app_needs(app: GithubApp, github_api: GithubApi) -> None:
    github_api.answers.append(web.Response(status=403))
    with pytest.raises(PermanentError, match="read-only permission"):
        await app.token("owner/name")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-10:00"])
async def test_a_token_with_an_end_that_cannot_be_meant_is_no_token(
    app: GithubApp, github_api: GithubApi, moment: str
) -> None:
    for text in ('{"id": 7}', f'{{"token": "t", "expires_at": "{moment}"}}'):
        github_api.answers.append(web.Response(text=text))
    with pytest.raises(RetryableError, match="unexpected response"):
        await app.token("owner/name")


async def test_a_token_whose_end_has_no_time_zone_is_good_until_then_in_utc(
    app: GithubApp, github_api: GithubApi
) -> None:
    for text in ('{"id": 7}', '{"token": "t", "expires_at": "2990-01-01T00:00:00"}'):
        github_api.answers.append(web.Response(text=text))
    assert [await app.token("owner/name"), await app.token("owner/name")] == ["t", "t"]


@pytest.mark.parametrize("text", ["not json", "[]", "{}", '{"id": "../../x"}', '{"id": null}', "1" * 2_000_000])
async def test_an_answer_that_is_not_githubs_is_tried_again(app: GithubApp, github_api: GithubApi, text: str) -> None:
    github_api.answers.append(web.Response(text=text))
    with pytest.raises(RetryableError, match="unexpected response"):
        await app.token("owner/name")


async def test_an_api_that_is_away_is_tried_again(github_api: GithubApi) -> None:
    with pytest.raises(RetryableError, match="cannot reach"):
        await GithubApp(APP_ID, github_api.key_file, "http://127.0.0.1:9").token("owner/name")


def test_a_key_file_that_holds_none_is_named(tmp_path: Path, github_api: GithubApi) -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for number, content in enumerate((b"", b"-----BEGIN RSA PRIVATE KEY-----\nx", curve)):
        (tmp_path / f"{number}.pem").write_bytes(content)
        with pytest.raises(ConfigError, match=f"{number}.pem"):
            GithubApp(APP_ID, tmp_path / f"{number}.pem")
    with pytest.raises(ConfigError, match=r"missing\.pem"):
        GithubApp(APP_ID, tmp_path / "missing.pem")


async def test_a_private_repository_is_synced_with_the_apps_token(
    app: GithubApp, github_api: GithubApi, git_server: GitServer, tmp_path: Path
) -> None:
    git_server.create("owner/name", {"a": "secret text"})
    source = RepositorySource(
        RepositorySettings(git_server.remote("owner/name")), tmp_path / "git", AppLogins(app, "owner/name")
    )
    git_server.require_token("owner/name", await app.token("owner/name"))
    index = SyncedCollection()
    await index.sync(source)
    assert index.contents == {"a": b"secret text"}
    assert len(github_api.granted) == 1


async def test_a_revoked_token_is_replaced_once(
    app: GithubApp, github_api: GithubApi, git_server: GitServer, tmp_path: Path
) -> None:
    git_server.create("owner/name", {"a": "a"})
    source = RepositorySource(
        RepositorySettings(git_server.remote("owner/name")), tmp_path / "git", AppLogins(app, "owner/name")
    )
    await app.token("owner/name")
    git_server.require_token("owner/name", github_api.granted[0][:-1] + "1")
    index = SyncedCollection()
    await index.sync(source)
    assert index.contents == {"a": b"a"}
    git_server.require_token("owner/name", "never")
    with pytest.raises(PermanentError, match="refused the credentials"):
        await index.sync(source)
    assert len(github_api.granted) == 3


def test_a_token_never_travels_in_the_clear(app: GithubApp, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use https"):
        RepositorySource(
            RepositorySettings(Remote("http://git.example.org/owner/name.git", "owner/name")),
            tmp_path / "git",
            AppLogins(app, "owner/name"),
        )


def test_the_clock_is_the_real_one_by_default(github_api: GithubApi) -> None:
    signed = GithubApp(APP_ID, github_api.key_file)._now()
    assert abs(signed - datetime.now(UTC)) < timedelta(minutes=1)
