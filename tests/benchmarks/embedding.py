"""Compares embedding engines on the same texts in one run: bare runtimes, `Llama.embed` one by one, and syncd's engines.

    python -m tests.benchmarks.embedding FILE.gguf [--pooling last|mean] [--max-tokens N] [--texts N] [--rounds N]
                                         [--source FOLDER] [--leave-out NAME ...]

The texts are chunks of the source files under FOLDER. The engines take turns, round by round. Printed per engine: tokens
per second of wall time and of CPU time of the process that computes (what a busy machine cannot distort as much), the
ratio of the latter to stock, and the smallest cosine to stock's vectors; then the bars. `make_qwen3_shape` makes a file of
the default model's shape.

    stock          the bindings' own high-level call, one text at a time, with their defaults (OpenMP's waiting included)
    bare llama     a loop over llama.cpp's C API in this process, in syncd's best variant: no queue, no pipe, no second process
    bare torch32   Hugging Face's Qwen3 (where transformers is installed) on the file's weights, in float32; torch16: bfloat16
    llama, torch   syncd's engines
"""

import argparse
import asyncio
import multiprocessing
import os
import sys
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import gguf
import llama_cpp
import numpy as np
import psutil

from syncd.model import Chunking, Part
from syncd.pipeline.embed.catalog import EmbeddingModel, ModelFile
from syncd.pipeline.embed.llama import LlamaContext, LlamaModel, quieten
from syncd.pipeline.embed.local import EngineOptions, open_embedder, prepare
from syncd.pipeline.embed.probe import cosine
from syncd.pipeline.embed.variant import usable_cores
from syncd.pipeline.embed.windows import cut, unit_rows
from syncd.pipeline.embed.worker import compute
from tests.pipeline.chunking import chunks_of_document


@dataclass
class Figures:
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    cosine: float = 1.0


class Stock:
    """The bindings' own high-level call, one text at a time, with their defaults and in a process that has everybody's."""

    def __init__(self, path, pooling, max_tokens):
        spawn = multiprocessing.get_context("spawn")
        self._pipe, other = spawn.Pipe()
        self._process = spawn.Process(target=serve_stock, args=(other, str(path), pooling, max_tokens), daemon=True)
        policy = os.environ.pop("OMP_WAIT_POLICY")
        self._process.start()
        os.environ["OMP_WAIT_POLICY"] = policy

    async def embed(self, texts):
        self._pipe.send(texts)
        return self._pipe.recv()

    def cpu_s(self):
        used = psutil.Process(self._process.pid).cpu_times()
        return used.user + used.system


def serve_stock(pipe, path, pooling, max_tokens):
    kinds = {"last": llama_cpp.LLAMA_POOLING_TYPE_LAST, "mean": llama_cpp.LLAMA_POOLING_TYPE_MEAN}
    quieten()
    llama = llama_cpp.Llama(
        path, embedding=True, n_ctx=max_tokens, n_batch=max_tokens, n_ubatch=max_tokens, pooling_type=kinds[pooling],
        verbose=False,
    )  # fmt: skip
    with suppress(EOFError):
        while texts := pipe.recv():
            pipe.send(unit_rows(np.array([llama.embed(text) for text in texts], dtype=np.float32)))


class Bare:
    """llama.cpp through its C API, in syncd's variant but in this process."""

    def __init__(self, settings):
        self._settings = settings
        self._model = LlamaModel(settings)
        self._context = LlamaContext(self._model, settings.variant.tap)

    def windows(self, texts):
        """One window a text: the benchmark's texts are within the limit."""
        return [cut(self._model.tokens(text), self._model.frame, self._settings.max_tokens)[0] for text in texts]

    async def embed(self, texts):
        return compute(self._context, self.windows(texts))

    def cpu_s(self):
        return time.process_time()


class BareTorch:
    """Hugging Face's Qwen3 on the file's weights: texts one by one, which needs no padding and costs a CPU nothing."""

    def __init__(self, path, bare, kind):
        import torch  # pyright: ignore[reportMissingImports] - a peer, asked for by hand
        import transformers  # pyright: ignore[reportMissingImports] - a peer, asked for by hand

        self._torch, self._bare = torch, bare
        reader = gguf.GGUFReader(path)
        config = transformers.Qwen3Config(**hugging_face_settings(reader))
        with torch.device("meta"):
            self._model = transformers.Qwen3Model(config)
        weights = {hugging_face_name(tensor.name): tensor for tensor in reader.tensors}
        state = {
            name: torch.from_numpy(np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type), np.float32))
            for name, tensor in weights.items()
        }
        self._model.load_state_dict(state, strict=True, assign=True)
        self._model.rotary_emb = type(self._model.rotary_emb)(config)
        self._model = self._model.to(getattr(torch, kind)).eval()
        torch.set_num_threads(usable_cores())

    async def embed(self, texts):
        with self._torch.inference_mode():
            rows = [
                self._model(input_ids=self._torch.from_numpy(window[np.newaxis].astype(np.int64)), use_cache=False)
                .last_hidden_state[0, -1].float().numpy()
                for window in self._bare.windows(texts)
            ]  # fmt: skip
        return unit_rows(np.stack(rows))

    def cpu_s(self):
        return time.process_time()


def hugging_face_settings(reader):
    def value(key):
        return reader.get_field(key).contents()

    return {
        "vocab_size": len(reader.get_field("tokenizer.ggml.tokens").data),
        "hidden_size": value("qwen3.embedding_length"),
        "intermediate_size": value("qwen3.feed_forward_length"),
        "num_hidden_layers": value("qwen3.block_count"),
        "num_attention_heads": value("qwen3.attention.head_count"),
        "num_key_value_heads": value("qwen3.attention.head_count_kv"),
        "head_dim": value("qwen3.attention.key_length"),
        "rms_norm_eps": value("qwen3.attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_type": "default", "rope_theta": value("qwen3.rope.freq_base")},
        "max_position_embeddings": value("qwen3.context_length"),
    }


def hugging_face_name(name: str) -> str:
    parts: dict[str, str] = {
        "token_embd": "embed_tokens", "output_norm": "norm", "blk": "layers", "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    }  # fmt: skip
    return ".".join(parts.get(part, part) for part in name.split("."))


class Engine:
    """A syncd embedder."""

    def __init__(self, embedder):
        self._embedder = embedder

    async def embed(self, texts):
        return (await self._embedder.embed(texts, "document")).vectors

    def cpu_s(self):
        used = psutil.Process(self._embedder.process.pid).cpu_times()
        return used.user + used.system


def chunks_of(folder, count, max_bytes):
    """`count` chunks spread over the Python, Markdown and C files below `folder`, none longer than `max_bytes`."""
    texts = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".py", ".md", ".c", ".h", ".toml"}):
        part = Part(path.read_text("utf-8", "replace"), "text")
        texts += [chunk.embedded_text for chunk in chunks_of_document([part], path.name, Chunking())]
    texts = [text for text in texts if text.strip() and len(text.encode()) <= max_bytes]
    return texts[:: max(1, len(texts) // count)][:count]


async def measure(engine, figures, texts, tokens):
    wall, cpu = time.perf_counter(), engine.cpu_s()
    vectors = await engine.embed(texts)
    figures.wall.append(tokens / (time.perf_counter() - wall))
    figures.cpu.append(tokens / (engine.cpu_s() - cpu))
    return vectors


async def compare(arguments, texts, folder):
    model = EmbeddingModel(
        "benchmark", (ModelFile("file", arguments.file.name),), arguments.pooling, arguments.dimensions,
        arguments.max_tokens,
    )  # fmt: skip
    wanted = [name for name in names(arguments.pooling) if name not in arguments.leave_out]
    async with AsyncExitStack() as stack:
        engines = {}
        for runtime in ("llama", "torch"):
            options = EngineOptions(path=arguments.file, runtime=runtime)
            if runtime in wanted:
                engines[runtime] = Engine(await stack.enter_async_context(open_embedder(model, folder, options)))
        prepared = await prepare(model, folder, EngineOptions(path=arguments.file, runtime="llama"))
        bare = Bare(prepared.settings)
        for name, make in {
            "stock": lambda: Stock(arguments.file, arguments.pooling, arguments.max_tokens),
            "bare llama": lambda: bare,
            "bare torch32": lambda: BareTorch(arguments.file, bare, "float32"),
            "bare torch16": lambda: BareTorch(arguments.file, bare, "bfloat16"),
        }.items():
            if name in wanted:
                engines[name] = make()
        engines = {name: engines[name] for name in wanted}
        tokens = sum(map(len, bare.windows(texts)))
        figures = {name: Figures() for name in engines}
        for engine in engines.values():
            await engine.embed(texts[:1])
        for _ in range(arguments.rounds):
            vectors = {name: await measure(engine, figures[name], texts, tokens) for name, engine in engines.items()}
            for name, found in vectors.items():
                figures[name].cosine = cosine(found, next(iter(vectors.values())))
    return figures, tokens


def names(pooling):
    """What can be measured here."""
    found = ["stock", "bare llama", "llama"]
    if pooling == "last" and find_spec("torch"):
        found += [*(["bare torch32", "bare torch16"] if find_spec("transformers") else []), "torch"]
    return found


def bars(figures):
    """Print the ratios that have a bar, of the faster of syncd's engines, which is the one it picks."""
    speeds = {name: median(found.cpu) for name, found in figures.items()}
    engine = max((name for name in ("llama", "torch") if name in speeds), key=speeds.__getitem__)
    bare = max((name for name in speeds if name.startswith("bare")), key=speeds.__getitem__)
    if "stock" in speeds:
        print(f"engine ({engine}) / stock: {speeds[engine] / speeds['stock']:.2f} (bar 1.7 for Q8_0)")
    print(f"engine ({engine}) / best bare runtime here ({bare}): {speeds[engine] / speeds[bare]:.2f} (bar 0.9)")


def main():
    if "OMP_WAIT_POLICY" not in os.environ:  # as syncd's own processes have it; read when llama.cpp is loaded
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
        os.execve(sys.executable, [sys.executable, "-m", __spec__.name, *sys.argv[1:]], environment)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--pooling", default="last", choices=["last", "mean"])
    parser.add_argument("--dimensions", type=int, default=1024)
    parser.add_argument("--max-tokens", type=int, default=2048)
    parser.add_argument("--texts", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", type=Path, default=Path(__file__).parents[2] / "syncd")
    parser.add_argument("--leave-out", nargs="+", default=[], metavar="NAME")
    arguments = parser.parse_args()
    # Two bytes a token is dense text: stock cuts what is over the model's limit, and would compute something else.
    texts = chunks_of(arguments.source, arguments.texts, 2 * arguments.max_tokens)
    quieten()
    with TemporaryDirectory() as folder:
        figures, tokens = asyncio.run(compare(arguments, texts, Path(folder)))
    print(f"{len(texts)} texts, {tokens} tokens, {arguments.rounds} rounds; medians")
    first = median(next(iter(figures.values())).cpu)
    for name, found in figures.items():
        wall, cpu = median(found.wall), median(found.cpu)
        print(f"{name:13} {wall:8.0f} tok/s {cpu:8.0f} tok/cpu-s {cpu / first:6.2f}x  cosine >= {found.cosine:.6f}")
    bars(figures)


if __name__ == "__main__":
    main()
