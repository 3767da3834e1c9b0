"""The GPU benchmark where there is no GPU: it runs, counts right, and says what it could not measure."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.benchmarks.gpu import Report, flops, shown
from tests.benchmarks.gpu_torch import MAX_TOKENS, lengths_of_chunks
from tests.benchmarks.make_qwen3_shape import Shape

ROOT = Path(__file__).parents[2]


def test_a_token_costs_two_operations_a_parameter_and_attention_to_those_before_it():
    shape = Shape(layers=1, width=8, inner=16, heads=2, kv_heads=1, head_width=4)
    parameters = 8 * 8 + 8 * 4 + 8 * 4 + 8 * 8 + 3 * 8 * 16
    assert flops(shape, [1]) == 2 * parameters + 4 * 8
    assert flops(shape, [2, 1]) == 3 * 2 * parameters + 4 * 8 * (1 + 2 + 1)
    assert flops(Shape(), [1]) == pytest.approx(2 * 440e6, rel=0.01)


def test_the_texts_measured_are_as_long_as_chunks():
    lengths = lengths_of_chunks(100_000)
    assert sum(lengths) == pytest.approx(100_000, rel=0.03)
    assert 250 < sorted(lengths)[len(lengths) // 2] < 350
    assert max(lengths) <= MAX_TOKENS


def test_what_fails_or_comes_too_late_is_unmeasured_and_the_rest_is_kept(tmp_path, capsys):
    report = Report(tmp_path / "figures.json", time.time() + 100)
    with report.measuring("first"):
        report.add("first", speed=1234.5)
    with report.measuring("second"):
        raise RuntimeError("no card")
    with report.measuring("third"):
        report.require(1000)
        report.add("third", speed=1.0)
    assert report.figures() == {
        "first": {"speed": 1234.5},
        "second": {"unmeasured": "RuntimeError: no card"},
        "third": {"unmeasured": "TimeoutError: no time was left"},
    }
    assert "speed 1,234" in capsys.readouterr().out
    assert (shown(0.5), shown(7)) == ("0.5", 7)


def test_without_a_gpu_a_tiny_model_goes_all_the_way_and_the_card_is_unmeasured(tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    command = [sys.executable, "-m", "tests.benchmarks.gpu", "--tiny", "--work", str(tmp_path), "--minutes", "9"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    figures = json.loads((tmp_path / "gpu.json").read_text())
    assert figures["peak of bfloat16"] == {"unmeasured": "RuntimeError: PyTorch finds no GPU"}
    assert figures["cosine of PyTorch, Q8_0"]["least"] > 0.995
    for name in ("kernel PyTorch, usual tokens", "pipeline torch, 2 processes", "pipeline llama, 1 processes"):
        assert figures[name]["tokens/s"] > 0
        assert figures[name]["share of peak"] == "unmeasured"
