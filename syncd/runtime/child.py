"""The child's half of `syncd.runtime.worker`: blocking, standard library only.

channel = open_channel()      # first thing, before native libraries can print to stdout
model = load()
channel.serve(handle, {"dimensions": model.dimensions})
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import BinaryIO

from syncd.errors import PermanentError, RetryableError, Skipped
from syncd.json_types import JsonObject
from syncd.runtime.frames import Frame, read_frame, write
from syncd.runtime.launch import die_with_parent

Handler = Callable[[Frame], Frame]


class Channel:
    """The pipe to the parent."""

    def __init__(self, requests: BinaryIO, replies: BinaryIO) -> None:
        self.requests = requests
        self._replies = replies
        self._number = 0

    def serve(self, handle: Handler, hello: JsonObject | None = None) -> None:
        """Say hello, then answer requests one by one until the parent closes the pipe.

        `handle` returns the last frame of its reply; those before it go out by `send`. Its errors become the
        caller's: RetryableError, PermanentError and Skipped as they are, any other Exception as RemoteError,
        with the traceback on stderr. MemoryError is among them: a handler that may leave memory torn should
        end the process.
        """
        self.reply(0, Frame(hello or {}))
        while (request := read_frame(self.requests)) is not None:
            self._answer(handle, request)

    def reply(self, number: int, frame: Frame) -> None:
        """Send the last frame of the reply to the request with that number, 0 being the hello. Raises BrokenPipeError."""
        write(self._replies, Frame({**frame.header, "id": number}, frame.payload))

    def send(self, frame: Frame) -> None:
        """Send a frame of the reply ahead of the last one; blocks while the parent does not read. Only inside a handler."""
        write(self._replies, Frame({**frame.header, "id": self._number, "more": True}, frame.payload))

    def ask(self, frame: Frame) -> Frame:
        """Send a frame that the parent answers (`Worker.answer`) before it reads on, and wait for that. Only inside a handler."""
        self.send(frame)
        answer = read_frame(self.requests)
        if answer is None:
            raise SystemExit(0)
        return answer

    def _answer(self, handle: Handler, request: Frame) -> None:
        self._number = request.header["id"]
        try:
            self.reply(self._number, handle(request))
        except BrokenPipeError:
            raise SystemExit(0) from None
        except Exception as error:
            self.reply(self._number, failed(error))


def open_channel(death_signal: signal.Signals = signal.SIGKILL) -> Channel:
    """Take stdin and stdout for frames and tie this process to its parent's life by `death_signal`.

    Afterwards stdin is /dev/null and stdout is stderr, for whatever prints; a fatal signal prints Python's
    stack. Call once.
    """
    die_with_parent(death_signal)
    faulthandler.enable()
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return Channel(requests, replies)


def failed(error: Exception) -> Frame:
    """Return the reply of a request that failed; the traceback of a bug goes to stderr."""
    if not isinstance(error, RetryableError | PermanentError):
        traceback.print_exception(error, file=sys.stderr)
    return Frame({"error": _failure(error)})


def _failure(error: Exception) -> dict[str, str]:
    match error:
        case Skipped():
            return {"kind": "skipped", "message": str(error)}
        case PermanentError():
            return {"kind": "permanent", "message": str(error)}
        case RetryableError():
            return {"kind": "retryable", "message": str(error)}
        case _:
            return {"kind": "bug", "message": f"{type(error).__name__}: {error}"}
