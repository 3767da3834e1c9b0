"""The real worker, but that a token takes a while in which nothing is computed: at the same time as others', or, where LC_ALL
names a file, one after the other, as on a machine without another core.
"""

import fcntl
import os
import sys
import time

import numpy as np

from syncd.pipeline.embed import worker
from syncd.runtime.frames import Frame

LOCK = open(os.environ["LC_ALL"], "a") if os.environ.get("LC_ALL", "").startswith("/") else None  # noqa: SIM115
NAP_S_PER_TOKEN = 5e-5


class SleepyWorker(worker.EmbedWorker):
    def handle(self, request):
        if request.header["op"] != "vectors":
            return super().handle(request)
        if LOCK:
            fcntl.flock(LOCK, fcntl.LOCK_EX)
        time.sleep(NAP_S_PER_TOKEN * sum(request.header["lengths"]))
        if LOCK:
            fcntl.flock(LOCK, fcntl.LOCK_UN)
        rows = np.ones((len(request.header["lengths"]), self._model.dimensions), dtype=np.float32)
        return Frame(payload=(rows / np.linalg.norm(rows[0])).tobytes())


if __name__ == "__main__":
    sys.modules["syncd.pipeline.embed.worker"] = worker
    worker.EmbedWorker = SleepyWorker
    worker.main()
