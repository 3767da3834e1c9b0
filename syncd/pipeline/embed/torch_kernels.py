# pyright: basic, reportInvalidTypeForm=false
# ruff: noqa: ANN001, ANN201, N803 - Triton compiles this text: it reads annotations and takes only its own.
"""Triton kernels of `torch_fused`. A program each for a row of one token, or a part of it."""

from importlib import import_module
from typing import Any

triton: Any = import_module("triton")
tl: Any = import_module("triton.language")


@triton.jit
def add_norm(hidden, delta, gains, out, width, epsilon, BLOCK: tl.constexpr):
    """Add delta to hidden; out is the norm of the sum, times gains."""
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    at = tl.program_id(0).to(tl.int64) * width + columns
    values = tl.load(hidden + at, mask=inside, other=0.0)
    if delta is not None:
        values += tl.load(delta + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(hidden + at, values, mask=inside)
    scale = 1 / tl.sqrt(tl.sum(values * values) / width + epsilon)
    gain = tl.load(gains + columns, mask=inside, other=0.0)
    tl.store(out + at, (values * scale * gain).to(out.dtype.element_ty), mask=inside)


@triton.jit
def norm_turn(
    qkv, gains, cosines, sines, places, stride, heads, epsilon,
    BLOCK: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    """Normalise the first heads of qkv, times gains, and rotate them by half; in place."""
    row = tl.program_id(0).to(tl.int64)
    head = tl.arange(0, BLOCK)[:, None]
    column = tl.arange(0, HALF)[None, :]
    inside = (head < heads) & (column < HALF)
    within = head * (2 * HALF) + column
    at = qkv + row * stride + within
    first = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(at + HALF, mask=inside, other=0.0).to(tl.float32)
    squares = tl.sum(first * first + second * second, axis=1)[:, None]
    scale = 1 / tl.sqrt(squares / (2 * HALF) + epsilon)
    first = first * scale * tl.load(gains + within, mask=inside, other=0.0)
    second = second * scale * tl.load(gains + within + HALF, mask=inside, other=0.0)
    turn = tl.load(places + row).to(tl.int64) * HALF + column
    cosine, sine = tl.load(cosines + turn), tl.load(sines + turn)
    tl.store(at, (first * cosine - second * sine).to(qkv.dtype.element_ty), mask=inside)
    tl.store(at + HALF, (second * cosine + first * sine).to(qkv.dtype.element_ty), mask=inside)


@triton.jit
def gated(inner, out, width, BLOCK: tl.constexpr):
    """Write SiLU of the first half of inner times its second half."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < width
    gate = tl.load(inner + row * 2 * width + columns, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(inner + row * 2 * width + width + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row * width + columns, (gate * tl.sigmoid(gate) * up).to(out.dtype.element_ty), mask=inside)
