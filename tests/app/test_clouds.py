"""Buckets of Google and containers of Azure in the real program: declared, and made by the command line."""

import asyncio
import json
from pathlib import Path

from tests.app.test_buckets import is_done, texts
from tests.app.test_daemon import configuration, request, syncd, until
from tests.azure_queues import AzureQueues, encoded, grid_event
from tests.azure_signatures import ACCOUNT, KEY, account_sas
from tests.daemon import MINILM, Daemon
from tests.pubsub_server import notification

DECLARED = """
[[sources]]
name = "manuals"
type = "gcs"
bucket_name = "acme-manuals"
collection = "manuals"
path_prefix = "en/"
endpoint_url = "{gcs}"
credential_file = "{folder}/gcs.json"
queue_url = "{gcs_queue}"
[[sources]]
name = "drawings"
type = "azure_blob"
account_name = "{account}"
container_name = "drawings"
collection = "drawings"
exclude_globs = ["*.tmp"]
endpoint_url = "{azure}"
credential_env = "DRAWINGS_TOKEN"
queue_url = "{azure_queue}"
"""


def counted(daemon: Daemon, *arguments: str) -> dict[str, int]:
    done = syncd(daemon, "sync", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["counts"]


def added(daemon: Daemon, *arguments: str) -> str:
    done = syncd(daemon, "sources", "add", *arguments, "--model", MINILM)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def told(azure_queues: AzureQueues, *keys: str) -> None:
    """Tell of blobs that are not there any more, or new."""
    for key in keys:
        azure_queues.put("syncd-drawings", encoded(grid_event("drawings", key)))


def test_declared_and_added_ones_are_kept_in_step_and_their_keys_are_nowhere_to_be_read(
    gcs_server, azure_server, pubsub_server, azure_queues, minilm_folder, tmp_path: Path
):
    asyncio.run(gcs_server.make_bucket("acme-manuals"))
    azure_server.containers["drawings"] = {}
    for key in ("en/a.md", "en/b.md", "de/a.md"):
        asyncio.run(gcs_server.put("acme-manuals", key, f"Manual {key}.\n".encode()))
        azure_server.put("drawings", key, f"Drawing {key}.\n".encode())
    azure_server.put("drawings", "x.tmp", b"Never.\n")
    key_file, token = tmp_path / "gcs.json", account_sas("bq", "rlup")
    azure_queues.queues["syncd-drawings"] = []
    queues = {"gcs_queue": pubsub_server.subscribe("manuals"), "azure_queue": azure_queues.queue_url("syncd-drawings")}
    key_file.write_text(gcs_server.key_file())
    (tmp_path / "azure.key").write_text(KEY)
    text = DECLARED.format(gcs=gcs_server.url, azure=azure_server.endpoint, folder=tmp_path, account=ACCOUNT, **queues)
    text += f'[gcs]\nallowed_endpoints = ["{gcs_server.url}"]\n'
    folder = tmp_path / "daemon"
    environment = {"DRAWINGS_TOKEN": token}
    daemon = Daemon(folder, configuration(minilm_folder, text), environment=environment).start()
    try:
        until(lambda: is_done(daemon, 2))
        assert len(texts(daemon, "drawings")) == 3
        assert texts(daemon, "manuals") == ["Manual en/a.md.\n", "Manual en/b.md.\n"]
        asyncio.run(gcs_server.put("acme-manuals", "en/a.md", b"Manual, new.\n"))
        asyncio.run(gcs_server.delete("acme-manuals", "en/b.md"))
        del azure_server.containers["drawings"]["de/a.md"]
        pubsub_server.publish("manuals", notification("acme-manuals", "en/b.md", "OBJECT_DELETE"))
        pubsub_server.publish("manuals", notification("acme-manuals", "en/a.md"))
        told(azure_queues, "de/a.md")
        until(lambda: texts(daemon, "manuals") == ["Manual, new.\n"])
        until(lambda: len(texts(daemon, "drawings")) == 2)
        until(lambda: not pubsub_server.subscriptions["manuals"].messages)
        state = request(daemon, "GET", "/api/v1/status")
        assert {queue["queue_url"]: queue["problem"] for queue in state["queues"]} == dict.fromkeys(queues.values(), "")
        counts = [counted(daemon, name, "--collection", name) for name in ("manuals", "drawings")]
        assert [(c["indexed"], c["deleted"]) for c in counts] == [(0, 0), (0, 0)]

        queue = ["--queue-url", queues["azure_queue"]]
        place = ["--endpoint-url", azure_server.endpoint, "--credential-file", str(tmp_path / "azure.key")]
        ids = [
            added(
                daemon,
                "azure_blob",
                ACCOUNT,
                "drawings",
                *place,
                *queue,
                "--prefix",
                "en/",
                "--watch",
                "added-drawings",
            ),
            added(daemon, "gcs", "acme-manuals", "--endpoint-url", gcs_server.url, "--credential-file", str(key_file)),
        ]
        until(lambda: is_done(daemon, 3))
        assert len(texts(daemon, "added-drawings")) == 2
        azure_server.put("drawings", "en/c.md", b"Told to both.\n")
        told(azure_queues, "en/c.md")
        until(lambda: [len(texts(daemon, name)) for name in ("drawings", "added-drawings")] == [3, 3])
        told(azure_queues, "nobody's.md", "")
        until(lambda: daemon.rows("SELECT 1 FROM s3_dead_letters"))
        assert "lacks its account or container" in syncd(daemon, "dead-letters").stdout
        assert counted(daemon, ids[1], "--collection", "added-manuals")["indexed"] == 2
        shown = json.dumps(request(daemon, "GET", "/api/v1/sources"))
        assert '"path_prefix": "en/"' in shown
        for file in (*folder.rglob("*.log"), folder / "log", *folder.rglob("*.db*")):
            if file.is_file():
                shown += file.read_bytes().decode("latin-1")
        for secret in (KEY, token.rpartition("sig=")[2], "PRIVATE KEY", "ya29."):
            assert secret not in shown
    finally:
        assert daemon.stop() == 0
