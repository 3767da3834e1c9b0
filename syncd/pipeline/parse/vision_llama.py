"""Descriptions of pictures by a vision model on this machine: a GGUF file and its projector, through llama.cpp."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Self

from syncd.errors import PermanentError, RetryableError
from syncd.pipeline.parse.vision import PROMPT
from syncd.runtime.process import ChildDiedError
from syncd.runtime.worker import CallTimeoutError, RemoteError, Worker
from syncd.runtime.worker_pool import Lease, WorkerPool

_START_LIMIT_S = 600.0
"""Loading some gigabytes from a slow disk."""


class LlamaDescriber:
    """Implements `Describer` by a process of its own, started with the first picture; an async context manager."""

    def __init__(self, model: Path, projector: Path, threads: int = 0, limit_s: float = 120.0) -> None:
        arguments = (str(model), str(projector), str(threads))
        self._model = model
        self._limit_s = limit_s
        self._processes = WorkerPool(
            lambda _: Worker("vision", "syncd.pipeline.parse.vision_worker", arguments, start_limit_s=_START_LIMIT_S)
        )
        stamps = [(str(file), file.stat().st_size) for file in (model, projector)]
        self.fingerprint = sha256(repr(stamps).encode()).hexdigest()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._processes.__aexit__()

    async def describe(self, picture: bytes) -> str:
        """See `Describer.describe`. One picture at a time; a model that crashes or hangs on one leaves it undescribed."""
        try:
            async with self._processes.lease() as lease:
                return await self._described(lease, picture)
        except RetryableError as error:
            raise RetryableError(f"the vision model {self._model} cannot be loaded: {error}") from error

    async def _described(self, lease: Lease[Worker], picture: bytes) -> str:
        try:
            reply = await lease.call({"prompt": PROMPT}, picture, timeout_s=self._limit_s)
        except (ChildDiedError, CallTimeoutError) as error:
            raise PermanentError(f"the vision model failed on a picture ({error})") from error
        except RemoteError as error:
            raise PermanentError(f"the vision model cannot describe a picture ({error})") from error
        return str(reply.header["text"]).strip()
