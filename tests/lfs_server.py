"""A Git LFS server before the git server of `git_server.py`, speaking the documented protocol (docs/api/batch.md, basic-transfers.md).

def test_something(lfs_server):
    lfs_server.create("owner/name", {"a.csv": lfs_server.keep(b"1,2")})
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest
from aiohttp import web

from tests.git_server import GitServer, Request
from tests.serving import serve

LFS_JSON = "application/vnd.git-lfs+json"


@dataclass
class LfsServer(GitServer):
    """Objects by their digest. `change` may change what a batch request is answered with, `stored` what is sent for an object."""

    objects: dict[str, bytes] = field(default_factory=dict)
    sent: dict[str, bytes] = field(default_factory=dict)
    """What is sent in place of an object, by its digest."""
    change: Callable[[dict[str, Any]], None] = lambda _action: None
    storage: str = ""
    """Where downloads are: another server of the same objects; '': here."""
    redirected: str = ""
    """Where downloads are redirected to."""
    batches: list[Request] = field(default_factory=list)
    downloads: list[Request] = field(default_factory=list)

    def keep(self, data: bytes) -> bytes:
        """Store an object and return its pointer."""
        oid = sha256(data).hexdigest()
        self.objects[oid] = data
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(data)}\n".encode()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        seen = Request(request.method, request.path_qs, dict(request.headers))
        if request.path.endswith(".git/info/lfs/objects/batch"):
            self.batches.append(seen)
            return await self._batch(request)
        if request.path.startswith("/objects/"):
            self.downloads.append(seen)
            oid = request.path.rpartition("/")[2]
            if self.redirected and not self.redirected.endswith(request.host):
                return web.Response(status=302, headers={"Location": f"{self.redirected}/objects/{oid}"})
            return web.Response(body=self.sent.get(oid, self.objects[oid]))
        return await super().answer(request)

    async def _batch(self, request: web.Request) -> web.StreamResponse:
        repository = request.path.lstrip("/").partition(".git/info/lfs")[0]
        if refusal := self.refusal(repository, request):
            return refusal
        if request.method != "POST" or request.headers["Accept"] != LFS_JSON or request.content_type != LFS_JSON:
            return web.json_response({"message": "wrong"}, status=422, content_type=LFS_JSON)
        asked = json.loads(await request.read())
        assert asked["operation"] == "download"
        assert asked["transfers"] == ["basic"]
        return web.json_response(
            {"transfer": "basic", "hash_algo": "sha256", "objects": [self._object(one) for one in asked["objects"]]},
            content_type=LFS_JSON,
        )

    def _object(self, asked: dict[str, Any]) -> dict[str, Any]:
        known = self.objects.get(asked["oid"])
        if known is None:
            return {**asked, "error": {"code": 404, "message": "Object does not exist"}}
        action: dict[str, Any] = {
            "href": f"{self.storage or self.url}/objects/{asked['oid']}?signature=a%2Fb",
            "header": {"X-Signed": "for the storage", "Host": "elsewhere"},
            "expires_in": 60,
        }
        self.change(action)
        return {**asked, "authenticated": True, "actions": {"download": action}}


@pytest.fixture
def lfs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LfsServer]:
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    server = LfsServer(tmp_path_factory.mktemp("lfs_server"))
    server.held.set()
    with serve(server.answer) as server.url:
        yield server
