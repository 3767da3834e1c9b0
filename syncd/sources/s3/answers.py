"""What is read of the answers of AWS, which botocore does not describe. What an answer may lack is NotRequired.

Names and meaning of fields: Amazon S3, Amazon SQS and AWS STS API References.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import NotRequired, Protocol, Self, TypedDict

from syncd.json_types import Json, JsonObject


class AnswerBody(Protocol):
    """The bytes of an object; must be left, which gives its connection back."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> object: ...

    async def read(self, amt: int, /) -> bytes:
        """Return up to so many bytes, none at the end."""
        ...


class AnswerFacts(TypedDict):
    """What every answer says of itself."""

    HTTPStatusCode: int


class ErrorFacts(TypedDict, total=False):
    """What went wrong. Codes are what the service, or whatever stands before it, makes of them."""

    Code: str | int
    Message: str


class FailureFacts(TypedDict, total=False):
    """What the answer that is an error says of itself."""

    HTTPStatusCode: int
    HTTPHeaders: Mapping[str, str]


class ErrorAnswer(TypedDict, total=False):
    """An answer that is an error."""

    Error: ErrorFacts
    ResponseMetadata: FailureFacts


class ObjectFacts(TypedDict):
    """The headers of an object: the answer to HeadObject, and a part of that to GetObject."""

    ETag: str
    ContentLength: int
    LastModified: NotRequired[datetime | None]
    ContentType: NotRequired[str | None]
    ContentEncoding: NotRequired[str | None]


class ObjectAnswer(ObjectFacts):
    """The answer to GetObject."""

    Body: AnswerBody
    ResponseMetadata: AnswerFacts


class ListedObject(TypedDict):
    """One object of a listing."""

    Key: str
    ETag: str
    Size: int
    LastModified: NotRequired[datetime | None]


class ListingAnswer(TypedDict):
    """The answer to ListObjectsV2."""

    Contents: NotRequired[Sequence[ListedObject]]
    IsTruncated: NotRequired[bool]
    NextContinuationToken: NotRequired[str]


class LocationAnswer(TypedDict):
    """The answer to GetBucketLocation."""

    LocationConstraint: NotRequired[str | None]


class FilterRule(TypedDict):
    """The beginning or the end that keys must have to be told of."""

    Name: str
    Value: str


class KeyFilter(TypedDict):
    """Which keys are told of."""

    FilterRules: NotRequired[Sequence[FilterRule]]


class NotificationFilter(TypedDict):
    """Which objects are told of."""

    Key: NotRequired[KeyFilter]


class NotificationEntry(TypedDict):
    """Where some events of a bucket go."""

    Id: NotRequired[str]
    QueueArn: NotRequired[str]
    """Of entries that lead to queues."""
    Events: Sequence[str]
    Filter: NotRequired[NotificationFilter]


class Notifications(TypedDict, total=False):
    """A bucket's notification configuration; GetBucketNotificationConfiguration adds ResponseMetadata."""

    QueueConfigurations: Sequence[NotificationEntry]
    TopicConfigurations: Sequence[NotificationEntry]
    LambdaFunctionConfigurations: Sequence[NotificationEntry]
    EventBridgeConfiguration: JsonObject
    ResponseMetadata: AnswerFacts


class PolicyStatement(TypedDict, total=False):
    """Who may do what."""

    Sid: str
    Effect: str
    Principal: Json
    Action: Json
    Resource: Json
    Condition: Json


class QueuePolicy(TypedDict, total=False):
    """Who may do what with a queue."""

    Version: str
    Statement: Sequence[PolicyStatement]


class IdentityAnswer(TypedDict):
    """The answer to GetCallerIdentity."""

    Account: str
    Arn: str


class QueueUrlAnswer(TypedDict):
    """The answer to GetQueueUrl and to CreateQueue."""

    QueueUrl: str


class QueueAttributesAnswer(TypedDict):
    """The answer to GetQueueAttributes."""

    Attributes: NotRequired[Mapping[str, str]]


class ReceivedMessage(TypedDict):
    """One message of a queue."""

    MessageId: str
    ReceiptHandle: str
    Body: str
    Attributes: NotRequired[Mapping[str, str]]


class MessagesAnswer(TypedDict):
    """The answer to ReceiveMessage."""

    Messages: NotRequired[Sequence[ReceivedMessage]]


class BatchEntry(TypedDict):
    """One message in a call about several."""

    Id: str
    ReceiptHandle: str
    VisibilityTimeout: NotRequired[int]
    """Seconds."""


class BatchFailure(TypedDict):
    """A message that a call about several did nothing to."""

    Code: NotRequired[str]


class BatchAnswer(TypedDict):
    """The answer to a call about several messages."""

    Failed: NotRequired[Sequence[BatchFailure]]
