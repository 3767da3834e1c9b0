"""What auto-sync needs in an AWS account, as exact JSON documents. Pure; `provision` applies them.

A queue with a dead-letter queue, a queue policy that lets this bucket of this account and nobody else send, the bucket's
notification configuration with our entry beside whatever is there, and an IAM policy for the daemon with nothing more
than it uses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from syncd.errors import ConflictError
from syncd.json_types import JsonObject
from syncd.sources.objects.keys import check_prefix
from syncd.sources.s3.answers import NotificationEntry, Notifications, QueuePolicy
from syncd.sources.s3.naming import check_bucket

NOTIFIED_EVENTS = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*", "s3:ObjectRestore:Completed")
"""Expiry by lifecycle rules is not covered by ObjectRemoved (Amazon S3 User Guide, "Supported event types")."""
MAX_RECEIVES = 5
RETENTION_S = 1_209_600
"""14 days, the maximum. A dead letter's age counts from when it was first sent, so both queues use it."""
VISIBILITY_S = 120
MAX_MESSAGE_BYTES = 262_144
"""Notifications may be up to 64 KB; a queue with a lower limit would lose them."""


@dataclass(frozen=True, slots=True)
class WantedSetup:
    """The setup of one bucket, or of the parts of it below `prefixes`."""

    bucket: str
    region: str
    account_id: str
    prefixes: tuple[str, ...] = ()
    queue_name: str = ""
    partition: str = "aws"

    def __post_init__(self) -> None:
        check_bucket(self.bucket)
        for prefix in self.prefixes:
            check_prefix(prefix)

    @property
    def name(self) -> str:
        """Return the queue's name; dots, which queues cannot have, become dashes."""
        return self.queue_name or f"syncd-{self.bucket}".replace(".", "-")[:75]

    @property
    def dead_letter_name(self) -> str:
        """Return the name of the dead-letter queue."""
        return f"{self.name}-dead"

    def queue_arn(self, name: str) -> str:
        """Return the ARN of a queue of this setup."""
        return f"arn:{self.partition}:sqs:{self.region}:{self.account_id}:{name}"

    @property
    def bucket_arn(self) -> str:
        """Return the bucket's ARN."""
        return f"arn:{self.partition}:s3:::{self.bucket}"


def queue_policy(wanted: WantedSetup, existing: QueuePolicy | None = None) -> QueuePolicy:
    """Return a policy that lets the bucket send to the queue, with the other statements of the `existing` one kept."""
    ours = f"SyncdEvents{sha256(wanted.bucket.encode()).hexdigest()[:12]}"
    given = existing.get("Statement", ()) if existing else ()
    return {
        "Version": "2012-10-17",
        "Statement": [
            *(statement for statement in given if statement.get("Sid") != ours),
            {
                "Sid": ours,
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": wanted.queue_arn(wanted.name),
                "Condition": {
                    "ArnEquals": {"aws:SourceArn": wanted.bucket_arn},
                    "StringEquals": {"aws:SourceAccount": wanted.account_id},
                },
            },
        ],
    }


def queue_attributes(wanted: WantedSetup, existing_policy: QueuePolicy | None = None) -> dict[str, str]:
    """Return the attributes of the event queue; policy statements for other buckets are kept."""
    redrive = {"deadLetterTargetArn": wanted.queue_arn(wanted.dead_letter_name), "maxReceiveCount": MAX_RECEIVES}
    return {
        "MessageRetentionPeriod": str(RETENTION_S),
        "VisibilityTimeout": str(VISIBILITY_S),
        "ReceiveMessageWaitTimeSeconds": "20",
        "MaximumMessageSize": str(MAX_MESSAGE_BYTES),
        "RedrivePolicy": json.dumps(redrive),
        "Policy": json.dumps(queue_policy(wanted, existing_policy)),
    }


def dead_letter_attributes(wanted: WantedSetup) -> dict[str, str]:
    """Return the attributes of the dead-letter queue: only the event queue may redrive into it."""
    allow = {"redrivePermission": "byQueue", "sourceQueueArns": [wanted.queue_arn(wanted.name)]}
    return {"MessageRetentionPeriod": str(RETENTION_S), "RedriveAllowPolicy": json.dumps(allow)}


def notification_entries(wanted: WantedSetup) -> list[NotificationEntry]:
    """Return our entries of the bucket's notification configuration, one per prefix."""
    entries: list[NotificationEntry] = []
    for number, prefix in enumerate(wanted.prefixes or ("",)):
        entry: NotificationEntry = {
            "Id": f"{wanted.name}-{number}",
            "QueueArn": wanted.queue_arn(wanted.name),
            "Events": list(NOTIFIED_EVENTS),
        }
        if prefix:
            entry["Filter"] = {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}}
        entries.append(entry)
    return entries


def merged_notifications(existing: Notifications, wanted: WantedSetup) -> Notifications:
    """Return the bucket's notification configuration with our entries, everybody else's kept as they are.

    Raises ConflictError if S3 would reject it: another entry has an overlapping prefix and an event in common.
    """
    kept = existing.copy()
    kept.pop("ResponseMetadata", None)
    ours = notification_entries(wanted)
    arn = wanted.queue_arn(wanted.name)
    others = [entry for entry in kept.get("QueueConfigurations", ()) if entry.get("QueueArn") != arn]
    elsewhere = [*kept.get("TopicConfigurations", ()), *kept.get("LambdaFunctionConfigurations", ())]
    for other in [*others, *elsewhere]:
        for entry in ours:
            if _overlap(entry, other):
                raise ConflictError(
                    f"bucket {wanted.bucket} already sends events below {_affix(other, 'prefix')!r} elsewhere "
                    f"({other.get('Id', 'no id')}) and S3 sends an event to only one destination; put an SNS topic or "
                    "EventBridge in between, or give another prefix"
                )
    return {**kept, "QueueConfigurations": [*others, *ours]}


def iam_policy(wanted: WantedSetup) -> JsonObject:
    """Return what the daemon's key or role needs, and nothing more."""
    listing: JsonObject = {
        "Sid": "SyncdList",
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": wanted.bucket_arn,
    }
    if wanted.prefixes:
        below = {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in wanted.prefixes]}}
        listing = {**listing, "Condition": below}
    objects = [f"{wanted.bucket_arn}/{prefix}*" for prefix in wanted.prefixes or ("",)]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "SyncdRead", "Effect": "Allow", "Action": "s3:GetObject", "Resource": objects},
            listing,
            {
                "Sid": "SyncdEvents",
                "Effect": "Allow",
                "Action": [
                    "sqs:ReceiveMessage",
                    "sqs:DeleteMessage",
                    "sqs:ChangeMessageVisibility",
                    "sqs:GetQueueAttributes",
                ],
                "Resource": wanted.queue_arn(wanted.name),
            },
        ],
    }


def setup_documents(
    wanted: WantedSetup, existing: Notifications | None = None, existing_policy: QueuePolicy | None = None
) -> Mapping[str, object]:
    """Return everything that `provision.apply` would set, by name, and the IAM policy that an administrator attaches."""
    return {
        "queue": {"QueueName": wanted.name, "Attributes": queue_attributes(wanted, existing_policy)},
        "dead_letter_queue": {"QueueName": wanted.dead_letter_name, "Attributes": dead_letter_attributes(wanted)},
        "queue_policy": queue_policy(wanted, existing_policy),
        "notification_configuration": merged_notifications(existing or {}, wanted),
        "iam_policy": iam_policy(wanted),
    }


def _overlap(entry: NotificationEntry, other: NotificationEntry) -> bool:
    prefixes = _affix(entry, "prefix"), _affix(other, "prefix")
    ends = _affix(entry, "suffix"), _affix(other, "suffix")
    meet = any(_covers(a, b) or _covers(b, a) for a in entry["Events"] for b in other["Events"])
    return meet and (
        (prefixes[0].startswith(prefixes[1]) or prefixes[1].startswith(prefixes[0]))
        and (ends[0].endswith(ends[1]) or ends[1].endswith(ends[0]))
    )


def _covers(pattern: str, event: str) -> bool:
    return event.startswith(pattern[:-1]) if pattern.endswith("*") else event == pattern


def _affix(entry: NotificationEntry, which: str) -> str:
    rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", ())
    return next((rule["Value"] for rule in rules if rule["Name"].lower() == which), "")
