import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.sources.s3.events import Event, EventKind, parse_message


def record(name: str = "ObjectCreated:Put", key: str = "docs/a+b%2B%C3%BC.txt", **fields: Any) -> dict[str, Any]:
    """An entry as the S3 User Guide documents it."""
    return {
        "eventVersion": "2.6",
        "eventSource": "aws:s3",
        "awsRegion": "us-west-2",
        "eventTime": "1970-01-01T00:00:00.000Z",
        "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": "amzn-s3-demo-bucket", "arn": "arn:aws:s3:::amzn-s3-demo-bucket"},
            "object": {"key": key, "size": 1024, "eTag": "d41d", "sequencer": "0055AED6DCD90281E5"},
        },
        **fields,
    }


def eventbridge(kind: str = "Object Created", **detail: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "detail-type": kind,
        "source": "aws.s3",
        "time": "2021-11-12T00:00:00Z",
        "detail": {
            "version": "0",
            "bucket": {"name": "amzn-s3-demo-bucket1"},
            "object": {"key": "a+b%20c.txt", "size": 5, "etag": "b1", "sequencer": "617f08299329d189"},
            "reason": "PutObject",
            **detail,
        },
    }


def sns(message: Any) -> str:
    return json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": json.dumps(message)})


def only(body: str) -> Event:
    parsed = parse_message(body)
    assert not parsed.poison
    assert len(parsed.events) == 1
    return parsed.events[0]


def test_the_key_of_a_record_is_form_decoded():
    event = only(json.dumps({"Records": [record()]}))
    assert (event.bucket, event.key, event.kind) == ("amzn-s3-demo-bucket", "docs/a b+ü.txt", EventKind.CREATED)
    assert event.sequencer == "0055AED6DCD90281E5"


def test_the_key_of_an_eventbridge_event_is_taken_as_it_is():
    event = only(json.dumps(eventbridge()))
    assert (event.bucket, event.key, event.kind) == ("amzn-s3-demo-bucket1", "a+b%20c.txt", EventKind.CREATED)


def test_an_sns_topic_in_between_changes_nothing():
    assert only(sns({"Records": [record()]})) == only(json.dumps({"Records": [record()]}))


def test_a_test_event_has_no_events_and_is_no_poison():
    for body in (json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"}), sns({"Event": "s3:TestEvent"})):
        parsed = parse_message(body)
        assert (parsed.events, parsed.poison) == ((), False)
        assert "test event" in parsed.note


def test_a_subscription_confirmation_is_noted_and_never_followed():
    parsed = parse_message(json.dumps({"Type": "SubscriptionConfirmation", "SubscribeURL": "http://169.254.169.254/"}))
    assert (parsed.events, parsed.poison) == ((), False)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ObjectCreated:Put", EventKind.CREATED),
        ("ObjectCreated:CompleteMultipartUpload", EventKind.CREATED),
        ("s3:ObjectCreated:Copy", EventKind.CREATED),
        ("ObjectRemoved:Delete", EventKind.REMOVED),
        ("ObjectRemoved:DeleteMarkerCreated", EventKind.DELETE_MARKER),
        ("LifecycleExpiration:Delete", EventKind.EXPIRED),
        ("LifecycleExpiration:DeleteMarkerCreated", EventKind.EXPIRED),
        ("ObjectRestore:Completed", EventKind.RESTORED),
        ("ObjectRestore:Post", EventKind.OTHER),
        ("ObjectTagging:Put", EventKind.OTHER),
    ],
)
def test_every_kind_of_record_is_known(name: str, kind: EventKind):
    assert only(json.dumps({"Records": [record(name)]})).kind is kind


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (eventbridge("Object Deleted", **{"deletion-type": "Permanently Deleted"}), EventKind.REMOVED),
        (eventbridge("Object Deleted", **{"deletion-type": "Delete Marker Created"}), EventKind.DELETE_MARKER),
        (eventbridge("Object Deleted", reason="Lifecycle Expiration"), EventKind.EXPIRED),
        (eventbridge("Object Restore Completed"), EventKind.RESTORED),
        (eventbridge("Object Tags Added"), EventKind.OTHER),
    ],
)
def test_every_kind_of_eventbridge_event_is_known(body: dict[str, Any], kind: EventKind):
    assert only(json.dumps(body)).kind is kind


def test_a_removal_needs_neither_size_nor_etag_nor_sequencer():
    entry = record("ObjectRemoved:Delete")
    entry["s3"]["object"] = {"key": "gone.txt"}
    event = only(json.dumps({"Records": [entry]}))
    assert (event.key, event.sequencer) == ("gone.txt", "")


def test_the_good_records_beside_a_broken_one_still_count():
    parsed = parse_message(json.dumps({"Records": [record(), {"eventName": "ObjectCreated:Put"}]}))
    assert len(parsed.events) == 1
    assert parsed.poison


def test_another_major_version_is_poison_and_another_minor_one_is_not():
    assert parse_message(json.dumps({"Records": [record(eventVersion="3.0")]})).poison
    assert not parse_message(json.dumps({"Records": [record(eventVersion="2.99")]})).poison


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.text())
def test_no_text_makes_it_raise(body: str):
    parsed = parse_message(body)
    assert parsed.events or parsed.note


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "Records": JSON | st.lists(JSON | st.fixed_dictionaries({}, optional={"s3": JSON, "eventName": JSON})),
            "Type": JSON | st.just("Notification"),
            "Message": JSON | st.just(json.dumps({"Records": []})),
            "Event": JSON,
            "detail-type": JSON,
            "detail": JSON,
            "source": st.just("aws.s3") | JSON,
        },
    )
)
def test_no_json_makes_it_raise(message: dict[str, Any]):
    parsed = parse_message(json.dumps(message))
    assert parsed.events or parsed.note


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_key_arrives_as_it_was_sent(key: str):
    from urllib.parse import quote, quote_plus

    for encoded in (quote_plus(key), quote(key, safe="/").replace("%20", "+")):
        assert only(json.dumps({"Records": [record(key=encoded)]})).key == key
    assert only(json.dumps(eventbridge(object={"key": key}))).key == key
