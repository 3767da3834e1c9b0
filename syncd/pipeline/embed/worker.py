"""The model's own process: `python -m syncd.pipeline.embed.worker SETTINGS`, frames over stdin and stdout.

Its hello holds dimensions, batch_tokens, devices (how many there are beside the CPU) and processes (how many keep one of them
busy). Requests, each answered with one frame:

    {"op": "tokens", "texts": [...]}       → {"lengths": [[7], [254, 31], ...]}, int32 tokens of all windows in order
    {"op": "count", "texts": [...]}        → {"tokens": [7, 285, ...]}, of all windows of each text
    {"op": "vectors", "lengths": [7, 254]} and int32 tokens → float32 rows of length 1, NaN where not finite
    {"op": "probe", "tap": true}           → {"cost_s"}, float32 rows of PROBE_TEXTS, computed in a llama.cpp context of
                                             their own, or ("tap": null) the way "vectors" are
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from syncd.errors import SyncdError
from syncd.model import Vectors
from syncd.pipeline.embed.engine import Kernel
from syncd.pipeline.embed.engines import kernel_engine
from syncd.pipeline.embed.llama import LlamaContext, LlamaModel, quieten
from syncd.pipeline.embed.variant import PROBE_TEXTS, RunSettings
from syncd.pipeline.embed.windows import SpecialTokens, TokenIds, batches_by_length, cut, join, split, unit_rows
from syncd.pipeline.model_jail import confine_model, uses_card
from syncd.runtime.child import open_channel
from syncd.runtime.frames import Frame
from syncd.runtime.launch import lower_priority

_SPEED_TEXT = PROBE_TEXTS[0] * 6
_TOKENISING_THREADS = 4


class TextModel(Protocol):
    """What a model says of texts: their tokens, and the special ones of its windows."""

    frame: SpecialTokens
    dimensions: int

    def tokens(self, text: str) -> TokenIds:
        """Return the tokens of `text` without any special token."""
        ...


class EmbedWorker:
    """Answers the requests above for one model file."""

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self._model, self._kernel = self.opened(settings)
        # llama.cpp tokenises less than a large GPU computes, and lets go of Python's lock meanwhile.
        self._threads = ThreadPoolExecutor(min(_TOKENISING_THREADS, settings.own_threads()))

    def opened(self, settings: RunSettings) -> tuple[TextModel, Kernel]:
        """Return what tokenises and what computes."""
        model = LlamaModel(settings)
        return model, kernel_engine(settings.variant.runtime).open_kernel(settings, model)

    def hello(self) -> dict[str, int]:
        """Return what the parent needs to know of the model."""
        kernel = self._kernel
        return {
            "dimensions": self._model.dimensions,
            "batch_tokens": kernel.batch_tokens,
            "devices": kernel.devices,
            "processes": kernel.processes,
        }

    def handle(self, request: Frame) -> Frame:
        """Answer one request."""
        match request.header["op"]:
            case "tokens":
                return self._tokens(request.header["texts"])
            case "count":
                return Frame({"tokens": self._counts(request.header["texts"])})
            case "vectors":
                windows = split(request.payload, request.header["lengths"])
                return Frame(payload=compute(self._kernel, windows).tobytes())
            case "probe":
                return self._probe(tap=request.header["tap"])
            case unknown:
                raise ValueError(f"unknown request {unknown!r}")

    def _windows(self, text: str) -> list[TokenIds]:
        return cut(self._model.tokens(text), self._model.frame, self._settings.max_tokens)

    def _tokens(self, texts: Sequence[str]) -> Frame:
        windows = list(self._threads.map(self._windows, texts))
        lengths = [[len(window) for window in of_text] for of_text in windows]
        return Frame({"lengths": lengths}, join(window for of_text in windows for window in of_text))

    def _counts(self, texts: Sequence[str]) -> list[int]:
        return [sum(map(len, windows)) for windows in self._threads.map(self._windows, texts)]

    def _probe(self, tap: bool | None) -> Frame:
        kernel = (
            LlamaContext(self._model, tap) if tap is not None and isinstance(self._model, LlamaModel) else self._kernel
        )
        windows = [window for text in PROBE_TEXTS for window in self._windows(text)]
        rows = compute(kernel, windows)
        # A busy machine distorts the time of day, a GPU's work takes no processor time.
        clock = time.perf_counter if kernel.devices else time.process_time
        batch = self._speed_batch(kernel)
        begin = clock()
        compute(kernel, batch)
        return Frame({"cost_s": (clock() - begin) / len(batch)}, rows.tobytes())

    def _speed_batch(self, kernel: Kernel) -> list[TokenIds]:
        """Return the windows to measure by: a lone one keeps a CPU busy, not a GPU, which computes it once before."""
        window = self._windows(_SPEED_TEXT)[0]
        if not kernel.devices:
            return [window]
        batch = [window] * max(1, min(kernel.batch_tokens // len(window), kernel.sequences))
        compute(kernel, batch)
        return batch


def compute(kernel: Kernel, windows: Sequence[TokenIds]) -> Vectors:
    """Return the unit vectors of `windows`, in their order, in as many calls as it takes."""
    lengths = [len(window) for window in windows]
    order = list(batches_by_length(lengths, kernel.batch_tokens, kernel.sequences))
    rows = np.concatenate([kernel.vectors([windows[index] for index in batch]) for batch in order])
    return unit_rows(rows[np.argsort(np.concatenate(order))])


def main() -> None:
    """Serve until the parent closes the pipe."""
    serve_model(EmbedWorker)


def serve_model(make: Callable[[RunSettings], EmbedWorker]) -> None:
    """Serve what `make` makes of the settings on the command line until the parent closes the pipe."""
    channel = open_channel()
    quieten()
    settings = RunSettings.from_json(sys.argv[1])
    lower_priority(settings.niceness)
    if settings.cores:
        os.sched_setaffinity(0, settings.cores)
    runtime = settings.variant.runtime
    lacks = confine_model([settings.path], runtime, on_card=uses_card(settings.device, runtime))
    try:
        worker = make(settings)
    except SyncdError as error:
        channel.serve(_refuse, {"error": {"kind": "permanent", "message": str(error)}})
    else:
        channel.serve(worker.handle, {**worker.hello(), "jail_lacks": lacks})


def _refuse(_: Frame) -> Frame:
    raise SyncdError("the model is not loaded")


if __name__ == "__main__":
    main()
