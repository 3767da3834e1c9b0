"""The few endpoints of GitHub's API that an App needs, on a loopback port; it verifies signatures for real."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.serving import serve

APP_ID = "12345"


@dataclass
class GithubApi:
    """Grants tokens `ghs_<app>_<number>`, of no usual length."""

    key_file: Path
    public_key: Any
    url: str = ""
    installed: dict[str, int] = field(default_factory=dict)
    """Installation ids by `owner/name`."""
    granted: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the requests for tokens."""
    requests: list[str] = field(default_factory=list)
    answers: list[web.Response] = field(default_factory=list)
    """What the next requests get instead, one each."""
    token_life: timedelta = timedelta(hours=1)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.path}")
        if self.answers:
            return self.answers.pop(0)
        if not self._is_signed(request.headers.get("Authorization", "")):
            return web.json_response({"message": "A JSON web token could not be decoded"}, status=401)
        parts = request.path.strip("/").split("/")
        if request.method == "GET" and parts[0] == "repos" and parts[3:] == ["installation"]:
            number = self.installed.get(f"{parts[1]}/{parts[2]}")
            return (
                web.json_response({"id": number}) if number else web.json_response({"message": "Not Found"}, status=404)
            )
        if request.method == "POST" and parts[:2] == ["app", "installations"] and parts[3:] == ["access_tokens"]:
            self.asked.append(await request.json())
            self.granted.append(f"ghs_{APP_ID}_{'x' * 600}{len(self.granted)}")
            expires = (self.now + self.token_life).strftime("%Y-%m-%dT%H:%M:%SZ")
            return web.json_response({"token": self.granted[-1], "expires_at": expires}, status=201)
        return web.Response(status=404)

    def _is_signed(self, header: str) -> bool:
        try:
            token = header.removeprefix("Bearer ")
            options: Any = {"require": ["exp", "iat", "iss"], "verify_exp": False, "verify_iat": False}
            claims = jwt.decode(token, self.public_key, algorithms=["RS256"], options=options)
        except jwt.InvalidTokenError:
            return False
        issued, expires = (datetime.fromtimestamp(claims[name], UTC) for name in ("iat", "exp"))
        short = expires - self.now <= timedelta(minutes=10)
        return claims["iss"] == APP_ID and issued <= self.now < expires and short


@pytest.fixture
def github_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GithubApi]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    folder = tmp_path_factory.mktemp("github_api")
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    (folder / "app.pem").write_bytes(pem)
    api = GithubApi(folder / "app.pem", key.public_key())
    with serve(api.answer) as api.url:
        yield api
