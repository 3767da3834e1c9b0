"""The steps of `torch_steps`, one Triton kernel each: every number is read once and written once. GPUs only.

Compiled when first launched (a second or so, kept on disk by Triton), for any number of tokens.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import Any

from syncd.pipeline.embed import torch_kernels
from syncd.pipeline.embed.torch_steps import Steps, Tensor

_torch: Any = import_module("torch")
_triton: Any = import_module("triton")
_GATE_BLOCK = 1024
_TOLERANCE = 0.02
"""Of normalised values in bfloat16, which rounds them by less than 0.008 of their size."""


class FusedSteps(Steps):
    """`Steps`, fused."""

    def add_norm(self, hidden: Tensor, delta: Tensor | None, gains: Tensor, kind: Any) -> Tensor:
        """As `Steps.add_norm`."""
        rows, width = hidden.shape
        out = _torch.empty(hidden.shape, dtype=kind, device=hidden.device)
        block = _triton.next_power_of_2(width)
        torch_kernels.add_norm[(rows,)](hidden, delta, gains, out, width, self.epsilon, BLOCK=block)
        return out

    def norm_turn(self, qkv: Tensor, gains: Tensor, places: Tensor) -> None:
        """As `Steps.norm_turn`; heads are a power of two wide."""
        heads, width = gains.shape
        block = _triton.next_power_of_2(heads)
        torch_kernels.norm_turn[(len(qkv),)](
            qkv, gains, *self.turns, places, qkv.shape[1], heads, self.epsilon, BLOCK=block, HALF=width // 2
        )

    def gated(self, inner: Tensor) -> Tensor:
        """As `Steps.gated`."""
        rows, width = len(inner), inner.shape[1] // 2
        out = _torch.empty((rows, width), dtype=inner.dtype, device=inner.device)
        torch_kernels.gated[(rows, _triton.cdiv(width, _GATE_BLOCK))](inner, out, width, BLOCK=_GATE_BLOCK)
        return out


def fused_if_right(plain: Steps, head: int, kind: Any) -> Steps:
    """Return the fused steps where they work on the device of `plain` and compute what it does, else `plain`.

    Triton needs a C compiler and Python's headers, which not every machine with a GPU has. Says on stderr why not.
    """
    if head & (head - 1):
        return plain
    fused = FusedSteps(plain.turns, plain.epsilon)
    try:
        apart = largest_difference(plain, fused, head, kind)
    except (ImportError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"Triton does not work here, PyTorch computes more slowly: {error}\n")
        return plain
    if not apart < _TOLERANCE:
        sys.stderr.write(f"Triton's kernels are {apart:.3g} off here, PyTorch computes without them\n")
        return plain
    return fused


def largest_difference(plain: Steps, fused: Steps, head: int, kind: Any) -> float:
    """Return how far `fused` is from `plain` at most, on random numbers, relative to their size where that is over 1."""
    random = _torch.Generator().manual_seed(0)

    def drawn(*shape: int, kind: Any = kind) -> Tensor:
        return _torch.randn(shape, generator=random).to(plain.turns[0].device, kind)

    rows, width, heads = 5, 3 * head, 3
    hidden, delta, gains = drawn(rows, width, kind=_torch.float32), drawn(rows, width), drawn(heads, head).float()
    qkv, inner = drawn(rows, (heads + 1) * head), drawn(rows, 2 * width)
    places = _torch.arange(rows, dtype=_torch.int32, device=hidden.device) % len(plain.turns[0])
    worst = 0.0
    results = [_results(steps, hidden, delta, gains, qkv, places, inner, kind) for steps in (plain, fused)]
    for expected, found in zip(*results, strict=True):
        apart = (found.float() - expected.float()).abs() / expected.float().abs().clamp(min=1)
        worst = max(worst, float(apart.max()))
    return worst


def _results(
    steps: Steps, hidden: Tensor, delta: Tensor, gains: Tensor, qkv: Tensor, places: Tensor, inner: Tensor, kind: Any
) -> list[Tensor]:
    stream, turned = hidden.clone(), qkv.clone()
    normed = [steps.add_norm(stream, each, gains.flatten(), kind) for each in (None, delta)]
    steps.norm_turn(turned, gains, places)
    return [*normed, stream, turned, steps.gated(inner)]
