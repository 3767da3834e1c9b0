"""A chunker that dies or hangs when a text says so, once or always."""

import os
import signal
import sys
import time
from pathlib import Path

from syncd.pipeline.chunk.worker import split
from syncd.runtime.child import open_channel


def handle(request):
    text = request.payload.decode()
    marker = Path(request.header["path"] + ".died")
    if "die once" in text and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    if "die always" in text:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in text:
        time.sleep(3600)
    if "bug" in text:
        raise ZeroDivisionError("on purpose")
    return split(request)


if __name__ == "__main__":
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    open_channel().serve(handle)
