"""Checks what auto-sync of a bucket is missing, in the order in which it should be fixed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from syncd.errors import PermanentError, RetryableError
from syncd.json_types import JsonObject, json_object
from syncd.sources.s3.bucket import Bucket
from syncd.sources.s3.client import Connections
from syncd.sources.s3.endpoint import Endpoint
from syncd.sources.s3.provision import existing_notifications, find_queue
from syncd.sources.s3.settings import AutoSync, S3Settings
from syncd.sources.s3.setup import NOTIFIED_EVENTS, RETENTION_S, WantedSetup

SET_UP = "run: syncd s3 setup --apply"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `fix` says what to do if something is missing."""

    subject: str
    state: Literal["ok", "missing", "warning"]
    detail: str
    fix: str = ""


BucketCheck = Callable[[], Awaitable[Sequence[Finding]]]


async def examine(connections: Connections, settings: S3Settings, wanted: WantedSetup) -> Sequence[Finding]:
    """Return what was found, good things included; changes nothing, though it reads one listing and one object.

    Waits for S3 and SQS; a check that cannot be made is a finding, not an error.
    """
    bucket = Bucket(settings.bucket, connections.s3(settings.endpoint))
    checks: list[tuple[str, BucketCheck]] = [("bucket", lambda: _reading(bucket, settings.path_prefix))]
    if settings.auto_sync is not AutoSync.NONE:
        checks += [
            ("queue", lambda: _queue(connections, settings.endpoint, wanted)),
            ("notifications", lambda: _notifications(connections, settings, wanted)),
        ]
    findings: list[Finding] = []
    for subject, check in checks:
        try:
            findings += await check()
        except (RetryableError, PermanentError) as error:
            findings.append(Finding(subject, "missing", str(error), "attach the IAM policy printed by: syncd s3 setup"))
    return findings


async def _reading(bucket: Bucket, prefix: str) -> Sequence[Finding]:
    page = await bucket.page(prefix, "", size=1)
    where = bucket.address(prefix)
    findings = [Finding("bucket", "ok", f"{where} can be listed")]
    if not page.objects:
        return [*findings, Finding("bucket", "warning", f"{where} is empty", "check path_prefix")]
    key = page.objects[0].key
    if await bucket.small(key, 0) is None:
        return [*findings, Finding("bucket", "warning", f"{key} disappeared while it was being checked", "try again")]
    return [*findings, Finding("bucket", "ok", f"{bucket.address(key)} can be read")]


async def _queue(connections: Connections, endpoint: Endpoint, wanted: WantedSetup) -> Sequence[Finding]:
    url = await find_queue(connections, endpoint, wanted.name)
    if url is None:
        return [Finding("queue", "missing", f"there is no queue {wanted.name}", SET_UP)]
    answer = await connections.sqs(endpoint).call(
        lambda client: client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]), f"queue {wanted.name}"
    )
    attributes = answer.get("Attributes", {})
    findings = [Finding("queue", "ok", f"{url} exists"), _policy(attributes, wanted), _redrive(attributes)]
    if int(attributes.get("MessageRetentionPeriod", RETENTION_S)) < RETENTION_S:
        findings.append(Finding("queue", "warning", "messages are kept for less than 14 days", SET_UP))
    if attributes.get("KmsMasterKeyId"):
        detail = "the queue is encrypted with a KMS key; its key policy must let s3.amazonaws.com use it"
        findings.append(
            Finding("queue", "warning", detail, "see: Amazon S3 User Guide, Granting permissions to publish")
        )
    return findings


def _policy(attributes: Mapping[str, str], wanted: WantedSetup) -> Finding:
    statements = _json(attributes.get("Policy")).get("Statement")
    found = [json_object(one) for one in (statements if isinstance(statements, list) else [statements])]
    allowing = [s for s in found if s.get("Effect") == "Allow" and wanted.bucket_arn in json.dumps(s)]
    if not allowing:
        return Finding("queue policy", "missing", f"{wanted.bucket} may not send to the queue", SET_UP)
    if not any("aws:SourceAccount" in json.dumps(statement) for statement in allowing):
        detail = "anyone who takes over the bucket's name in another account could send events too"
        return Finding("queue policy", "warning", detail, SET_UP)
    return Finding("queue policy", "ok", f"only {wanted.bucket} of account {wanted.account_id} may send")


def _redrive(attributes: Mapping[str, str]) -> Finding:
    target = _json(attributes.get("RedrivePolicy")).get("deadLetterTargetArn")
    if not target:
        return Finding(
            "dead letters",
            "warning",
            "the queue has no dead-letter queue; messages that cannot be processed are deleted",
            SET_UP,
        )
    return Finding("dead letters", "ok", f"messages that cannot be processed go to {target}")


async def _notifications(connections: Connections, settings: S3Settings, wanted: WantedSetup) -> Sequence[Finding]:
    configuration = await existing_notifications(connections, settings.endpoint, settings.bucket)
    entries = configuration.get("QueueConfigurations", ())
    ours = [entry for entry in entries if entry.get("QueueArn") == wanted.queue_arn(wanted.name)]
    if not ours:
        if "EventBridgeConfiguration" in configuration or configuration.get("TopicConfigurations"):
            detail = "events go to EventBridge or SNS; whether they reach the queue cannot be checked from here"
            return [Finding("notifications", "warning", detail, "make sure that a rule or subscription forwards them")]
        return [Finding("notifications", "missing", f"{wanted.bucket} sends no events to the queue", SET_UP)]
    sent = {event for entry in ours for event in entry["Events"]}
    lacking = [event for event in NOTIFIED_EVENTS if event not in sent and f"{event.rsplit(':', 1)[0]}:*" not in sent]
    if lacking:
        return [Finding("notifications", "missing", f"not sent: {', '.join(lacking)}", SET_UP)]
    return [Finding("notifications", "ok", "every kind of event is sent")]


def _json(text: str | None) -> JsonObject:
    try:
        return json_object(json.loads(text or "{}"))
    except ValueError:
        return {}
