"""What auto-sync needs: the documents, doing it, and noticing what is missing."""

import json
from dataclasses import replace
from typing import Any

import pytest

from syncd.errors import ConflictError, PermanentError
from syncd.sources.s3.client import Connections
from syncd.sources.s3.doctor import examine
from syncd.sources.s3.provision import apply, discover, existing_notifications, existing_policy, find_queue, read_policy
from syncd.sources.s3.settings import AutoSync
from syncd.sources.s3.setup import WantedSetup, iam_policy, merged_notifications, queue_policy, setup_documents
from tests.aws_servers import Aws
from tests.sources.s3.buckets import FAST, place
from tests.sources.s3.syncing import daemon_on, working

WANTED = WantedSetup("my.bucket", "eu-west-1", "123456789012", ("team-a/", "team-b/"))


def test_only_the_bucket_of_the_account_may_send():
    statement = queue_policy(WANTED)["Statement"][0]
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Resource"] == "arn:aws:sqs:eu-west-1:123456789012:syncd-my-bucket"
    assert statement["Condition"] == {
        "ArnEquals": {"aws:SourceArn": "arn:aws:s3:::my.bucket"},
        "StringEquals": {"aws:SourceAccount": "123456789012"},
    }


def test_a_single_statement_that_stands_by_itself_is_kept():
    existing = read_policy('{"Statement": {"Sid": "Theirs", "Effect": "Allow", "Action": "sqs:SendMessage"}}')
    assert queue_policy(WANTED, existing)["Statement"][0]["Sid"] == "Theirs"


def test_the_daemon_may_read_below_its_prefixes_and_serve_its_queue_and_nothing_else():
    read, listing, events = iam_policy(WANTED)["Statement"]
    assert read["Resource"] == ["arn:aws:s3:::my.bucket/team-a/*", "arn:aws:s3:::my.bucket/team-b/*"]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["team-a/*", "team-b/*"]}}
    assert events["Resource"] == "arn:aws:sqs:eu-west-1:123456789012:syncd-my-bucket"
    actions = {read["Action"], listing["Action"], *events["Action"]}
    assert not any("*" in action or "Put" in action or "Send" in action for action in actions)


def test_the_documents_are_json_and_complete():
    names = {"queue", "dead_letter_queue", "queue_policy", "notification_configuration", "iam_policy"}
    assert json.loads(json.dumps(setup_documents(WANTED))).keys() == names


def test_other_notifications_are_kept_and_our_old_ones_replaced():
    theirs = {"Id": "theirs", "QueueArn": "arn:x", "Events": ["s3:ObjectCreated:Put"], "Filter": filtering("other/")}
    ours = {"Id": "old", "QueueArn": WANTED.queue_arn(WANTED.name), "Events": ["s3:ObjectCreated:*"]}
    existing = {"QueueConfigurations": [theirs, ours], "EventBridgeConfiguration": {}, "ResponseMetadata": {}}
    merged = merged_notifications(existing, WANTED)
    assert merged["EventBridgeConfiguration"] == {}
    assert [entry["Id"] for entry in merged["QueueConfigurations"]] == [
        "theirs",
        "syncd-my-bucket-0",
        "syncd-my-bucket-1",
    ]
    assert merged_notifications(merged, WANTED) == merged


@pytest.mark.parametrize("kind", ["QueueConfigurations", "TopicConfigurations", "LambdaFunctionConfigurations"])
@pytest.mark.parametrize("prefix", ["", "team-a/sub/", "team-"])
def test_what_s3_would_refuse_is_refused_first(kind: str, prefix: str):
    other = {"Id": "theirs", "QueueArn": "arn:x", "Events": ["s3:ObjectCreated:Put"], "Filter": filtering(prefix)}
    with pytest.raises(ConflictError, match="theirs"):
        merged_notifications({kind: [other]}, WANTED)


def test_another_kind_of_event_is_no_conflict():
    other = {"Id": "theirs", "QueueArn": "arn:x", "Events": ["s3:Replication:*"]}
    assert len(merged_notifications({"QueueConfigurations": [other]}, WANTED)["QueueConfigurations"]) == 3


async def test_set_up_the_bucket_keeps_the_collection_true(aws: Aws, tmp_path):
    connections = Connections(FAST)
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        wanted = await discover(connections, aws.endpoint(), p.bucket)
        assert await find_queue(connections, aws.endpoint(), wanted.name) is None
        p.queue_url = await apply(connections, aws.endpoint(), wanted)
        assert await apply(connections, aws.endpoint(), wanted) == p.queue_url
        settings = p.settings(auto_sync=AutoSync.DIRECT)
        await p.put("a.txt", "alpha")
        findings = await examine(connections, settings, wanted)
        assert {finding.state for finding in findings} == {"ok"}, findings
        await daemon.add(settings)
        async with working(daemon, p) as work:
            await work.until_quiet()
        assert await daemon.texts() == {"a.txt": b"alpha"}
        await connections.close()


async def test_one_queue_may_serve_several_buckets(aws: Aws, tmp_path):
    connections = Connections(FAST)
    async with place(aws) as one, place(aws) as other, daemon_on(tmp_path) as daemon:
        for p in (one, other):
            wanted = replace(
                await discover(connections, aws.endpoint(), p.bucket), queue_name=f"shared-{one.bucket[:20]}"
            )
            p.queue_url = await apply(connections, aws.endpoint(), wanted)
            await daemon.add(p.settings(auto_sync=AutoSync.DIRECT, collection=p.bucket))
            await p.put("a.txt", p.bucket)
        policy = await existing_policy(connections, aws.endpoint(), wanted.name)
        sources = [statement["Condition"]["ArnEquals"]["aws:SourceArn"] for statement in policy["Statement"]]
        assert sources == [f"arn:aws:s3:::{p.bucket}" for p in (one, other)]
        async with working(daemon, one) as work:
            await work.until_quiet()
        for p in (one, other):
            assert await daemon.texts(p.bucket) == {"a.txt": p.bucket.encode()}
            findings = await examine(
                connections, p.settings(auto_sync=AutoSync.DIRECT), replace(wanted, bucket=p.bucket)
            )
            assert {finding.state for finding in findings} == {"ok"}, findings
        await connections.close()


async def test_the_doctor_says_what_is_missing_and_what_to_do(aws: Aws):
    connections = Connections(FAST)
    async with place(aws) as p:
        wanted = await discover(connections, aws.endpoint(), p.bucket)
        settings = p.settings(auto_sync=AutoSync.DIRECT)
        findings = await examine(connections, settings, wanted)
        wrong = {finding.subject: finding for finding in findings if finding.state != "ok"}
        assert wrong.keys() == {"bucket", "queue", "notifications"}
        assert all(finding.fix for finding in wrong.values())
        await p.sqs.create_queue(QueueName=wanted.name)
        wrong = {f.subject for f in await examine(connections, settings, wanted) if f.state != "ok"}
        assert {"queue policy", "dead letters"} <= wrong
        await p.s3.delete_bucket(Bucket=p.bucket)
        findings = await examine(connections, settings, wanted)
        assert any(f.subject == "bucket" and f.state == "missing" for f in findings)
        await connections.close()


async def test_everything_that_is_there_is_left_as_it_is(aws: Aws):
    connections = Connections(FAST)
    async with place(aws, events=True) as p:
        wanted = await discover(connections, aws.endpoint(), p.bucket)
        before = await existing_notifications(connections, aws.endpoint(), p.bucket)
        with pytest.raises(ConflictError):
            await apply(connections, aws.endpoint(), wanted)
        assert await existing_notifications(connections, aws.endpoint(), p.bucket) == before
        assert await find_queue(connections, aws.endpoint(), wanted.name) is None
        await connections.close()


def test_names_that_cannot_be_are_refused():
    with pytest.raises(PermanentError, match="bucket_name"):
        WantedSetup("No Such", "r", "1")


def filtering(prefix: str) -> dict[str, Any]:
    return {"Key": {"FilterRules": [{"Name": "Prefix", "Value": prefix}]}}
