"""The real worker with faults: words in a text make it abort, hang or compute nonsense; a variant makes it crash."""

import os
import signal
import sys
import threading

import numpy as np

from syncd.pipeline.embed import worker
from syncd.pipeline.embed.windows import split
from syncd.runtime.frames import Frame

CRASHING_VARIANT = "SIGSEGV with extra buffer types"
WRONG_VARIANT = "wrong with extra buffer types"


class FaultyWorker(worker.EmbedWorker):
    def __init__(self, settings):
        super().__init__(settings)
        self._extra_bufts = settings.variant.extra_bufts
        self._words = {word: self._model.tokens(word)[0] for word in ("poison", "freeze", "zero")}

    def handle(self, request):
        if request.header["op"] == "probe" and self._extra_bufts:
            return self._probe_faultily(request)
        if request.header["op"] != "vectors":
            return super().handle(request)
        windows = split(request.payload, request.header["lengths"])
        if self._any("poison", windows):
            os.abort()
        if self._any("freeze", windows):
            threading.Event().wait()
        rows = np.frombuffer(super().handle(request).payload, dtype=np.float32).reshape(len(windows), -1).copy()
        rows[[self._any("zero", [window]) for window in windows]] = np.nan
        return Frame(payload=rows.tobytes())

    def _probe_faultily(self, request):
        if os.environ.get("LC_ALL") == CRASHING_VARIANT:
            os.kill(os.getpid(), signal.SIGSEGV)
        reply = super().handle(request)
        if os.environ.get("LC_ALL") == WRONG_VARIANT:
            rows = np.frombuffer(reply.payload, dtype=np.float32).reshape(-1, self._model.dimensions)
            return Frame(reply.header, np.roll(rows, 1, axis=1).tobytes())
        return reply

    def _any(self, word, windows):
        return any(self._words[word] in window for window in windows)


if __name__ == "__main__":
    sys.modules["syncd.pipeline.embed.worker"] = worker
    worker.EmbedWorker = FaultyWorker
    worker.main()
