"""What a bucket publishes says which key to check."""

import pytest

from syncd.sources.gcs.notifications import read_notification
from syncd.sources.objects.events import EventKind
from tests.pubsub_server import as_json, notification


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("OBJECT_FINALIZE", EventKind.CREATED),
        ("OBJECT_DELETE", EventKind.REMOVED),
        ("OBJECT_ARCHIVE", EventKind.REMOVED),
        ("OBJECT_METADATA_UPDATE", EventKind.OTHER),
        ("OBJECT_OF_THE_FUTURE", EventKind.OTHER),
    ],
)
def test_attributes_name_the_key_and_its_generation(name: str, kind: EventKind):
    (event,) = read_notification(as_json(notification("docs", "dir/a b+ü%20.txt", name, 17))).events
    assert (event.bucket, event.key, event.kind) == ("gs://docs", "dir/a b+ü%20.txt", kind)
    assert event.sequencer == "17"
    assert event.at is not None


@pytest.mark.parametrize("missing", ["eventType", "bucketId", "objectId"])
def test_a_message_that_is_none_is_poison(missing: str):
    told = notification("docs", "a.txt")
    del told[missing]
    assert read_notification(as_json(told)).poison
    assert read_notification("no JSON").poison
