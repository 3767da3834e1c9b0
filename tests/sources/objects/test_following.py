"""What happens in a bucket of Google's or a container of Azure's is indexed as soon as an event tells of it."""

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from syncd.errors import MisconfiguredError, NotFoundError
from syncd.model import ConfirmDeletes, Origin, Target
from syncd.sources.objects.event_queue import PollerSettings
from syncd.sources.objects.queues import Queues
from tests.azure_queues import encoded, grid_event
from tests.azure_signatures import account_sas
from tests.sources.objects.clouds import Cloud, fresh_cloud
from tests.sources.objects.following import QUICK, Told, cloud_daemon, polling
from tests.sources.s3.syncing import DB


@pytest.fixture
def told(cloud: Cloud, request: pytest.FixtureRequest, tmp_path: Path) -> Told:
    is_gcs = cloud.server is request.getfixturevalue("gcs_server")
    made = Told(cloud, request.getfixturevalue("pubsub_server" if is_gcs else "azure_queues"), tmp_path)
    made.make_queue()
    return made


async def until(come: Callable[[], bool]) -> None:
    """Poll what another thread's server decides."""
    with anyio.fail_after(120):
        while not come():  # noqa: ASYNC110 - it is a number, not an event
            await anyio.sleep(0.02)


async def test_what_happens_in_the_bucket_happens_in_the_index(told: Told):
    async with cloud_daemon(told) as daemon:
        await daemon.declare(told, path_prefix="in/", exclude_globs=("*.tmp",))
        await daemon.declare(told, "other", collection="other", path_prefix="out/")
        async with daemon.serving(), polling(daemon, told):
            await told.put("in/a b+ü%20.txt", "odd")
            await told.put("in/twice.txt", "one")
            await told.put("in/twice.txt", "two")
            await told.put("in/gone.txt", "gone")
            await told.delete("in/gone.txt")
            await told.put("in/x.tmp", "left out")
            await told.put("out/b.txt", "of the other")
            await daemon.until_quiet(told)
            assert await daemon.texts() == {"in/a b+ü%20.txt": b"odd", "in/twice.txt": b"two"}
            assert await daemon.texts("other") == {"out/b.txt": b"of the other"}
            # Told late and in the wrong order: what is there counts, not what an event says.
            await told.delete("in/twice.txt")
            await told.put("in/twice.txt", "three")
            told.send("in/twice.txt", removed=True)
            told.send("in/never.txt")
            await daemon.until_quiet(told)
            assert (await daemon.texts())["in/twice.txt"] == b"three"


async def test_a_source_that_is_to_keep_another_collection_leaves_the_one_before(told: Told):
    await told.cloud.put_all(*(f"{number}.txt" for number in range(25)))
    async with cloud_daemon(told) as daemon, daemon.serving():
        record = await daemon.store.sources.get(await daemon.declare(told))
        assert record is not None
        await daemon.invocations.create(record.id, Target(DB, "docs"), Origin.SCHEDULE)
        daemon.syncer.wake()
        await daemon.until_quiet(told)
        assert len(await daemon.texts()) == 25
        moved = told.settings(collection="other")
        await daemon.store.sources.replace(record, DB, moved, record.embedding, record.chunking)
        daemon.syncer.wake()
        await daemon.until_quiet(told)
        assert len(await daemon.texts("other")) == 25
        # So many deletes are held, even though nothing is lost.
        (held,) = await daemon.store.progress.held_in(Target(DB, "docs"))
        await daemon.invocations.create(record.id, Target(DB, "docs"), Origin.API, ConfirmDeletes(held))
        daemon.syncer.wake()
        await daemon.until_quiet(told)
        assert (len(await daemon.texts()), len(await daemon.texts("other"))) == (0, 25)


async def test_a_message_is_kept_hidden_until_its_work_is_settled(told: Told):
    async with cloud_daemon(told) as daemon:
        await daemon.declare(told)
        await told.put("a.txt", "alpha")
        async with polling(daemon, told, visibility_s=1) as poller:
            before = told.hidden
            await until(lambda: told.hidden >= before + 6)
            assert (told.waiting, poller.stats.received, poller.stats.deleted) == (1, 1, 0)
            async with daemon.serving():
                await daemon.until_quiet(told)
        assert await daemon.texts() == {"a.txt": b"alpha"}


async def test_what_was_in_flight_is_there_at_once_for_the_next_daemon(told: Told):
    async with cloud_daemon(told) as daemon:
        await daemon.declare(told)
        await told.put("a.txt", "alpha")
        async with polling(daemon, told) as poller:
            await until(lambda: poller.stats.received == 1)
        async with polling(daemon, told) as poller, daemon.serving():
            await daemon.until_quiet(told)
            assert poller.stats.received == 1


async def test_poison_is_told_and_deleted_at_last_and_nobody_waits_for_it(told: Told):
    async with cloud_daemon(told) as daemon:
        await daemon.declare(told)
        told.send_nonsense()
        async with daemon.serving(), polling(daemon, told, max_receives=3):
            await told.put("a.txt", "alpha")
            await daemon.until_quiet(told)
        (letter,) = await daemon.dead_letters.list()
        assert (letter.queue_url, letter.receives) == (told.queue_url, 3)
        assert "Cloud Storage" in letter.reason or "Event Grid" in letter.reason
        assert await daemon.texts() == {"a.txt": b"alpha"}


async def test_a_subscription_with_a_dead_letter_topic_puts_poison_aside_by_itself(
    gcs_server, pubsub_server, tmp_path: Path
):
    async with fresh_cloud(gcs_server) as cloud:
        told = Told(cloud, pubsub_server, tmp_path)
        told.make_queue(most_deliveries=5)
        async with cloud_daemon(told) as daemon:
            await daemon.declare(told)
            told.send_nonsense()
            async with polling(daemon, told, max_receives=2):
                await until(lambda: not told.waiting)
            assert len(pubsub_server.subscriptions[cloud.name].dead) == 1
            assert [letter.receives for letter in await daemon.dead_letters.list()] == [5]


async def test_a_bucket_that_no_source_names_is_never_read(told: Told):
    async with cloud_daemon(told) as daemon:
        await daemon.declare(told)
        async with daemon.serving(), polling(daemon, told) as poller:
            told.send("secret.txt", bucket="somebody-elses")
            await daemon.until_quiet(told)
            assert poller.stats.ignored == 1
        assert daemon.collections == set()


async def test_a_key_that_is_refused_is_named_and_the_next_sources_is_used(told: Told):
    async with cloud_daemon(told) as daemon:
        wrong = (
            "d3Jvbmc=" if told.is_azure else told.cloud.server.key_file(token_uri=f"{told.cloud.server.url}/token?x")
        )
        sick = await daemon.declare(told, "sick", collection="sick", credential_file=told.key_file(wrong))
        lost = await daemon.declare(told, "lost", collection="lost", credential_file="/nowhere/key")
        await daemon.declare(told, "healthy", collection="healthy")
        queues = Queues("queues", daemon.factory.followed, PollerSettings(**QUICK))
        async with daemon.serving(), anyio.create_task_group() as group:
            await group.start(queues.run)
            await told.put("a.txt", "alpha")
            with anyio.fail_after(120):
                while await daemon.texts("healthy") != {"a.txt": b"alpha"}:  # noqa: ASYNC110 - it is in a store
                    await anyio.sleep(0.02)
            assert set(queues.problems()) == {sick, lost}
            assert all("its key cannot read its queue" in said for said in queues.problems().values())
            group.cancel_scope.cancel()


async def test_a_queue_that_is_not_there_says_what_to_do(told: Told):
    async with cloud_daemon(told) as daemon:
        await daemon.declare(told)
        (told.service.queues if told.is_azure else told.service.subscriptions).pop(told.cloud.name)
        (reader,) = (await daemon.factory.followed.readers())[told.queue_url]
        with pytest.raises(NotFoundError, match=r"create the (queue|subscription)"):
            await reader.queue.receive(1, PollerSettings(**QUICK))


async def test_a_token_of_the_account_reads_its_queues_and_one_for_blobs_alone_says_what_it_lacks(
    azure_server, azure_queues, tmp_path: Path
):
    async with fresh_cloud(azure_server) as cloud:
        told = Told(cloud, azure_queues, tmp_path)
        told.make_queue()
        async with cloud_daemon(told) as daemon:
            await daemon.declare(told, credential_file=told.key_file(account_sas("bq", "rlup")))
            async with daemon.serving(), polling(daemon, told, visibility_s=1):
                await told.put("a.txt", "alpha")
                await daemon.until_quiet(told)
            assert await daemon.texts() == {"a.txt": b"alpha"}
            (tmp_path / "wrong.key").write_text(account_sas("b", "rlup"))
            (reader,) = (await daemon.factory.followed.readers())[told.queue_url]
            with pytest.raises(MisconfiguredError, match=r"AuthorizationServiceMismatch.*ss=bq, sp=rlup"):
                await reader.queue.receive(1, PollerSettings(**QUICK))


async def test_of_a_renamed_directory_everything_is_listed(azure_server, azure_queues, tmp_path: Path):
    async with fresh_cloud(azure_server) as cloud:
        told = Told(cloud, azure_queues, tmp_path)
        told.make_queue()
        async with cloud_daemon(told) as daemon:
            await daemon.declare(told)
            async with daemon.serving(), polling(daemon, told):
                await told.put("old/a.txt", "alpha")
                await daemon.until_quiet(told)
                await cloud.put("new/a.txt", "alpha")
                await cloud.delete("old/a.txt")
                azure_queues.put(cloud.name, encoded(grid_event(cloud.name, "new", "DirectoryRenamed")))
                await daemon.until_quiet(told)
            assert await daemon.texts() == {"new/a.txt": b"alpha"}


async def test_a_message_whose_receipt_is_somebody_elses_is_told_and_no_error(
    azure_server, azure_queues, tmp_path: Path
):
    async with fresh_cloud(azure_server) as cloud:
        told = Told(cloud, azure_queues, tmp_path)
        told.make_queue()
        async with cloud_daemon(told) as daemon:
            await daemon.declare(told)
            told.send("a.txt")
            (reader,) = (await daemon.factory.followed.readers())[told.queue_url]
            (message,) = await reader.queue.receive(1, PollerSettings(**QUICK))
            first = message.receipt
            assert await reader.queue.hide([message], 30) == []
            assert message.receipt != first
            message.receipt = first
            assert "delivered to somebody else" in (await reader.queue.delete([message]))[0]
            assert told.waiting == 1
