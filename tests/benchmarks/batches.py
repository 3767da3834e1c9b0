"""The program, noting of every batch of the model how many tokens it had and how many there was room for.

python -m tests.benchmarks.batches FILE run --config FILE
"""

import sys

from syncd.cli import main
from syncd.pipeline.embed.process import ModelProcess

vectors = ModelProcess.vectors


async def noted(self, windows):
    """Compute a batch and note it."""
    file.write(f"{sum(map(len, windows))} {self.batch_tokens}\n")
    return await vectors(self, windows)


if __name__ == "__main__":
    file = open(sys.argv.pop(1), "a", buffering=1)  # noqa: SIM115 - for as long as the program runs
    ModelProcess.vectors = noted
    main()
