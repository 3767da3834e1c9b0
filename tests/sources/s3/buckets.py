"""Fresh buckets on the servers of the tests, and queues that their events reach."""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from syncd.sources.objects.transport import Transport
from syncd.sources.s3.settings import S3Settings, S3SourceSettings
from tests.aws_servers import Aws

STORED = S3SourceSettings(bucket_name="stored", region="elsewhere")
"""Of a source whose bucket is not looked at."""
FAST = Transport(stall_timeout_s=5.0, backoff_base_s=0.01, backoff_cap_s=0.05, call_timeout_s=10.0)


@dataclass
class Place:
    """A fresh bucket with a queue that its events reach, and clients to both."""

    aws: Aws
    s3: Any
    sqs: Any
    bucket: str
    queue_url: str = ""
    queue_arn: str = ""

    def settings(self, url: str | None = None, **values: Any) -> S3Settings:
        defaults = {"collection": "docs", "queue_url": self.queue_url or None}
        return S3Settings(self.bucket, self.aws.endpoint(url), **defaults | values)

    async def put(self, key: str, body: bytes | str) -> None:
        await self.s3.put_object(Bucket=self.bucket, Key=key, Body=body.encode() if isinstance(body, str) else body)

    async def delete(self, key: str) -> None:
        await self.s3.delete_object(Bucket=self.bucket, Key=key)

    async def waiting(self) -> int:
        answer = await self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["All"])
        return sum(int(v) for k, v in answer["Attributes"].items() if k.startswith("ApproximateNumberOfMessages"))

    async def contents(self, prefix: str = "") -> dict[str, bytes]:
        found = {}
        answer = await self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        for item in answer.get("Contents", ()):
            async with (await self.s3.get_object(Bucket=self.bucket, Key=item["Key"]))["Body"] as body:
                found[item["Key"]] = await body.read()
        return found


@asynccontextmanager
async def place(
    aws: Aws, *, events: bool = False, queue: Mapping[str, str] | None = None, clients: tuple[Any, Any] | None = None
) -> AsyncIterator[Place]:
    """Make a bucket and, where its attributes are given, a queue; with `events`, one that the bucket tells everything."""
    async with AsyncExitStack() as stack:
        s3, sqs = clients or [await stack.enter_async_context(aws.client(service)) for service in ("s3", "sqs")]
        made = Place(aws, s3, sqs, f"bucket-{uuid.uuid4()}")
        await s3.create_bucket(Bucket=made.bucket)
        if events or queue is not None:
            await make_queue(made, queue or {})
        if events:
            configuration = {
                "QueueArn": made.queue_arn,
                "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"],
            }
            await s3.put_bucket_notification_configuration(
                Bucket=made.bucket, NotificationConfiguration={"QueueConfigurations": [configuration]}
            )
        yield made


async def make_queue(place: Place, attributes: Mapping[str, str]) -> None:
    name = f"queue-{uuid.uuid4()}"
    place.queue_url = (await place.sqs.create_queue(QueueName=name, Attributes=dict(attributes)))["QueueUrl"]
    answer = await place.sqs.get_queue_attributes(QueueUrl=place.queue_url, AttributeNames=["QueueArn"])
    place.queue_arn = answer["Attributes"]["QueueArn"]
