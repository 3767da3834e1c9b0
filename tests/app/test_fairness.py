"""A source that hangs keeps the real program from none of its other work."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from tests.app.test_daemon import configuration, request, until, upload
from tests.app.test_queues import Gate, bucket_on, source_of
from tests.app.test_sources import documents, prepared, put
from tests.aws_servers import KEY, Aws
from tests.daemon import Daemon
from tests.serving import serve

EVENTS = 150
"""More than are in hand, or checked, or read, at once."""


@dataclass
class Hanging(Gate):
    """Lists a bucket, and answers no request for an object of it."""

    bucket: str = ""
    hung: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.bucket and request.path.startswith(f"/{self.bucket}/docs/"):
            self.hung.append(request.method)
            await asyncio.Event().wait()
        return await super().answer(request)


@pytest.fixture
def hanging(ministack: Aws) -> Iterator[Hanging]:
    gate = Hanging(ministack.url)
    with serve(gate.answer) as gate.url:
        yield gate


def test_a_bucket_that_hangs_holds_up_neither_the_events_of_others_nor_uploads(
    ministack, hanging, minilm_folder, tmp_path, fresh_name
):
    sick, healthy = f"{fresh_name}-sick", f"{fresh_name}-healthy"
    queue_path = "/" + asyncio.run(prepared(ministack, sick)).split("/", 3)[3]
    asyncio.run(bucket_on(ministack, healthy, ministack.url + queue_path))
    asyncio.run(put(ministack, sick, **{f"page-{number}": f"# Page {number}\n" for number in range(EVENTS)}))
    hanging.bucket = sick
    config = configuration(minilm_folder, f'[s3]\nallowed_endpoints = ["{hanging.url}"]\n')
    daemon = Daemon(tmp_path, config).start()
    try:
        first = source_of(daemon, hanging, sick, KEY.access_key_id, queue_path)
        source_of(daemon, hanging, healthy, KEY.access_key_id, queue_path)
        backfill(daemon, first, sick)
        until(lambda: {"HEAD", "GET"} <= set(hanging.hung))
        asyncio.run(put(ministack, healthy, theirs="# Theirs\n\nOf the healthy one.\n"))
        until(lambda: "docs/theirs.md" in documents(daemon))
        assert upload(daemon, "uploads", "# Walruses\n\nThey whistle underwater.\n") == 0
    finally:
        daemon.kill()  # it would wait for what hangs, as long as a stop may take


def backfill(daemon: Daemon, source: str, collection: str) -> None:
    body = {"target_collection_name": collection, "backfill": True}
    request(daemon, "POST", f"/api/v1/sources/{source}/invocations", body)
