"""A child for the tests: does what each request's `op` says."""

import os
import signal
import sys
import time

from syncd.errors import PermanentError, RetryableError, Skipped
from syncd.runtime.child import open_channel
from syncd.runtime.frames import Frame


def handle(request):
    match request.header["op"]:
        case "echo":
            return Frame({"said": request.header.get("say")}, request.payload)
        case "count":
            for n in range(request.header["to"] - 1):
                channel.send(Frame({"n": n}))
            return Frame({"n": request.header["to"] - 1})
        case "half":
            channel.send(Frame({"n": 0}))
            channel.send(Frame({"n": 1}))
            raise PermanentError("page 2 is broken")
        case "ask":
            answer = channel.ask(Frame({"question": "how many?"}))
            return Frame({"answer": answer.header["count"]})
        case "die":
            os.kill(os.getpid(), request.header["signal"])
        case "exit":
            os._exit(request.header["status"])
        case "sleep":
            time.sleep(3600)
        case "print":
            print("this goes to the log, not into the frames", flush=True)
            return Frame()
        case "environment":
            return Frame(dict(os.environ))
        case "permanent":
            raise PermanentError("not a document")
        case "retryable":
            raise RetryableError("busy")
        case "skipped":
            raise Skipped("binary")
        case "bug":
            return 1 / 0
        case "garbage":
            os.write(int(request.header["fd"]), b"\xff" * 64)
            return Frame()
    return None


if __name__ == "__main__":
    if "--stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    channel = open_channel()
    if "--mute" in sys.argv:
        time.sleep(3600)
    if "--crash" in sys.argv:
        sys.exit("no model here")
    channel.serve(handle, {"pid": os.getpid()})
