"""A Chroma server with sparse indexes, as Chroma Cloud is one: a proxy before the real single-node server.

It takes a schema's sparse index and sparse vectors off what it passes on, remembers both, and answers with the schema. What
is remembered is what an index on the server would hold: it changes with every add, update and delete, and with nothing else.
"""

import json
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from syncd.chroma.server import free_port


class SparseServer:
    """`vectors`: collection id → row id → key → (indices, values); `schemas`: collection id → the schema it was made with."""

    def __init__(self, behind):
        self.behind = f"http://{behind.host}:{behind.port}"
        self.host, self.port = "127.0.0.1", free_port()
        self.vectors, self.schemas = {}, {}

    async def answer(self, request):
        body = json.loads(await request.read() or b"null")
        tail = request.path.split("/collections")[1:] and request.path.split("/collections", 1)[1].strip("/").split("/")
        schema = self._without_sparse(body) if request.method == "POST" and tail == [""] else None
        taken = self._taken(body) if tail and tail[-1] in ("add", "update", "upsert") else {}
        url = self.behind + request.path_qs
        async with self._session.request(request.method, url, json=body) as passed:
            content, status = await passed.read(), passed.status
        if status < 300 and tail:
            content = self._remember(request.method, tail, body, schema, taken, content)
        return web.Response(body=content, status=status, content_type="application/json")

    def _without_sparse(self, body):
        """Take the sparse keys off a schema about to be passed on, and return it as it was."""
        schema = body.get("schema")
        if schema is None:
            return None
        kept = {key: value for key, value in schema["keys"].items() if "sparse_vector" not in value}
        body["schema"] = {**schema, "keys": kept}
        return schema

    def _taken(self, body):
        taken = {}
        for row_id, metadata in zip(body["ids"], body["metadatas"], strict=True):
            for key in [
                k for k, v in (metadata or {}).items() if isinstance(v, dict) and v.get("#type") == "sparse_vector"
            ]:
                value = metadata.pop(key)
                taken.setdefault(row_id, {})[key] = (value["indices"], value["values"])
        body["metadatas"] = [metadata or None for metadata in body["metadatas"]]
        return taken

    def _remember(self, method, tail, body, schema, taken, content):
        if taken:
            rows = self.vectors.setdefault(tail[0], {})
            for row_id, values in taken.items():
                rows.setdefault(row_id, {}).update(values)
        if tail[-1] == "delete":
            for row_id in body["ids"]:
                self.vectors.get(tail[0], {}).pop(row_id, None)
        if tail == [""] or (len(tail) == 1 and method == "GET"):
            answer = json.loads(content)
            kept = self.schemas.setdefault(answer["id"], schema or answer["schema"])
            answer["schema"] = kept
            content = json.dumps(answer).encode()
        return content

    @asynccontextmanager
    async def running(self):
        application = web.Application(client_max_size=1 << 28)
        application.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, self.host, self.port).start()
        async with aiohttp.ClientSession() as self._session:
            try:
                yield self
            finally:
                await runner.cleanup()
