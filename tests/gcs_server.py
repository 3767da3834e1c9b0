"""Google Cloud Storage over HTTP: gcp-storage-emulator holds buckets and objects, and a gate before it adds what it lacks.

The gate wants access tokens, which it grants for a JWT that a known service account signed; lists by page; sends bytes on condition of a
generation; decompresses what is stored gzipped, unless the request accepts gzip.
"""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from yarl import URL

from tests.aws_servers import free_port, wait_until_it_answers
from tests.serving import serve

ACCOUNT = "syncd@project.iam.gserviceaccount.com"
STORAGE_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
SCOPES = {STORAGE_SCOPE, "https://www.googleapis.com/auth/pubsub"}
EMPTY_PARTS = (
    "multipart/related; boundary=x",
    b"--x\r\nContent-Type: application/json\r\n\r\n{}\r\n--x\r\nContent-Type: text/plain\r\n\r\n\r\n--x--\r\n",
)
"""What uploads nothing."""
HOP_HEADERS = frozenset({"transfer-encoding", "connection", "content-length", "server", "date"})


@cache
def account_key() -> tuple[rsa.RSAPublicKey, str]:
    """Return the service account's key: what verifies, and what signs."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.public_key(), pem.decode()


@dataclass
class Gcs:
    """One running server."""

    upstream: str
    url: str = ""
    page_size: int = 1000
    holds_back: int = 0
    """So many empty pages, each with a token, come before the first one that is not."""
    tokens: dict[str, str] = field(default_factory=dict)
    """Access tokens, and what each is good for."""
    granted: int = 0
    public: set[str] = field(default_factory=set)
    """Buckets that anybody may read."""

    def key_file(self, **changed: str) -> str:
        """Return the text of a service account's key file."""
        key = {
            "type": "service_account",
            "client_email": ACCOUNT,
            "private_key": account_key()[1],
            "private_key_id": "1",
        }
        return json.dumps({**key, "token_uri": f"{self.url}/token", **changed})

    # --- what a bucket's owner does

    async def make_bucket(self, name: str) -> None:
        await self._ask("POST", "/storage/v1/b", data=json.dumps({"name": name}).encode(), kind="application/json")

    async def put(self, bucket: str, key: str, body: bytes, content_type: str = "text/plain", coding: str = "") -> None:
        place = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(key, safe='')}"
        if not body:
            # The emulator cannot take an empty body by itself.
            place = place.replace("=media", "=multipart")
            content_type, body = EMPTY_PARTS
        await self._ask("POST", place, data=body, kind=content_type)
        if coding:
            said = json.dumps({"contentEncoding": coding}).encode()
            await self._ask(
                "PATCH", f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}", data=said, kind="application/json"
            )

    async def delete(self, bucket: str, key: str) -> None:
        await self._ask("DELETE", f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}")

    async def contents(self, bucket: str, prefix: str) -> dict[str, bytes]:
        listed = json.loads(await self._ask("GET", f"/storage/v1/b/{bucket}/o?prefix={quote(prefix, safe='')}"))
        places = {item["name"]: f"/storage/v1/b/{bucket}/o/{quote(item['name'], safe='')}" for item in listed["items"]}
        return {key: await self._ask("GET", f"{place}?alt=media") for key, place in places.items()}

    async def _ask(self, method: str, path: str, data: bytes | None = None, kind: str = "text/plain") -> bytes:
        url = URL(self.upstream + path, encoded=True)
        async with (
            aiohttp.ClientSession(headers={"Content-Type": kind}) as session,
            session.request(method, url, data=data) as answer,
        ):
            assert answer.status in (200, 204), (method, path, answer.status)
            return await answer.read()

    # --- what is asked of it

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            return self._grant(await request.post())
        bucket = request.path.split("/")[4]
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if bucket not in self.public and self.tokens.get(bearer) != STORAGE_SCOPE:
            return refusal(
                401, "authError", "Invalid Credentials" if bearer else "Anonymous caller does not have access"
            )
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            if request.path.endswith("/o"):
                return await self._list(session, request)
            return await self._send(session, request)

    def _grant(self, form: Any) -> web.Response:
        try:
            claims = jwt.decode(form["assertion"], account_key()[0], algorithms=["RS256"], audience=f"{self.url}/token")
        except jwt.PyJWTError:
            return web.json_response({"error": "invalid_grant"}, status=400)
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        assert claims["iss"] == ACCOUNT
        assert claims["scope"] in SCOPES
        assert 0 < claims["exp"] - claims["iat"] <= 3600
        self.granted += 1
        token = f"ya29.token-{self.granted}"
        self.tokens[token] = claims["scope"]
        return web.json_response({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})

    async def _list(self, session: aiohttp.ClientSession, request: web.Request) -> web.Response:
        prefix = quote(request.query.get("prefix", ""), safe="")
        url = URL(f"{self.upstream}{request.path}?prefix={prefix}", encoded=True)
        async with session.get(url) as answer:
            if answer.status == 404:
                return refusal(404, "notFound", "The specified bucket does not exist.")
            items = (await answer.json())["items"]
        held, _, after = request.query.get("pageToken", f"{self.holds_back}|").partition("|")
        if int(held) > 0:
            return web.json_response({"kind": "storage#objects", "nextPageToken": f"{int(held) - 1}|{after}"})
        items = sorted((item for item in items if item["name"].encode() > after.encode()), key=by_name)
        size = min(self.page_size, int(request.query["maxResults"]))
        page: dict[str, Any] = {"kind": "storage#objects"}
        if items:
            page["items"] = [{name: said for name, said in item.items() if name != "id"} for item in items[:size]]
        if items[size:]:
            page["nextPageToken"] = f"0|{items[size - 1]['name']}"
        return web.json_response(page)

    async def _send(self, session: aiohttp.ClientSession, request: web.Request) -> web.StreamResponse:
        place = self.upstream + request.raw_path.partition("?")[0]
        async with session.get(URL(place, encoded=True)) as answer:
            if answer.status == 404:
                return refusal(404, "notFound", "No such object")
            facts = await answer.json()
        if request.query["ifGenerationMatch"] != facts["generation"]:
            return refusal(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
        asked = {"Range": request.headers["Range"]} if "Range" in request.headers else {}
        async with session.get(URL(f"{place}?alt=media", encoded=True), headers=asked) as answer:
            body = await answer.read()
            headers = {n: v for n, v in answer.headers.items() if n.lower() not in HOP_HEADERS}
        headers["x-goog-generation"] = facts["generation"]
        if coding := facts.get("contentEncoding"):
            if "gzip" in request.headers.get("Accept-Encoding", ""):
                headers["Content-Encoding"] = coding
            else:
                body = gzip.decompress(body)
        return web.Response(status=answer.status, body=body, headers=headers)


def by_name(item: dict[str, Any]) -> bytes:
    return item["name"].encode()


def refusal(status: int, reason: str, message: str) -> web.Response:
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return web.json_response({"error": error}, status=status)


@contextmanager
def gcs_running(folder: Any) -> Iterator[Gcs]:
    port = str(free_port())
    command = [
        sys.executable,
        "-m",
        "gcp_storage_emulator",
        "start",
        "--host=127.0.0.1",
        f"--port={port}",
        "--in-memory",
    ]
    with open(folder / "gcs.log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env={**os.environ})
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/", process)
        running = Gcs(f"http://127.0.0.1:{port}")
        with serve(running.handle) as running.url:
            yield running
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcs]:
    with gcs_running(tmp_path_factory.mktemp("gcs")) as running:
        yield running
