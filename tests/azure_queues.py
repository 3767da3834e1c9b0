"""A strict Azure Queue service over HTTP, as Microsoft's REST reference describes it; Azurite (which npm has) was used to check it.

It verifies signatures, hides messages for as long as it is told, and takes the latest pop receipt of a message only.
"""

import base64
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

import pytest
from aiohttp import web

from tests.azure_signatures import ACCOUNT, account_sas_refusal, failure, key_refusal
from tests.serving import serve

LONGEST_S = 7 * 86_400


@dataclass
class QueuedMessage:
    text: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    receipt: str = ""
    visible_at: float = 0.0
    deliveries: int = 0

    def hide(self, seconds: int) -> None:
        """Hide it, and give it another receipt: the former one is good for nothing."""
        self.visible_at = time.monotonic() + seconds
        self.receipt = base64.b64encode(uuid.uuid4().bytes).decode()


@dataclass
class AzureQueues:
    """One running server with one account. Its queues are as the tests fill them."""

    url: str = ""
    queues: dict[str, list[QueuedMessage]] = field(default_factory=dict)
    hidden: int = 0
    """How often a message was hidden anew."""

    def queue_url(self, queue: str) -> str:
        return f"{self.url}/{ACCOUNT}/{queue}"

    def put(self, queue: str, text: str) -> None:
        self.queues[queue].append(QueuedMessage(text))

    async def handle(self, request: web.Request) -> web.Response:
        _, account, queue, part, *rest = unquote(request.raw_path.partition("?")[0]).split("/", 4)
        assert (account, part) == (ACCOUNT, "messages")
        needed = "u" if request.method == "PUT" else "p"
        if refused := self._refusal(request, needed):
            return refused
        if queue not in self.queues:
            return failure(404, "QueueNotFound")
        if request.method == "GET":
            return self._get(self.queues[queue], request.query)
        return self._change(self.queues[queue], request, rest[0])

    def _refusal(self, request: web.Request, needed: str) -> web.Response | None:
        if "x-ms-version" not in request.headers:
            return failure(400, "MissingRequiredHeader")
        if authorization := request.headers.get("Authorization"):
            return key_refusal(request, authorization)
        if "ss" in request.query:
            return account_sas_refusal(request, "q", needed)
        return failure(403, "AuthenticationFailed" if "sig" in request.query else "NoAuthenticationInformation")

    def _get(self, messages: list[QueuedMessage], query: Any) -> web.Response:
        count, hidden_s = int(query["numofmessages"]), int(query["visibilitytimeout"])
        if not (1 <= count <= 32 and 1 <= hidden_s <= LONGEST_S):
            return failure(400, "OutOfRangeQueryParameterValue")
        found = [message for message in messages if message.visible_at <= time.monotonic()][:count]
        for message in found:
            message.hide(hidden_s)
            message.deliveries += 1
        listed = "".join(
            f"<QueueMessage><MessageId>{it.id}</MessageId><PopReceipt>{it.receipt}</PopReceipt>"
            f"<DequeueCount>{it.deliveries}</DequeueCount><MessageText>{escape(it.text)}</MessageText></QueueMessage>"
            for it in found
        )
        text = f'<?xml version="1.0" encoding="utf-8"?><QueueMessagesList>{listed}</QueueMessagesList>'
        return web.Response(body="\ufeff".encode() + text.encode(), content_type="application/xml")

    def _change(self, messages: list[QueuedMessage], request: web.Request, message_id: str) -> web.Response:
        message = next((one for one in messages if one.id == message_id), None)
        if message is None:
            return failure(404, "MessageNotFound")
        if request.query["popreceipt"] != message.receipt:
            return failure(400, "PopReceiptMismatch")
        if request.method == "DELETE":
            messages.remove(message)
            return web.Response(status=204)
        assert request.method == "PUT"
        hidden_s = int(request.query["visibilitytimeout"])
        if not 0 <= hidden_s <= LONGEST_S:
            return failure(400, "OutOfRangeQueryParameterValue")
        message.hide(hidden_s)
        self.hidden += 1
        return web.Response(status=204, headers={"x-ms-popreceipt": message.receipt})


def grid_event(container: str, key: str, kind: str = "BlobCreated", **data: str) -> dict[str, Any]:
    """Return an event in Event Grid's own schema."""
    return {
        "topic": f"/subscriptions/s/resourceGroups/r/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}",
        "subject": f"/blobServices/default/containers/{container}/blobs/{key}",
        "eventType": f"Microsoft.Storage.{kind}",
        "eventTime": datetime.now(UTC).isoformat(),
        "id": str(uuid.uuid4()),
        "data": {"api": "PutBlob", "sequencer": f"{time.monotonic_ns():032x}", **data},
        "dataVersion": "",
        "metadataVersion": "1",
    }


def cloud_event(told: dict[str, Any]) -> dict[str, Any]:
    """Return the same event as a CloudEvent."""
    names = {"topic": "source", "eventType": "type", "eventTime": "time"}
    kept = {names.get(name, name): said for name, said in told.items() if not name.endswith("Version")}
    return {"specversion": "1.0", **kept}


def encoded(told: Any) -> str:
    """Return an event as Event Grid puts it into a queue."""
    return base64.b64encode(json.dumps(told).encode()).decode()


@pytest.fixture(scope="session")
def azure_queues() -> Iterator[AzureQueues]:
    running = AzureQueues()
    with serve(running.handle) as running.url:
        yield running
