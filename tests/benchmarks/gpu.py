"""What a GPU gives: its peak, the engines' kernels on it, and the daemon's pipeline from chunks to vectors.

    python -m tests.benchmarks.gpu [--llama-cpp-python SDIST.tar.gz] [--tokenizer tokenizer.json] [--work FOLDER]
                                   [--json FILE] [--minutes 9] [--tiny]

For a machine with a CUDA toolkit, PyTorch and no network: llama.cpp is built from the sources in the sdist of
llama-cpp-python for the one card there, beside the measurements of PyTorch; without the argument the installed one is taken.
The model is `make_qwen3_shape`'s, with random weights. Each figure is printed when it is there, all of them at the end, and
what cannot be measured, or not in time, as "unmeasured" with the reason. Without a GPU, `--tiny` tries the script itself.

    peak           a bfloat16 product of 8192 x 8192 x 8192 random numbers; shares of it are of this card's own
    kernel ...     an engine's kernel in a loop over batches of tokens: no queue, no pipe, no tokenising
    pipeline ...   an embedder's `embed`, callers of 16 texts each: tokenising, batching, the worker and back
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from tests.benchmarks.make_qwen3_shape import Shape, Vocabulary, write

ROOT = Path(__file__).parents[2]
TINY = Shape(layers=2, width=64, inner=128, heads=2, kv_heads=1, head_width=32, context=4096)
BUILD = (
    "-DGGML_CUDA=ON", "-DCMAKE_CUDA_ARCHITECTURES=native", "-DGGML_CUDA_FA=ON", "-DGGML_CUDA_FA_ALL_QUANTS=OFF",
    "-DLLAMA_BUILD_TOOLS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF", "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_COMMON=OFF", "-DLLAMA_BUILD_APP=OFF", "-DLLAMA_CURL=OFF", "-DBUILD_SHARED_LIBS=ON", "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_BUILD_RPATH_USE_ORIGIN=ON", "-DCMAKE_CXX_FLAGS=-fno-dse",
)  # fmt: skip


def flops(shape, lengths):
    """Floating-point operations of sequences of `lengths`: two for each parameter but the embeddings', and causal attention."""
    queries, keys = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    parameters = shape.layers * shape.width * (2 * queries + 2 * keys + 3 * shape.inner)
    attention = sum(2 * shape.layers * queries * length * (length + 1) for length in lengths)
    return 2 * parameters * sum(lengths) + attention


class Report:
    """Figures by name, printed as they come; a file keeps those of several processes together."""

    def __init__(self, path, deadline):
        self.path = path
        self._deadline = deadline

    def add(self, name, /, **figures):
        found = {**self.figures(), name: figures}
        self.path.write_text(json.dumps(found, indent=1))
        print(f"{name:34} " + "  ".join(f"{key} {shown(value)}" for key, value in figures.items()), flush=True)

    def figures(self):
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def left_s(self):
        return self._deadline - time.time()

    def require(self, seconds):
        """Raise TimeoutError when less time is left."""
        if self.left_s() < seconds:
            raise TimeoutError("no time was left")

    @contextmanager
    def measuring(self, name):
        """Say of what fails inside that it is unmeasured."""
        try:
            yield
        except Exception as error:
            self.add(name, unmeasured=f"{type(error).__name__}: {str(error)[:300]}")


def shown(value):
    return f"{value:,.4g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:,.0f}" if isinstance(value, float) else value  # fmt: skip


def start_build(sdist, work):
    """Begin to build llama.cpp into `work`/site, politely: PyTorch is measured meanwhile."""
    with tarfile.open(sdist) as archive:
        archive.extractall(work / "sdist", filter="data")
    source = next((work / "sdist").iterdir())
    lib = work / "site" / "llama_cpp" / "lib"
    steps = [
        f"cmake -G Ninja -S {source}/vendor/llama.cpp -B {work}/build {' '.join(BUILD)}",
        f"cmake --build {work}/build --target llama",
        f"mkdir -p {work}/site",
        f"cp -r {source}/llama_cpp {work}/site/",
        f"mkdir -p {lib}",
        f"cp -P {work}/build/bin/lib*.so* {lib}/",
        f"mkdir -p {work}/site/llama_cpp_python-0.dist-info",
        f"cp {source}/PKG-INFO {work}/site/llama_cpp_python-0.dist-info/METADATA",
    ]
    log = (work / "build.log").open("w")
    return subprocess.Popen(["nice", "-n", "19", "sh", "-c", " && ".join(steps)], stdout=log, stderr=log)


def make_models(work, tokenizer, tiny):
    vocabulary = Vocabulary.read(tokenizer) if tokenizer else Vocabulary.of_bytes()
    for kind in ("Q8_0", "F16"):
        write(work / f"{kind}.gguf", vocabulary, TINY if tiny else Shape(), kind=kind)


def phase(module, report, arguments, *site):
    """Measure in a process of its own, so that a crash costs its figures only. `site`: where else modules are, first.

    The model's workers import nothing from the working folder, and syncd need not be installed.
    """
    paths = [*map(str, site), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", module, str(arguments.work), str(report.path), str(report._deadline)]
    command += ["--tiny"] if arguments.tiny else []
    with report.measuring(module):
        report.require(30)
        subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=max(1, report.left_s()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--llama-cpp-python", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    arguments.work = arguments.work or Path(mkdtemp(prefix="gpu-"))
    arguments.work.mkdir(parents=True, exist_ok=True)
    report = Report(arguments.json or arguments.work / "gpu.json", time.time() + 60 * arguments.minutes)
    report.path.unlink(missing_ok=True)
    build = start_build(arguments.llama_cpp_python, arguments.work) if arguments.llama_cpp_python else None
    try:
        make_models(arguments.work, arguments.tokenizer, arguments.tiny)
        phase("tests.benchmarks.gpu_torch", report, arguments)
        site = []
        if build:
            with report.measuring("build of llama.cpp"):
                if build.wait(timeout=max(1, report.left_s() - 90)):
                    raise RuntimeError((arguments.work / "build.log").read_text()[-300:])
                report.add("build of llama.cpp", minutes=arguments.minutes - report.left_s() / 60)
                site = [arguments.work / "site"]
        phase("tests.benchmarks.gpu_pipeline", report, arguments, *site)
    finally:
        if build and build.poll() is None:
            build.kill()
    print("\nall figures:")
    for name, figures in report.figures().items():
        print(f"{name:34} " + "  ".join(f"{key} {shown(value)}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
