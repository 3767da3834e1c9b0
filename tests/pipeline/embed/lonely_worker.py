"""The real worker on a card with room for one: a second one is refused while the first holds the file that LC_ALL names."""

import fcntl
import os
import sys

from syncd.errors import PermanentError
from syncd.pipeline.embed import worker

CARD = open(os.environ["LC_ALL"], "a")  # noqa: SIM115 - held for the process's life, and opened outside its jail


class LonelyWorker(worker.EmbedWorker):
    def __init__(self, settings):
        try:
            fcntl.flock(CARD, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermanentError("the device's free memory holds 0 tokens") from None
        super().__init__(settings)


if __name__ == "__main__":
    sys.modules["syncd.pipeline.embed.worker"] = worker
    worker.EmbedWorker = LonelyWorker
    worker.main()
