"""A child process of our own that answers requests: `python -m MODULE`, frames over its stdin and stdout.

async with Worker("page-reader", "syncd.sources.web.page_worker") as worker:
        reply = await worker.call({"url": url}, body, timeout_s=60)

The child's half is `syncd.runtime.child`. The first frame a child sends is its `hello`, when it is ready to
serve.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import cache
from typing import Any, Self

import anyio
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from syncd.errors import PermanentError, RetryableError, Skipped
from syncd.json_types import JsonObject
from syncd.runtime.frames import Frame, FrameError, receive, send
from syncd.runtime.process import Child, ChildDiedError, ChildKilledError, describe_exit, python

log = structlog.get_logger()

_REPLY_FRAMES_AHEAD = 4
_LAST_WORDS_S = 2.0
_LOOK_S = 1.0
"""How often a process that does not answer is looked at, to see whether it is stopped."""
_KILLED = describe_exit(-signal.SIGKILL)


class CallTimeoutError(RetryableError):
    """The child did not answer within the time limit and was killed."""


class RemoteError(PermanentError):
    """The child's handler raised an unexpected error; the message is that error's type and text."""


_ERRORS: dict[str, type[RetryableError] | type[PermanentError]] = {
    "retryable": RetryableError,
    "permanent": PermanentError,
    "skipped": Skipped,
    "bug": RemoteError,
}


@cache
def warn_of_gaps(lacks: str) -> None:
    """Log what the jail of a child lacks on this machine, once for all children."""
    log.warning("worker.jail_incomplete", lacks=lacks)


class Worker:
    """A child that answers `at_once` requests at a time; use it as an async context manager, from one task.

    Entering waits for the child's hello, at most `start_limit_s` (ChildDiedError, CallTimeoutError). Leaving
    ends the child. `call` and `stream` may be used by several tasks: they take turns, unless the child serves with
    `runtime.child_tasks`. After ChildDiedError or
    CallTimeoutError every further call raises ChildDiedError: leave, and enter a new Worker.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        start_limit_s: float = 60.0,
        gentle_s: float = 2.0,
        at_once: int = 1,
    ) -> None:
        self.name = name
        self.hello: Mapping[str, Any] = {}
        """The header of the child's first frame."""
        self._command = python(module, *arguments)
        self._env = env
        self._start_limit_s = start_limit_s
        self._gentle_s = gentle_s
        self._numbers = itertools.count(1)
        self._turn = anyio.Semaphore(at_once)
        self._replies: dict[int, MemoryObjectSendStream[Frame]] = {}
        self._broken = ""

    async def __aenter__(self) -> Self:
        self._child = await Child.spawn(self.name, self._command, env=self._env, framed=True)
        greeting = self._expect(0)
        self._reader = asyncio.create_task(self._read_replies())
        try:
            async with aclosing(self._answers(greeting, self._start_limit_s)) as frames:
                self.hello = (await anext(frames)).header
        except BaseException:
            await self.__aexit__()
            raise
        if lacks := self.hello.get("jail_lacks"):
            warn_of_gaps(lacks)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._child.end(self._gentle_s)
        self._reader.cancel()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked, as far as is known."""
        return not self._broken and self._child.running and not self._reader.done()

    def condemn(self, why: str) -> None:
        """Kill the child at once; who waits for it is told `why` it died. Twice is safe."""
        self._broken = self._broken or why
        self._child.signal_group(signal.SIGKILL)

    async def died(self) -> str:
        """Wait until the child has ended, for whatever reason, and return how in words."""
        return await self._child.wait()

    async def call(self, header: JsonObject, payload: bytes = b"", *, timeout_s: float) -> Frame:
        """Return the child's single reply. Waits for its turn, then at most `timeout_s`.

        Raises what the child's handler raised (RetryableError, PermanentError, Skipped, or RemoteError for a
        bug), ChildDiedError naming exit status or signal (ChildKilledError for SIGKILL, and for a child that is stopped for as long as it may
        take), or CallTimeoutError; after the last two the child has been killed. A cancelled caller leaves the child running; its late answer is thrown away.
        """
        async with aclosing(self.stream(header, payload, timeout_s=timeout_s)) as frames:
            return await anext(frames)

    async def stream(self, header: JsonObject, payload: bytes = b"", *, timeout_s: float) -> AsyncGenerator[Frame]:
        """Yield the child's reply frames in order, as `call` does; `timeout_s` bounds the wait for each of
        them.

        The child is held back when the consumer is slow. Use `contextlib.aclosing` when leaving early.
        """
        async with self._turn:
            await self._check_alive()
            number = next(self._numbers)
            answers = self._expect(number)
            async with aclosing(self._answers(answers, timeout_s, Frame({**header, "id": number}, payload))) as frames:
                async for frame in frames:
                    yield frame

    async def answer(self, header: JsonObject) -> None:
        """Answer what the child asks in the frame that `stream` yielded last, before the next one is taken from it.

        Leaving a stream without an answer that the child waits for means ending the child. Raises ChildDiedError.
        """
        try:
            await send(self._child.stdin, Frame(header))
        except OSError as error:
            raise await self._death() from error

    async def _answers(
        self, answers: MemoryObjectReceiveStream[Frame], timeout_s: float, request: Frame | None = None
    ) -> AsyncGenerator[Frame]:
        with answers:
            more = True
            while more:
                frame = await self._next(answers, timeout_s, request)
                request = None
                more = bool(frame.header.get("more"))
                yield frame

    async def _next(self, answers: MemoryObjectReceiveStream[Frame], timeout_s: float, request: Frame | None) -> Frame:
        try:
            if request is not None:
                with anyio.fail_after(timeout_s):
                    await send(self._child.stdin, request)
            frame = await self._received(answers, timeout_s)
        except TimeoutError as error:
            is_stopped = self._child.is_stopped
            self._broken = f"no answer within {timeout_s:g} s" + (", as somebody stopped it" if is_stopped else "")
            await self._child.end(0)
            kind = ChildKilledError if is_stopped else CallTimeoutError
            raise kind(f"{self.name}: {self._broken}, the process was ended") from error
        except (anyio.EndOfStream, OSError) as error:
            raise await self._death() from error
        if failure := frame.header.get("error"):
            raise _ERRORS.get(failure["kind"], RemoteError)(failure["message"])
        return frame

    async def _received(self, answers: MemoryObjectReceiveStream[Frame], timeout_s: float) -> Frame:
        """Return the next frame. Time in which the process is stopped from outside does not count, up to as much again.

        Raises TimeoutError, anyio.EndOfStream.
        """
        left_s = stopped_left_s = timeout_s
        while left_s > 0 and stopped_left_s > 0:
            waited_s = min(left_s, stopped_left_s, _LOOK_S)
            with anyio.move_on_after(waited_s):
                return await answers.receive()
            if self._child.is_stopped:
                stopped_left_s -= waited_s
            else:
                left_s -= waited_s
        raise TimeoutError

    async def _death(self) -> ChildDiedError:
        by_itself = ""
        with anyio.move_on_after(_LAST_WORDS_S):
            by_itself = await self._child.wait()
        how = await self._child.end(self._gentle_s)
        is_killed = by_itself == _KILLED and not self._broken
        self._broken = self._broken or how
        last = next((line for line in reversed(self._child.tail) if line.strip()), "")
        words = f"{self.name} died: {self._broken}" + (f" (last output: {last})" if last else "")
        return ChildKilledError(words) if is_killed else ChildDiedError(words)

    async def _check_alive(self) -> None:
        if self._broken:
            raise ChildDiedError(f"{self.name} is not running: {self._broken}")
        if not self.alive:
            raise await self._death()

    def _expect(self, number: int) -> MemoryObjectReceiveStream[Frame]:
        sender, receiver = anyio.create_memory_object_stream[Frame](_REPLY_FRAMES_AHEAD)
        self._replies[number] = sender
        return receiver

    async def _read_replies(self) -> None:
        """Hand every frame to whoever waits for it. One task reads for the child's whole life: see
        `frames.receive`.
        """
        try:
            while (frame := await receive(self._child.stdout)) is not None:
                number = int(frame.header.get("id", 0))
                sender = self._replies[number]
                with suppress(anyio.BrokenResourceError):
                    await sender.send(frame)
                if not frame.header.get("more"):
                    self._replies.pop(number).close()
        except (FrameError, KeyError) as error:
            self._broken = f"it broke the protocol ({error})"
        finally:
            for sender in self._replies.values():
                sender.close()
