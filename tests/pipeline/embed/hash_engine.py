"""A toy engine: a text's vector is made of its hash. As a program it is syncd with this engine in the table."""

import hashlib

import anyio
import numpy as np

from syncd.model import Embedded
from syncd.pipeline.embed import engines
from syncd.pipeline.embed.engine import Engine

ENGINE = Engine("hash", "hashes of texts", "tests.pipeline.embed.hash_engine")
FINGERPRINT = "hash:1"


def obstacle(request):
    return "" if request.model.pooling == "mean" else "hashes have the pooling 'mean'"


async def make_embedder(request):
    return HashEmbedder(request.model)


class HashEmbedder:
    trouble = ""
    shortfall = ""
    elsewhere = ()
    fingerprint = FINGERPRINT

    def __init__(self, model):
        self.model = model.name
        self.name = f"embed {model.name}"
        self.dimensions = model.dimensions
        self.max_tokens = model.max_tokens

    async def run(self, *, task_status=anyio.TASK_STATUS_IGNORED):
        task_status.started()
        await anyio.sleep_forever()

    async def embed(self, texts, role, task=None, *, urgent=False):
        return Embedded(np.stack([hashed(text, self.dimensions) for text in texts]), len(texts))


def hashed(text, dimensions):
    row = np.frombuffer(hashlib.shake_256(text.encode()).digest(dimensions), dtype=np.uint8).astype(np.float32) + 1
    return row / np.linalg.norm(row)


if __name__ == "__main__":
    from syncd.cli import main

    engines.ENGINES = (*engines.ENGINES, ENGINE)
    main()
