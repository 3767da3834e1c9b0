"""Qdrant's REST API over qdrant-client's embedded engine: no package index has the server itself.

Requests are held to Qdrant's own OpenAPI document, from which the client's models are generated: an unknown field, path or
parameter is an error, as is a write that does not wait to be applied. Statuses and wordings are those of Qdrant 1.19.

python -m tests.qdrant_server PORT FOLDER [API_KEY]
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from syncd.chroma.server import HOST, free_port

VERSION = "1.19.0"
INVALID = set('<>:"/\\|?*\0\x1f')


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def program(port: int, folder: Path, api_key: str | None) -> None:
    from aiohttp import web
    from pydantic import TypeAdapter, ValidationError
    from qdrant_client import AsyncQdrantClient, models

    client = AsyncQdrantClient(path=str(folder))

    def checked(shape: Any, body: Any) -> Any:
        try:
            return TypeAdapter(shape).validate_json(body)
        except ValidationError as error:
            raise Refused(400, f"Format error in JSON body: {error}") from error

    def named(name: str) -> str:
        if not 1 <= len(name) <= 255 or INVALID & set(name):
            raise Refused(422, f"Validation error in path parameters: [{name}: not a collection name]")
        return name

    def parameters(request, *known: str) -> None:
        if unknown := request.query.keys() - known - {"timeout"}:
            raise Refused(400, f"unknown parameters: {unknown}")

    def waits(request) -> None:
        parameters(request, "wait", "ordering")
        if request.query.get("wait") != "true":
            raise Refused(400, "this write does not wait")

    async def there(name: str) -> str:
        if not await client.collection_exists(named(name)):
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        return name

    async def listed(request):
        return await client.get_collections()

    async def exists(request):
        parameters(request)
        aliases = (await client.get_aliases()).aliases
        name = named(request.match_info["name"])
        return {"exists": await client.collection_exists(name) or name in {one.alias_name for one in aliases}}

    async def info(request):
        return await client.get_collection(await there(request.match_info["name"]))

    async def create(request):
        name, made = named(request.match_info["name"]), checked(models.CreateCollection, await request.read())
        if await client.collection_exists(name):
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        return await client.create_collection(name, vectors_config=made.vectors, metadata=made.metadata)

    async def update(request):
        changes = checked(models.UpdateCollection, await request.read())
        return await client.update_collection(await there(request.match_info["name"]), metadata=changes.metadata)

    async def delete(request):
        return await client.delete_collection(named(request.match_info["name"]))

    async def aliases(request):
        return await client.get_aliases()

    async def change_aliases(request):
        changes = checked(models.ChangeAliasesOperation, await request.read()).actions
        for change in changes:
            if isinstance(change, models.CreateAliasOperation):
                named(change.create_alias.alias_name)
                await there(change.create_alias.collection_name)
        return await client.update_collection_aliases(changes)

    async def index(request):
        waits(request)
        made = checked(models.CreateFieldIndex, await request.read())
        name = await there(request.match_info["name"])
        return await client.create_payload_index(name, made.field_name, made.field_schema)

    async def upsert(request):
        waits(request)
        body = checked(models.PointsList, await request.read())
        name = await there(request.match_info["name"])
        return await client.upsert(name, body.points, update_mode=body.update_mode)

    async def remove(request):
        waits(request)
        body = checked(models.PointsSelector, await request.read())
        return await client.delete(await there(request.match_info["name"]), body)

    async def batch(request):
        waits(request)
        operations = checked(models.UpdateOperations, await request.read()).operations
        return await client.batch_update_points(await there(request.match_info["name"]), operations)

    async def scroll(request):
        body = checked(models.ScrollRequest, await request.read())
        points, offset = await client.scroll(
            await there(request.match_info["name"]),
            body.filter,
            limit=body.limit,
            offset=body.offset,
            with_payload=body.with_payload,
            with_vectors=body.with_vector,
        )
        return {"points": [point.model_dump(mode="json") for point in points], "next_page_offset": offset}

    async def count(request):
        body = checked(models.CountRequest, await request.read())
        return await client.count(await there(request.match_info["name"]), body.filter, exact=bool(body.exact))

    async def query(request):
        body = checked(models.QueryRequest, await request.read())
        return await client.query_points(
            await there(request.match_info["name"]),
            body.query,
            query_filter=body.filter,
            limit=body.limit,
            with_payload=body.with_payload,
        )

    def answering(handler: Callable):
        async def answer(request):
            began = time.monotonic()
            try:
                if api_key and request.headers.get("api-key") != api_key:
                    raise Refused(401, "Must provide an API key or an Authorization bearer token")
                result = await handler(request)
            except Refused as error:
                return web.json_response({"status": {"error": str(error)}, "time": 0.0}, status=error.status)
            except ValueError as error:
                return web.json_response({"status": {"error": f"Wrong input: {error}"}, "time": 0.0}, status=400)
            if isinstance(result, list):
                result = [one.model_dump(mode="json") for one in result]
            elif hasattr(result, "model_dump"):
                result = result.model_dump(mode="json")
            return web.json_response({"result": result, "status": "ok", "time": time.monotonic() - began})

        return answer

    async def version(request):
        shown = os.environ.get("QDRANT_VERSION", VERSION)
        return web.json_response({"title": "qdrant - vector search engine", "version": shown})

    place = "/collections/{name}"
    app = web.Application(client_max_size=32 << 20)
    app.router.add_get("/", version)
    for method, path, handler in (
        ("GET", "/collections", listed),
        ("GET", "/aliases", aliases),
        ("POST", "/collections/aliases", change_aliases),
        ("GET", f"{place}/exists", exists),
        ("GET", place, info),
        ("PUT", place, create),
        ("PATCH", place, update),
        ("DELETE", place, delete),
        ("PUT", f"{place}/index", index),
        ("PUT", f"{place}/points", upsert),
        ("POST", f"{place}/points/delete", remove),
        ("POST", f"{place}/points/batch", batch),
        ("POST", f"{place}/points/scroll", scroll),
        ("POST", f"{place}/points/count", count),
        ("POST", f"{place}/points/query", query),
    ):
        app.router.add_route(method, path, answering(handler))
    web.run_app(app, host=HOST, port=port, print=None, access_log=None)


@dataclass
class QdrantAddress:
    """Where a server of Qdrant's API listens; it can be stopped and started again on what it holds."""

    folder: Path
    port: int
    api_key: str = ""
    version: str = VERSION
    process: subprocess.Popen | None = None

    @property
    def host(self) -> str:
        return HOST

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> "QdrantAddress":
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "tests.qdrant_server", str(self.port), str(self.folder / "data")]
        with (self.folder / "output").open("ab") as output:
            environment = {**os.environ, "QDRANT_VERSION": self.version}
            self.process = subprocess.Popen([*command, self.api_key], stdout=output, stderr=output, env=environment)
        for _ in range(1200):
            try:
                with urllib.request.urlopen(self.url, timeout=5):
                    return self
            except (urllib.error.URLError, OSError):
                assert self.process.poll() is None, (self.folder / "output").read_text()
                time.sleep(0.05)
        raise AssertionError((self.folder / "output").read_text())

    def stop(self) -> None:
        """Stop it. Twice is safe."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
            self.process = None


@contextmanager
def qdrant_running(folder: Path, **options):
    """A server that keeps its data in `folder`."""
    server = QdrantAddress(folder, free_port(), **options).start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def qdrant_server(tmp_path_factory):
    """One server for all tests of this process; keep apart by names: see `fresh_name`."""
    with qdrant_running(tmp_path_factory.mktemp("qdrant")) as server:
        yield server


if __name__ == "__main__":
    program(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] or None)
