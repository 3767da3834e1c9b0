"""syncd keeps Chroma collections equal to the sources they come from."""

import os

__version__ = "0.1.0"

# Before numpy is imported anywhere: its idle threads would spin on cores that the model needs, and nothing here is large
# enough for them to pay.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
