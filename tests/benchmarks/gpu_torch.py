"""`gpu`'s first part: the card's peak and syncd's PyTorch kernel on it, by sizes of batches, with and without fused steps."""

import argparse
import shutil
import subprocess
import time
from pathlib import Path
from statistics import median

import numpy as np

from syncd.pipeline.embed.variant import RunSettings
from syncd.pipeline.embed.windows import batches_by_length
from tests.benchmarks.gpu import TINY, Report, flops
from tests.benchmarks.make_qwen3_shape import Shape

MAX_TOKENS = 2048
TOKENS = 400_000
PEAK = "peak of bfloat16"


def lengths_of_chunks(tokens):
    """Lengths as chunks of code and prose have them: half are under 300 tokens, few over 1,000."""
    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(np.log(300), 0.7, 1 + tokens // 100), 8, MAX_TOKENS).astype(int)
    return lengths[: 1 + np.searchsorted(np.cumsum(lengths), tokens)].tolist()


def windows_of_chunks(tokens, vocabulary):
    random = np.random.default_rng(1)
    return [random.integers(0, vocabulary, length).astype(np.int32) for length in lengths_of_chunks(tokens)]


class Power:
    """Mean watts between entering and leaving, by nvidia-smi; None where it does not tell."""

    def __enter__(self):
        command = ["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits", "-i", "0", "-lms", "100"]
        found = shutil.which("nvidia-smi")
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True) if found else None
        self.watts = None
        return self

    def __exit__(self, *_):
        if self._process is None:
            return
        self._process.terminate()
        text, _ = self._process.communicate()
        values = [float(line) for line in text.split() if line.replace(".", "", 1).isdigit()]
        self.watts = float(np.mean(values)) if values else None


def speed(kernel, windows, rounds):
    """Tokens a second of a kernel in a loop, the median of `rounds` after one more, and the watts meanwhile."""
    lengths = [len(window) for window in windows]
    order = [
        [windows[index] for index in batch]
        for batch in batches_by_length(lengths, kernel.batch_tokens, kernel.sequences)
    ]
    seconds = []
    for batch in order:
        kernel.vectors(batch)
    with Power() as power:
        for _ in range(rounds):
            begin = time.perf_counter()
            for batch in order:
                kernel.vectors(batch)
            seconds.append(time.perf_counter() - begin)
    return sum(lengths) / median(seconds), power.watts


def add_speed(report, name, shape, lengths, tokens_per_s, watts):
    """Report a speed with its share of the peak and its energy, where both are known."""
    figures = {"tokens/s": tokens_per_s}
    peak = report.figures().get(PEAK, {}).get("TFLOP/s")
    rate = flops(shape, lengths) / sum(lengths) * tokens_per_s / 1e12
    figures["share of peak"] = rate / peak if peak else "unmeasured"
    figures["Wh per million tokens"] = watts / 3600 / tokens_per_s * 1e6 if watts else "unmeasured"
    report.add(name, **figures)


def measured_peak(torch):
    if not torch.cuda.is_available():
        raise RuntimeError("PyTorch finds no GPU")
    left, right = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    times = []
    for _ in range(30):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        left @ right
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1000)
    return 2 * 8192**3 / median(times[5:]) / 1e12


def profiled(torch, kernel, windows):
    """The twelve kernels that take longest in a batch, as PyTorch's profiler tells."""
    from torch.profiler import ProfilerActivity, profile  # pyright: ignore[reportMissingImports] - not in every set-up

    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
        kernel.vectors(windows)
        torch.cuda.synchronize()
    return profiler.key_averages().table(sort_by="self_cuda_time_total", row_limit=12, max_name_column_width=60)


def settings_of(path, batch_tokens=0):
    return RunSettings(path, "last", MAX_TOKENS, batch_tokens=batch_tokens)


def measure(report, work, tiny):
    with report.measuring(PEAK):
        import torch  # pyright: ignore[reportMissingImports] - not in every set-up

        if torch.cuda.is_available():
            report.add("card", name=torch.cuda.get_device_name(0), torch=torch.__version__)
        report.add(PEAK, **{"TFLOP/s": measured_peak(torch)})
    shape, windows = (TINY, windows_of_chunks(5000, 256)) if tiny else (Shape(), windows_of_chunks(TOKENS, 256))
    lengths = [len(window) for window in windows]
    for size in (0, 4096, 8192, 32768, 65536):
        name = f"kernel PyTorch, {size or 'usual'} tokens"
        with report.measuring(name):
            report.require(20)
            kernel = opened(work, size)
            if size == 0:
                report.add(
                    "kernel PyTorch, usual batch", tokens=kernel.batch_tokens, steps=type(kernel._steps).__name__
                )
            add_speed(report, name, shape, lengths, *speed(kernel, windows, 3))
            if size == 0 and kernel.devices:
                filled = next(batches_by_length(lengths, kernel.batch_tokens, kernel.sequences))
                print(profiled(torch, kernel, [windows[index] for index in filled]), flush=True)
    with report.measuring("kernel PyTorch, plain steps"):
        report.require(20)
        from syncd.pipeline.embed.torch_steps import Steps

        kernel = opened(work, 0)
        kernel._steps = Steps(kernel._steps.turns, kernel._steps.epsilon)
        add_speed(report, "kernel PyTorch, plain steps", shape, lengths, *speed(kernel, windows, 2))


def opened(work, batch_tokens):
    from syncd.pipeline.embed.torch_qwen3 import TorchQwen3

    return TorchQwen3(settings_of(work / "Q8_0.gguf", batch_tokens))


def part(measure):
    """Run a part of `gpu` in this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("report", type=Path)
    parser.add_argument("deadline", type=float)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    measure(Report(arguments.report, arguments.deadline), arguments.work, arguments.tiny)


if __name__ == "__main__":
    part(measure)
