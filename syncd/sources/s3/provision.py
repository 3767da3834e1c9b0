"""Creates what `setup` describes, without changing anything else in the account."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from syncd.sources.s3.answers import Notifications, QueuePolicy
from syncd.sources.s3.calls import SqsClient
from syncd.sources.s3.client import Connections
from syncd.sources.s3.endpoint import Endpoint
from syncd.sources.s3.errors import ClientError, error_code
from syncd.sources.s3.setup import WantedSetup, dead_letter_attributes, merged_notifications, queue_attributes


async def discover(
    connections: Connections, endpoint: Endpoint, bucket: str, prefixes: Sequence[str] = ()
) -> WantedSetup:
    """Return the setup for a bucket, with the credentials' account and the bucket's own region.

    Waits for STS and S3. Raises RetryableError, PermanentError.
    """
    identity = await connections.sts(endpoint).call(lambda client: client.get_caller_identity(), "the AWS account")
    answer = await connections.s3(endpoint).call(
        lambda client: client.get_bucket_location(Bucket=bucket), f"s3://{bucket}/"
    )
    # The oldest regions answer with nothing and with "EU" (Amazon S3 API Reference, GetBucketLocation).
    constraint = answer.get("LocationConstraint") or ""
    region = {"": "us-east-1", "EU": "eu-west-1"}.get(constraint, constraint)
    partition = identity["Arn"].split(":")[1]
    return WantedSetup(bucket, region, identity["Account"], tuple(prefixes), partition=partition)


async def existing_notifications(connections: Connections, endpoint: Endpoint, bucket: str) -> Notifications:
    """Return the bucket's notification configuration as it is. Waits for S3."""
    answer = await connections.s3(endpoint).call(
        lambda client: client.get_bucket_notification_configuration(Bucket=bucket), f"s3://{bucket}/"
    )
    answer.pop("ResponseMetadata", None)
    return answer


async def apply(connections: Connections, endpoint: Endpoint, wanted: WantedSetup) -> str:
    """Apply the setup and return the queue's URL. Twice is safe; nothing else in the account is changed.

    Waits for SQS and S3. Raises ConflictError, before anything is changed, if the bucket's events already go elsewhere;
    RetryableError, PermanentError.
    """
    configuration = merged_notifications(await existing_notifications(connections, endpoint, wanted.bucket), wanted)
    await _ensure_queue(connections, endpoint, wanted.dead_letter_name, dead_letter_attributes(wanted))
    attributes = queue_attributes(wanted, await existing_policy(connections, endpoint, wanted.name))
    queue_url = await _ensure_queue(connections, endpoint, wanted.name, attributes)
    await connections.s3(endpoint).call(
        lambda client: client.put_bucket_notification_configuration(
            Bucket=wanted.bucket, NotificationConfiguration=configuration
        ),
        f"s3://{wanted.bucket}/",
    )
    return queue_url


async def existing_policy(connections: Connections, endpoint: Endpoint, name: str) -> QueuePolicy:
    """Return the policy of a queue; empty if there is none. Waits for SQS."""
    url = await find_queue(connections, endpoint, name)
    if url is None:
        return {}
    answer = await connections.sqs(endpoint).call(
        lambda client: client.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]), f"queue {name}"
    )
    return read_policy(answer.get("Attributes", {}).get("Policy"))


def read_policy(text: str | None) -> QueuePolicy:
    """Return a policy from its JSON; a single statement may stand there by itself (IAM JSON policy grammar)."""
    policy = json.loads(text or "{}")
    if isinstance(policy.get("Statement"), dict):
        policy["Statement"] = [policy["Statement"]]
    return policy


async def find_queue(connections: Connections, endpoint: Endpoint, name: str) -> str | None:
    """Return the URL of a queue, or None if there is none. Waits for SQS."""

    async def ask(client: SqsClient) -> str | None:
        try:
            return (await client.get_queue_url(QueueName=name))["QueueUrl"]
        except ClientError as error:
            if "NonExistentQueue" in error_code(error) or error_code(error) == "QueueDoesNotExist":
                return None
            raise

    return await connections.sqs(endpoint).call(ask, f"queue {name}")


async def _ensure_queue(connections: Connections, endpoint: Endpoint, name: str, attributes: Mapping[str, str]) -> str:
    connection = connections.sqs(endpoint)
    url = await find_queue(connections, endpoint, name)
    if url is None:
        # Attributes are set in a separate call, so that a queue from an earlier, interrupted attempt gets them too.
        answer = await connection.call(lambda client: client.create_queue(QueueName=name), f"queue {name}")
        url = answer["QueueUrl"]
    where = url
    await connection.call(
        lambda client: client.set_queue_attributes(QueueUrl=where, Attributes=dict(attributes)), f"queue {name}"
    )
    return url
