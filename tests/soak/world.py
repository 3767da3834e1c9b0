"""Everything a story needs: the servers that its daemon depends on, lines to them, six sources, the daemon."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import chromadb
from aiohttp import web

from tests import gcs_server, pubsub_server
from tests.app.test_queues import refusal
from tests.aws_servers import Aws, served
from tests.azure_queues import AzureQueues
from tests.azure_server import ACCOUNT, Azure
from tests.azure_signatures import failure
from tests.conftest import ChromaAddress, chroma_running
from tests.daemon import Daemon
from tests.gcs_server import Gcs, gcs_running
from tests.git_server import GitServer
from tests.pubsub_server import PubSub
from tests.soak.buckets import ENVIRONMENT, AzureContainer, GcsBucket, S3Bucket
from tests.soak.lines import DIMENSIONS, PASSING, Line, embed
from tests.soak.places import Folder, Kept, Repository, Site
from tests.soak.story import Story
from tests.sources.s3.buckets import place

MODEL = "soak/model"
REFUSING = (*PASSING, "403")


@dataclass
class Servers:
    """What stories may share."""

    chroma: ChromaAddress
    aws: Aws
    gcs: Gcs


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Run the servers."""
    with (
        chroma_running(folder) as chroma,
        contextmanager(served)("ministack", folder) as aws,
        gcs_running(folder) as gcs,
    ):
        yield Servers(chroma, aws, gcs)


@asynccontextmanager
async def story(seed: int, folder: Path, shared: Servers, program: str = "tests.soak.hurried") -> AsyncIterator[Story]:
    """Yield a story whose daemon runs and has its sources; everything that is not the caller's is gone at the end."""
    rng, name = random.Random(seed), f"soak{seed}-{folder.name[-6:].lower()}".replace("_", "x")
    async with AsyncExitStack() as stack:
        git = GitServer(folder / "git")
        git.folder.mkdir(parents=True)
        git.held.set()
        (folder / "files").mkdir()
        site, repository = Site(name), Repository(name, server=git)
        s3 = S3Bucket(name, place=await stack.enter_async_context(place(shared.aws, events=True)))
        gcs = GcsBucket(name, server=shared.gcs, pubsub=PubSub(shared.gcs), key_file=folder / "gcs.json")
        azure = AzureContainer(name, server=Azure(containers={name: {}}), queues=AzureQueues(queues={name: []}))
        lines = [*service_lines(shared, git, site), *bucket_lines(shared, gcs, azure)]
        urls = {line.name: stack.enter_context(line.open()).url for line in lines}
        git.url, site.url = urls["git"], urls["web"]
        git.create(repository.name, {"docs/a0.md": "# The first\n"})
        await open_buckets(urls, s3, gcs, azure)
        places: list[Kept] = [Folder(name, path=folder / "files"), repository, site, s3, gcs, azure]
        for each in places:
            await each.change(rng)
        base = configuration(urls)
        daemon = Daemon(folder / "daemon", base + "".join(each.table() for each in places), (program,), ENVIRONMENT)
        client = chromadb.HttpClient(host=shared.chroma.host, port=shared.chroma.port)
        try:
            await asyncio.to_thread(daemon.start)
            yield Story(name, rng, daemon, places, lines, client, base)
        finally:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.kill()


def service_lines(shared: Servers, git: GitServer, site: Site) -> list[Line]:
    return [
        Line("chroma", f"http://{shared.chroma.host}:{shared.chroma.port}"),
        Line("git", git.answer, REFUSING, refusal=lambda _: web.Response(status=403)),
        Line("web", site.answer),
        Line("model", embed),
    ]


def bucket_lines(shared: Servers, gcs: GcsBucket, azure: AzureContainer) -> list[Line]:
    assert gcs.pubsub is not None
    assert azure.server is not None
    assert azure.queues is not None
    return [
        Line("s3", shared.aws.url, REFUSING, refusal=lambda _: refusal(is_queue=False)),
        Line("sqs", shared.aws.url, REFUSING, refusal=lambda _: refusal(is_queue=True)),
        Line("gcs", shared.gcs.handle, REFUSING, refusal=lambda _: gcs_server.refusal(403, "forbidden", "No access.")),
        Line(
            "pubsub",
            gcs.pubsub.handle,
            REFUSING,
            refusal=lambda _: pubsub_server.refusal(403, "PERMISSION_DENIED", "No access."),
        ),
        Line("azure", azure.server.handle, REFUSING, refusal=lambda _: failure(403, "AuthorizationFailure")),
        Line("azure_queue", azure.queues.handle, REFUSING, refusal=lambda _: failure(403, "AuthorizationFailure")),
    ]


async def open_buckets(urls: Mapping[str, str], s3: S3Bucket, gcs: GcsBucket, azure: AzureContainer) -> None:
    """Make the buckets that are not there, and say at which lines they and their queues are read."""
    assert s3.place is not None
    assert gcs.server is not None
    assert gcs.pubsub is not None
    s3.store_url, s3.queue_url = urls["s3"], urls["sqs"] + "/" + s3.place.queue_url.split("/", 3)[3]
    await gcs.server.make_bucket(gcs.story)
    gcs.key_file.write_text(gcs.server.key_file())
    gcs.pubsub.url, gcs.store_url = urls["pubsub"], urls["gcs"]
    gcs.queue_url = gcs.pubsub.subscribe(gcs.story)
    azure.store_url, azure.queue_url = f"{urls['azure']}/{ACCOUNT}", f"{urls['azure_queue']}/{ACCOUNT}/{azure.story}"


def configuration(urls: Mapping[str, str]) -> str:
    chroma_port, site = urls["chroma"].rpartition(":")[2], urls["web"].removeprefix("http://")
    return f"""
[api]
port = 0
[chroma]
mode = "server"
host = "127.0.0.1"
port = {chroma_port}
[embedding]
default_model = "{MODEL}"
queries = "none"
[[embedding.servers]]
url = "{urls["model"]}/v1"
model = "{MODEL}"
[[models]]
name = "{MODEL}"
pooling = "mean"
dimensions = {DIMENSIONS}
max_tokens = 512
[documents]
parsers = 1
ocr = false
[github]
base_url = "{urls["git"]}"
[web]
rate_per_s = 0
allow_private_addresses = ["{site}"]
[s3]
visibility_s = 2
[gcs]
visibility_s = 2
[azure_blob]
visibility_s = 2
[sync]
delete_guard_minimum = 100000
"""
