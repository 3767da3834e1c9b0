"""Which variant of llama.cpp can be trusted with a file on this machine: tried in child processes, remembered.

A compiler that miscompiles the repacked AMX kernels (gcc 12) makes a llama.cpp that dies of SIGSEGV at the first
decode of a quantised model; a later llama.cpp may rename the tensor that the tap reads. So known texts are embedded
stock and tapped, with extra buffer types on and off, before the first real text is.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import structlog

from syncd.errors import ConfigError, PermanentError, RetryableError
from syncd.model import Vectors
from syncd.pipeline.embed.engine import AUTO, EMBED_WORKER_MODULE, Engine, TimeLimits
from syncd.pipeline.embed.engines import rivals
from syncd.pipeline.embed.files import read_cached_json, update_cached_json
from syncd.pipeline.embed.process import EngineDownError, ModelProcess
from syncd.pipeline.embed.variant import REFERENCE, RunSettings, Variant
from syncd.runtime.process import ChildDiedError
from syncd.runtime.worker import CallTimeoutError

_TAP_COSINE = 0.9999
"""Tapped against stock: within 1e-6, where not bit-identical; another tensor's values are far below."""
_BUFFERS_COSINE = 0.99
"""Repacked against plain kernels: they round differently (Q8_0: cosine 0.9995), garbage is far below."""
_RIVAL_COSINE = 0.995
"""Another engine against llama.cpp on one file: bfloat16 rounds weights, Q8_0 kernels round activations."""
_WORTH_IT = 1.1
"""How much faster another engine must be per CPU second: it takes more memory, and the measurement is one text on a busy core."""
_CRASHES = ("SIGSEGV", "SIGILL", "SIGBUS", "SIGFPE", "SIGABRT")
"""How a miscompiled kernel ends a process."""
PROBE_RESULTS = "probe.json"
_METHOD = "2"
"""How speed is measured, and what for: outcomes kept from another method are found anew."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Trial:
    """What one variant computed, and what its speed text cost: CPU seconds, or seconds on a GPU."""

    variant: Variant
    vectors: Vectors
    cost_s: float


@dataclass(frozen=True, slots=True)
class Probe:
    """Tries the variants of one model file. `worker` is the module of the model's process."""

    name: str
    settings: RunSettings
    limits: TimeLimits | None = None
    worker: str = EMBED_WORKER_MODULE

    async def choose(self, digest: str, folder: Path, runtime: str = AUTO) -> tuple[Variant, int]:
        """Return the fastest variant that computes what it should, and the model's dimensions.

        Takes two loads of the model the first time, and one for each other engine that is installed; the outcome is kept
        in `folder` per file, libraries and their build, processor and device. Raises PermanentError when the file works
        in no variant, RetryableError when that is because its process was killed, ConfigError when `runtime` asks for an
        engine that does not work here.
        """
        key = self.key(digest, runtime)
        if known := read_cached_json(folder / PROBE_RESULTS).get(key):
            return Variant(**known["variant"]), known["dimensions"]
        failures: list[str] = []
        best = await self._best(runtime, failures)
        log.info("model.probed", model=self.name, **asdict(best.variant))
        outcome = {"variant": asdict(best.variant), "dimensions": best.vectors.shape[1]}
        if not _were_killed(failures):
            update_cached_json(folder / PROBE_RESULTS, lambda values: {**values, key: outcome})
        return best.variant, best.vectors.shape[1]

    def key(self, digest: str, runtime: str) -> str:
        """Return what tells an outcome from those of other files, libraries, machines and of other ways to run it."""
        settings = self.settings
        libraries = (version("llama-cpp-python"), _build(), "".join(rival.version() for rival in rivals(runtime)))
        model = (digest, settings.pooling, str(settings.max_tokens), settings.device)
        return "/".join((*model, self.worker, *libraries, runtime, _METHOD, _machine()))

    async def _best(self, runtime: str, failures: list[str]) -> Trial:
        # Where another engine computes, llama.cpp only has to say what is right.
        by_llama = self.settings if runtime in (AUTO, REFERENCE) else replace(self.settings, device="cpu")
        plain, extra = [await self._llama(by_llama, extra_bufts, failures) for extra_bufts in (False, True)]
        trusted = extra and (not plain or cosine(plain[0].vectors, extra[0].vectors) >= _BUFFERS_COSINE)
        # The last of each is the tapped one, where the tap can be trusted, which counts for as much as repacking.
        found = sorted(
            (each[-1] for each in (extra if trusted else [], plain) if each), key=lambda t: not t.variant.tap
        )
        best = next((trial for trial in found if np.isfinite(trial.vectors).all()), None)
        if best is None:
            raise (RetryableError if _were_killed(failures) else PermanentError)(
                f"model {self.name} cannot be run here: {_why(failures)}"
            )
        return await self._or_rival(best, runtime)

    async def _llama(self, settings: RunSettings, extra_bufts: bool, failures: list[str]) -> list[Trial]:
        variants = [Variant(tap=tap, extra_bufts=extra_bufts) for tap in (False, True)]
        trials: list[Trial] = []
        with self._survived(variants[0], failures):
            async with self._process(settings.with_variant(variants[0])) as process:
                trials.append(Trial(variants[0], *await process.probe(tap=False)))
                if self.settings.pooling == "last":
                    trials.append(Trial(variants[1], *await process.probe(tap=True)))
        same = len(trials) == len(variants) and cosine(trials[0].vectors, trials[1].vectors) >= _TAP_COSINE
        return trials if same else trials[:1]

    async def _or_rival(self, llama: Trial, runtime: str) -> Trial:
        best, demanded = llama, runtime not in (AUTO, REFERENCE)
        for rival in rivals(runtime):
            trial = await self._rival(rival, llama.variant.extra_bufts)
            if trial is None or not cosine(llama.vectors, trial.vectors) >= _RIVAL_COSINE:
                continue
            if demanded or trial.cost_s * _WORTH_IT < best.cost_s:
                best = trial
        if demanded and best is llama:
            raise ConfigError(
                f"model {self.name}: runtime = {runtime!r} does not work here; install syncd[{runtime}], see the log"
            )
        return best

    async def _rival(self, rival: Engine, extra_bufts: bool) -> Trial | None:
        if not rival.version() or self.settings.pooling not in rival.poolings:
            return None
        variant = Variant(tap=False, extra_bufts=extra_bufts, runtime=rival.name)
        with self._survived(variant, [], PermanentError):
            async with self._process(self.settings.with_variant(variant)) as process:
                return Trial(variant, *await process.probe())
        return None

    def _process(self, settings: RunSettings) -> ModelProcess:
        return ModelProcess(f"{self.name} (probe)", settings, self.limits, self.worker)

    @contextmanager
    def _survived(self, variant: Variant, failures: list[str], *also: type[Exception]) -> Generator[None]:
        try:
            yield
        except (ChildDiedError, CallTimeoutError, EngineDownError, *also) as error:
            failures.append(str(error))
            log.warning("model.variant_failed", model=self.name, error=str(error), **asdict(variant))


def cosine(one: Vectors, other: Vectors) -> float:
    """Return the smallest cosine between rows of unit vectors; NaN when either holds one."""
    return float(np.min(np.sum(one * other, axis=1)))


def _were_killed(failures: list[str]) -> bool:
    """Return whether a process was killed, from outside or for want of memory: that says nothing about its variant."""
    return any("signal SIGKILL" in failure for failure in failures)


def _why(failures: list[str]) -> str:
    """Return why no variant works. Rebuilding helps against kernels that crash or compute nonsense, and nothing else."""
    crashed = [failure for failure in failures if any(name in failure for name in _CRASHES)]
    if failures and not crashed:
        return f"{failures[-1]}; the log has the rest"
    what = crashed[-1] if crashed else "its vectors are not finite"
    return (
        f"{what}: check the file, or rebuild llama-cpp-python with CMAKE_ARGS=-DCMAKE_CXX_FLAGS=-fno-dse; the log has "
        "the rest"
    )


def _machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = [platform.processor()]
    about = sorted({line for line in lines if line.startswith(("flags", "model name", "Features"))})
    cards = sorted(str(path) for folder in ("nvidia[0-9]*", "dri/render*") for path in Path("/dev").glob(folder))
    return f"{platform.machine()}-{hashlib.sha256(chr(10).join(about + cards).encode()).hexdigest()[:16]}"


def _build() -> str:
    """Return what distinguishes builds of one version, so that a rebuilt llama.cpp is probed again."""
    spec = find_spec("llama_cpp")
    folder = Path(spec.origin).parent / "lib" if spec and spec.origin else Path()
    status = [path.stat() for path in sorted(folder.glob("*ggml*"))]
    return hashlib.sha256(repr([(each.st_size, each.st_mtime_ns) for each in status]).encode()).hexdigest()[:16]
