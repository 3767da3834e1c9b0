"""What is asked of AWS: botocore makes its clients at run time and describes no call. Only what is used here stands here.

Names of calls and parameters: Amazon S3, Amazon SQS and AWS STS API References.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol

from syncd.sources.s3.answers import (
    BatchAnswer,
    BatchEntry,
    IdentityAnswer,
    ListingAnswer,
    LocationAnswer,
    MessagesAnswer,
    Notifications,
    ObjectAnswer,
    ObjectFacts,
    QueueAttributesAnswer,
    QueueUrlAnswer,
)


class AwsClient(Protocol):
    """What clients of all services have."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> object: ...


class S3Client(AwsClient, Protocol):
    """Amazon S3 and what speaks its protocol."""

    async def get_object(self, *, Bucket: str, Key: str, IfMatch: str = ..., Range: str = ...) -> ObjectAnswer: ...

    async def head_object(self, *, Bucket: str, Key: str) -> ObjectFacts: ...

    async def list_objects_v2(
        self, *, Bucket: str, Prefix: str, StartAfter: str = ..., ContinuationToken: str = ..., MaxKeys: int = ...
    ) -> ListingAnswer: ...

    async def get_bucket_location(self, *, Bucket: str) -> LocationAnswer: ...

    async def get_bucket_notification_configuration(self, *, Bucket: str) -> Notifications: ...

    async def put_bucket_notification_configuration(
        self, *, Bucket: str, NotificationConfiguration: Notifications
    ) -> object: ...


class SqsClient(AwsClient, Protocol):
    """Amazon SQS and what speaks its protocol."""

    async def receive_message(
        self,
        *,
        QueueUrl: str,
        MaxNumberOfMessages: int,
        WaitTimeSeconds: int,
        VisibilityTimeout: int,
        AttributeNames: Sequence[str],
    ) -> MessagesAnswer: ...

    async def delete_message_batch(self, *, QueueUrl: str, Entries: Sequence[BatchEntry]) -> BatchAnswer: ...

    async def change_message_visibility_batch(self, *, QueueUrl: str, Entries: Sequence[BatchEntry]) -> BatchAnswer: ...

    async def get_queue_url(self, *, QueueName: str) -> QueueUrlAnswer: ...

    async def create_queue(self, *, QueueName: str) -> QueueUrlAnswer: ...

    async def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: Sequence[str]) -> QueueAttributesAnswer: ...

    async def set_queue_attributes(self, *, QueueUrl: str, Attributes: Mapping[str, str]) -> object: ...


class StsClient(AwsClient, Protocol):
    """AWS STS."""

    async def get_caller_identity(self) -> IdentityAnswer: ...
