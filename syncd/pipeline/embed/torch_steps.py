"""The steps between matrix products of a Qwen3 layer, in plain PyTorch, and attention over packed sequences.

`Steps` runs anywhere. `torch_fused` has the same steps as one kernel each, for GPUs, where plain PyTorch reads and writes the
memory several times a step and that takes longer than the products do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from syncd.pipeline.embed.windows import TokenIds

_torch: Any = import_module("torch")
_functional: Any = import_module("torch.nn.functional")

Tensor = Any
"""One of PyTorch, whose types are not here: it comes with an extra."""
_FLASH_CAPABILITY = (8, 0)
"""PyTorch's flash attention and bfloat16 products need Ampere or later."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Sequences one after the other without padding, on the device. `starts` holds where each begins, and the end of all."""

    tokens: Tensor
    places: Tensor
    starts: Tensor
    lengths: Sequence[int]

    @classmethod
    def of(cls, windows: Sequence[TokenIds], device: Any) -> Packed:
        """Move `windows` to `device`."""
        lengths = [len(window) for window in windows]
        places = np.concatenate([np.arange(length, dtype=np.int32) for length in lengths])
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        tokens, places, starts = (_moved(array, device) for array in (np.concatenate(windows), places, starts))
        return cls(tokens, places, starts, lengths)

    @property
    def ends(self) -> Tensor:
        """The index of each sequence's last token."""
        return self.starts[1:].long() - 1


def rotations(places: int, head: int, base: float, device: Any) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of rotary embedding, a row for each place, half a head wide."""
    angles = np.outer(np.arange(places), base ** (-np.arange(0, head, 2) / head)).astype(np.float32)
    return _torch.from_numpy(np.cos(angles)).to(device), _torch.from_numpy(np.sin(angles)).to(device)


class Steps:
    """The steps in plain PyTorch. The residual stream is float32, what is multiplied has the weights' type."""

    def __init__(self, turns: tuple[Tensor, Tensor], epsilon: float) -> None:
        self.turns = turns
        self.epsilon = epsilon

    def add_norm(self, hidden: Tensor, delta: Tensor | None, gains: Tensor, kind: Any) -> Tensor:
        """Add `delta` to `hidden`, in place, and return its normalised rows in the type `kind`."""
        if delta is not None:
            hidden += delta
        return _functional.rms_norm(hidden, hidden.shape[-1:], gains, self.epsilon).to(kind)

    def norm_turn(self, qkv: Tensor, gains: Tensor, places: Tensor) -> None:
        """Normalise the heads that `gains` has a row for (queries, then keys), and rotate them by their place; in place."""
        count, width = gains.shape
        heads = qkv[:, : count * width].view(len(qkv), count, width)
        normed = _functional.rms_norm(heads.float(), (width,), None, self.epsilon) * gains
        first, second = normed.chunk(2, dim=-1)
        cosines, sines = (turn[places].unsqueeze(1) for turn in self.turns)
        heads.copy_(_torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1))

    def gated(self, inner: Tensor) -> Tensor:
        """Return the gated half of `inner`: SiLU of the first half times the second."""
        gate, up = inner.chunk(2, dim=-1)
        return _functional.silu(gate) * up


def attention(queries: Tensor, keys: Tensor, values: Tensor, packed: Packed) -> Tensor:
    """Return causal attention within each sequence; tokens, then heads, of which keys may have fewer."""
    if queries.is_cuda and _torch.cuda.get_device_capability(queries.device) >= _FLASH_CAPABILITY:
        longest, starts = max(packed.lengths), packed.starts
        # What torch.nn.attention.varlen calls, whose own signature changes from one version to the next.
        flash = _torch.ops.aten._flash_attention_forward
        return flash(queries, keys, values, starts, starts, longest, longest, 0.0, True, False)[0]
    return _torch.cat([_one_by_one(*each) for each in zip(*_split(queries, keys, values, packed.lengths), strict=True)])


def _one_by_one(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    q, k, v = (part.transpose(0, 1)[None] for part in (queries, keys, values))
    found = _functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    return found[0].transpose(0, 1)


def _split(queries: Tensor, keys: Tensor, values: Tensor, lengths: Sequence[int]) -> list[Tensor]:
    return [part.split(lengths) for part in (queries, keys, values)]


def _moved(array: NDArray[np.int32], device: Any) -> Tensor:
    return _torch.from_numpy(array).to(device)
