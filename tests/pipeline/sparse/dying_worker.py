"""SPLADE's process, except that one text kills it."""

import os
import signal

from syncd.pipeline.sparse import splade_worker
from syncd.pipeline.sparse.splade_model import SpladeModel


class Mortal(SpladeModel):
    """Dies of poison."""

    def vector(self, text):
        if text == "poison":
            os.kill(os.getpid(), signal.SIGABRT)
        return super().vector(text)


if __name__ == "__main__":
    splade_worker.SpladeModel = Mortal
    splade_worker.main()
