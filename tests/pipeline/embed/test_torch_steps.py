"""What PyTorch computes between matrix products: packed sequences do not see each other, fused kernels compute the same."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from syncd.pipeline.embed.torch_steps import Packed, Steps, attention, rotations  # noqa: E402 - needs PyTorch

CPU = torch.device("cpu")
INTERPRETED = """
import torch
from syncd.pipeline.embed.torch_fused import FusedSteps, fused_if_right, largest_difference
from syncd.pipeline.embed.torch_steps import Steps, rotations
for head in (32, 128):
    plain = Steps(rotations(64, head, 1e6, torch.device("cpu")), 1e-6)
    print(largest_difference(plain, FusedSteps(plain.turns, plain.epsilon), head, torch.float32))
    print(float(type(fused_if_right(plain, head, torch.bfloat16)) is not FusedSteps))
    print(float(fused_if_right(plain, head + 2, torch.bfloat16) is not plain))
"""


def test_packed_sequences_attend_to_themselves_only():
    random = torch.Generator().manual_seed(0)
    lengths = [3, 1, 5]
    queries, keys, values = (torch.randn(sum(lengths), heads, 16, generator=random) for heads in (4, 2, 2))
    packed = Packed.of([np.zeros(length, dtype=np.int32) for length in lengths], CPU)
    found = attention(queries, keys, values, packed)
    assert packed.ends.tolist() == [2, 3, 8]
    for row in range(sum(lengths)):
        begin = max(start for start in (0, 3, 4) if start <= row)
        seen = slice(begin, row + 1)
        for head in range(4):
            scores = keys[seen, head // 2] @ queries[row, head] / 4
            assert torch.allclose(found[row, head], scores.softmax(0) @ values[seen, head // 2], atol=1e-5)


def test_a_rotation_turns_each_pair_by_its_place_and_leaves_the_first_place_alone():
    steps = Steps(rotations(8, 4, 100.0, CPU), 0.0)
    rows = torch.tensor([[1.0, 0.0, 0.0, 1.0]] * 2)
    steps.norm_turn(rows, torch.full((1, 4), 0.5**0.5), torch.tensor([0, 3], dtype=torch.int32))
    assert torch.allclose(rows[0], torch.tensor([1.0, 0.0, 0.0, 1.0]))
    expected = [np.cos(3), -np.sin(0.3), np.sin(3), np.cos(0.3)]
    assert np.allclose(rows[1].numpy(), expected, atol=1e-6)


def test_what_is_no_head_of_queries_or_keys_is_left_as_it_is():
    steps = Steps(rotations(8, 4, 100.0, CPU), 1e-6)
    rows = torch.arange(16.0).reshape(2, 8)
    steps.norm_turn(rows, torch.ones(1, 4), torch.tensor([0, 1], dtype=torch.int32))
    assert torch.equal(rows[:, 4:], torch.arange(16.0).reshape(2, 8)[:, 4:])


def test_the_fused_steps_compute_what_the_plain_ones_do():
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    ran = subprocess.run([sys.executable, "-c", INTERPRETED], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert max(map(float, ran.stdout.split())) < 1e-5
