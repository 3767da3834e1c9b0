"""Which variant of llama.cpp can be trusted with a file on this machine: tried in child processes, remembered.

A compiler that miscompiles the repacked AMX kernels (gcc 12) makes a llama.cpp that dies of SIGSEGV at the first
decode of a quantised model; a later llama.cpp may rename the tensor that the tap reads. So known texts are embedded
stock and tapped, with extra buffer types on and off, before the first real text is.
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import structlog

from syncd.errors import PermanentError
from syncd.model import Vectors
from syncd.pipeline.embed.files import read_json, update_json
from syncd.pipeline.embed.process import WORKER, EngineDownError, ModelProcess, TimeLimits
from syncd.pipeline.embed.variant import RunSettings, Variant
from syncd.runtime.process import ChildDiedError
from syncd.runtime.worker import CallTimeoutError

_TAP_COSINE = 0.9999
"""Tapped against stock: within 1e-6, where not bit-identical; another tensor's values are far below."""
_BUFFERS_COSINE = 0.99
"""Repacked against plain kernels: they round differently (Q8_0: cosine 0.9995), garbage is far below."""
_RESULTS = "probe.json"
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Trial:
    """What one setting of `extra_bufts` did: its stock vectors (None: it died) and whether the tap equals them."""

    stock: Vectors | None
    tap: bool = False


async def choose(
    name: str,
    settings: RunSettings,
    digest: str,
    folder: Path,
    *,
    limits: TimeLimits | None = None,
    worker: str = WORKER,
) -> tuple[Variant, int]:
    """Return the fastest variant that computes what it should, and the model's dimensions.

    Takes two loads of the model the first time; the outcome is kept in `folder` per file, library, processor and
    device. Raises PermanentError when the file works in no variant.
    """
    model = (digest, settings.pooling, str(settings.max_tokens))
    key = "/".join((*model, worker, version("llama-cpp-python"), settings.device, _processor()))
    if known := read_json(folder / _RESULTS).get(key):
        return Variant(known["tap"], known["extra_bufts"]), known["dimensions"]
    plain = await _try(name, settings, extra_bufts=False, limits=limits, worker=worker)
    extra = await _try(name, settings, extra_bufts=True, limits=limits, worker=worker)
    variant, stock = _best(name, plain, extra)
    log.info("model.probed", model=name, tap=variant.tap, extra_bufts=variant.extra_bufts)
    outcome = {"tap": variant.tap, "extra_bufts": variant.extra_bufts, "dimensions": stock.shape[1]}
    update_json(folder / _RESULTS, lambda values: {**values, key: outcome})
    return variant, stock.shape[1]


async def _try(name: str, settings: RunSettings, *, extra_bufts: bool, limits: TimeLimits | None, worker: str) -> Trial:
    variant = Variant(tap=False, extra_bufts=extra_bufts)
    stock: Vectors | None = None
    try:
        async with ModelProcess(f"{name} (probe)", settings.with_variant(variant), limits, worker) as process:
            stock = await process.probe(tap=False)
            if settings.pooling == "last":
                return Trial(stock, tap=cosine(stock, await process.probe(tap=True)) >= _TAP_COSINE)
    except (ChildDiedError, CallTimeoutError, EngineDownError) as error:
        log.warning(
            "model.variant_failed", model=name, extra_bufts=extra_bufts, tap=stock is not None, error=str(error)
        )
    return Trial(stock)


def _best(name: str, plain: Trial, extra: Trial) -> tuple[Variant, Vectors]:
    trusted = extra.stock is not None and (plain.stock is None or cosine(plain.stock, extra.stock) >= _BUFFERS_COSINE)
    trials = [(extra, True)] if trusted else []
    trials += [(plain, False)]
    for trial, extra_bufts in sorted(trials, key=lambda each: not each[0].tap):
        if trial.stock is not None and np.isfinite(trial.stock).all():
            return Variant(trial.tap, extra_bufts), trial.stock
    raise PermanentError(
        f"model {name} cannot be run by this llama.cpp: see the log, check the file, or rebuild llama-cpp-python with "
        "CMAKE_ARGS=-DCMAKE_CXX_FLAGS=-fno-dse"
    )


def cosine(one: Vectors, other: Vectors) -> float:
    """Return the smallest cosine between rows of unit vectors; NaN when either holds one."""
    return float(np.min(np.sum(one * other, axis=1)))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = [platform.processor()]
    about = "\n".join(sorted({line for line in lines if line.startswith(("flags", "model name", "Features"))}))
    return f"{platform.machine()}-{hashlib.sha256(about.encode()).hexdigest()[:16]}"
