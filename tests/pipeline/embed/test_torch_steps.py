"""What PyTorch computes between matrix products: packed sequences do not see each other, fused kernels compute the same."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from syncd.pipeline.embed.torch_steps import Packed, Steps, attention, rotations  # noqa: E402 - needs PyTorch
from tests.benchmarks.make_qwen3_shape import Shape, Vocabulary, write  # noqa: E402

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
AS_ON_A_CARD = """
import sys
from pathlib import Path
import numpy as np
from syncd.pipeline.embed import torch_qwen3
from syncd.pipeline.embed.torch_fused import FusedSteps
from syncd.pipeline.embed.variant import RunSettings
from syncd.pipeline.embed.windows import normalised
torch_qwen3._native_bf16 = lambda: False
model = torch_qwen3.TorchQwen3(RunSettings(Path(sys.argv[1]), "last", 512))
windows = [np.arange(length, dtype=np.int32) for length in (31, 1, 90, 4)]
plain = normalised(model.vectors(windows))
model._steps = FusedSteps(model._steps.turns, model._steps.epsilon)
model._table = model._matrix("token_embd.weight")
print(*(1 - np.sum(plain * normalised(model.vectors(windows)), axis=1)))
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


def interpreted(program, *arguments):
    """What a program prints that runs Triton's kernels without a GPU, as numbers."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", program, *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return [float(word) for word in ran.stdout.split()]


def test_the_fused_steps_compute_what_the_plain_ones_do():
    pytest.importorskip("triton")
    assert max(interpreted(INTERPRETED)) < 1e-5


def test_a_model_on_fused_steps_gives_the_vectors_of_plain_ones(tmp_path):
    pytest.importorskip("triton")
    path = tmp_path / "tiny.gguf"
    shape = Shape(layers=3, width=96, inner=160, heads=6, kv_heads=2, head_width=32, context=512)
    write(path, Vocabulary.of_bytes(), shape, kind="Q8_0")
    assert max(interpreted(AS_ON_A_CARD, str(path))) < 1e-6
