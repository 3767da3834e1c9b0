"""Delivers what webhooks are told: at least once, signed, and tried again for a day."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd import __version__
from syncd.errors import NotFoundError, RetryableError
from syncd.runtime.headers import retry_after_s
from syncd.runtime.retry import Backoff
from syncd.store import Store
from syncd.store.webhook_outbox import Notification, notification_body
from syncd.sync.webhook_signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, signature

log = structlog.get_logger()

DUE_POLL_S = 1.0
ANSWER_LIMIT_S = 15.0
"""How long a receiver may take; the standard advises 15 to 30 seconds."""
TRIED_FOR = timedelta(days=1)
"""What could not be delivered for so long is given up."""
RETRY = Backoff(base_s=5.0, cap_s=3600.0)
"""Between attempts at one notification."""
PAUSE = Backoff(base_s=1.0, cap_s=60.0)
"""Between attempts at a receiver that fails, whatever it is to be told."""
LONGEST_RETRY_AFTER_S = 3600.0
GONE = 410


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver. Its address may be a secret in itself, as that of a chat's channel is."""

    name: str
    url: str = field(repr=False)
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """How a receiver answered: with which status (None: not at all), and why that is no delivery ('': it is one)."""

    status: int | None
    error: str = ""
    retry_after_s: float = 0.0


class WebhookSender:
    """An actor: delivers to every webhook by itself, so that one that fails holds up no other.

    A notification is recorded as delivered after the receiver's answer (2xx), so one whose answer was lost is sent again, with the
    same id. Redirects are not followed, and nothing of an answer but its head is read.
    """

    name = "webhooks"

    def __init__(self, store: Store, webhooks: Sequence[Webhook]) -> None:
        self._store = store
        self._webhooks = {webhook.name: webhook for webhook in webhooks}

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Deliver until cancelled."""
        task_status.started()
        async with _session() as session, anyio.create_task_group() as group:
            for webhook in self._webhooks.values():
                group.start_soon(self._serve, session, webhook)
            await anyio.sleep_forever()

    async def try_out(self, name: str) -> DeliveryAttempt:
        """Send a test at once, and only once. Raises NotFoundError if there is no such webhook."""
        if name not in self._webhooks:
            raise NotFoundError(
                f"no webhook is called {name!r}; the configuration has: {', '.join(self._webhooks) or 'none'}"
            )
        test = Notification(
            str(uuid.uuid4()), "test", notification_body("test", {"webhook": name}), datetime.now(UTC), 0
        )
        async with _session() as session:
            return await _sent(session, self._webhooks[name], test)

    async def _serve(self, session: aiohttp.ClientSession, webhook: Webhook) -> None:
        failures = 0
        while True:
            try:
                notification = await self._store.webhooks.next_due(webhook.name)
                is_delivered = notification is None or await self._deliver(session, webhook, notification)
            except RetryableError as error:
                log.warning("webhook.waiting", webhook=webhook.name, reason=str(error))
                notification, is_delivered = None, True
            failures = 0 if is_delivered else failures + 1
            if failures:
                await anyio.sleep(max(DUE_POLL_S, PAUSE.delay_s(failures)))
            elif notification is None:
                await anyio.sleep(DUE_POLL_S)

    async def _deliver(self, session: aiohttp.ClientSession, webhook: Webhook, notification: Notification) -> bool:
        """Make one attempt and record how it ended; return whether it is delivered. Raises RetryableError if that cannot be recorded."""
        attempt = await _sent(session, webhook, notification)
        about = {"webhook": webhook.name, "delivery": notification.id, "notified": notification.event}
        if not attempt.error:
            if await self._store.webhooks.delivered(webhook.name, notification.id):
                log.info("webhook.recovered", **about)
            return True
        is_last = attempt.status == GONE or datetime.now(UTC) - notification.created_at > TRIED_FOR
        retry_s = None if is_last else max(attempt.retry_after_s, RETRY.delay_s(notification.attempts + 1))
        if await self._store.webhooks.failed(webhook.name, notification.id, attempt.error, retry_s):
            log.warning("webhook.failing", reason=attempt.error, **about)
        if is_last:
            log.error("webhook.given_up", reason=attempt.error, **about)
        return False


def _session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=ANSWER_LIMIT_S)
    return aiohttp.ClientSession(timeout=timeout, trust_env=True, headers={"User-Agent": f"syncd/{__version__}"})


async def _sent(session: aiohttp.ClientSession, webhook: Webhook, notification: Notification) -> DeliveryAttempt:
    body, timestamp = notification.body.encode(), str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        ID_HEADER: notification.id,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: signature(webhook.key, notification.id, timestamp, body),
    }
    try:
        async with session.post(webhook.url, data=body, headers=headers, allow_redirects=False) as answer:
            # What is left of the answer, however long, is not waited for.
            answer.close()
            error = "" if 200 <= answer.status < 300 else f"it answered {answer.status}"
            asked_s = retry_after_s(answer.headers.get("Retry-After"), LONGEST_RETRY_AFTER_S)
            return DeliveryAttempt(answer.status, error, asked_s or 0.0)
    except TimeoutError:
        return DeliveryAttempt(None, f"no answer within {ANSWER_LIMIT_S:g} s")
    except aiohttp.ClientConnectorError as error:
        return DeliveryAttempt(None, f"no connection to {error.host}: {error.strerror or error.os_error}")
    except (aiohttp.ClientError, OSError) as error:
        # Their words may hold the address.
        return DeliveryAttempt(None, f"the connection failed ({type(error).__name__})")
