"""The real worker where the second engine is llama.cpp again, with the speed and the vectors that LC_ALL asks for."""

import os
import sys

import numpy as np

from syncd.pipeline.embed import worker
from syncd.pipeline.embed.variant import Variant
from syncd.runtime.frames import Frame

FASTER, SLOWER, WRONG = "faster", "slower", "faster but wrong"


class SecondEngineWorker(worker.EmbedWorker):
    def __init__(self, settings):
        self._second = settings.variant.runtime == "torch"
        super().__init__(settings.with_variant(Variant(tap=False)))

    def handle(self, request):
        reply = super().handle(request)
        if not self._second or request.header["op"] != "probe":
            return reply
        asked = os.environ["LC_ALL"]
        cost_s = reply.header["cost_s"] * (100 if asked == SLOWER else 0.01)
        rows = np.frombuffer(reply.payload, dtype=np.float32).reshape(-1, self._model.dimensions)
        return Frame({"cost_s": cost_s}, (np.roll(rows, 1, axis=1) if asked == WRONG else rows).tobytes())


if __name__ == "__main__":
    sys.modules["syncd.pipeline.embed.worker"] = worker
    worker.EmbedWorker = SecondEngineWorker
    worker.main()
